//! Text as other languages have it, in NUL-terminated code units, and bytes spelt in hexadecimal.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::slice;

use crate::arena::Mallocator;
use crate::error::Error;
use crate::pure::hex;

/// A code unit of NUL-terminated text: `u8` for Latin-1, `u16` for UTF-16, `u32` for UTF-32, in the byte order of the
/// machine. For [`Mallocator::alloc_string`].
///
/// ```
/// use mallocator::{CodeUnit, Mallocator};
///
/// fn wide<W: CodeUnit>(arena: &Mallocator, text: &str) -> Result<usize, mallocator::Error> {
///     Ok(size_of_val(arena.alloc_string::<W>(text)?))
/// }
/// let arena = Mallocator::new()?;
/// assert_eq!((wide::<u8>(&arena, "abc")?, wide::<u32>(&arena, "abc")?), (4, 16));
/// # Ok::<(), mallocator::Error>(())
/// ```
pub trait CodeUnit: Encode {}

impl CodeUnit for u8 {}
impl CodeUnit for u16 {}
impl CodeUnit for u32 {}

mod sealed {
    /// The units of one character; only UTF-16 has a second.
    pub trait Encode: Copy {
        const NUL: Self;
        fn encode(character: char) -> Option<(Self, Option<Self>)>;
    }
}
use sealed::Encode;

impl Encode for u8 {
    const NUL: Self = 0;
    fn encode(character: char) -> Option<(Self, Option<Self>)> {
        Self::try_from(character).ok().map(|unit| (unit, None))
    }
}

impl Encode for u16 {
    const NUL: Self = 0;
    fn encode(character: char) -> Option<(Self, Option<Self>)> {
        let mut units = [0; 2];
        let pair = character.encode_utf16(&mut units).len() == 2;
        Some((units[0], pair.then_some(units[1])))
    }
}

impl Encode for u32 {
    const NUL: Self = 0;
    fn encode(character: char) -> Option<(Self, Option<Self>)> {
        Some((character.into(), None))
    }
}

/// The units of `text` with the NUL behind them, or the first character that has none. The same at every call.
fn units<W: Encode>(text: &str) -> impl Iterator<Item = Result<W, Error>> {
    let encoded = text.char_indices().flat_map(|(index, character)| {
        let units = W::encode(character);
        #[expect(clippy::cast_possible_truncation, reason = "widths are 1, 2 and 4")]
        let width = size_of::<W>() as u8;
        let first =
            units.map_or(Err(Error::CharacterDoesNotFit { character, index, width }), |(first, _)| Ok(first));
        let second = units.and_then(|(_, second)| second).map(Ok);
        core::iter::once(first).chain(second)
    });
    encoded.chain(core::iter::once(Ok(W::NUL)))
}

impl Mallocator {
    /// Writes `text` as NUL-terminated code units: Latin-1 for `u8`, UTF-16 for `u16`, UTF-32 for `u32`. The slice
    /// includes the NUL. It is aligned for its units; [`alloc_string_raw`](Self::alloc_string_raw) packs.
    ///
    /// NULs inside `text` are kept: Windows has lists of NUL-terminated strings.
    ///
    /// # Errors
    /// [`Error::CharacterDoesNotFit`] names the first character above U+00FF when the units are `u8`;
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let arena = Mallocator::new()?;
    /// assert_eq!(arena.alloc_string::<u16>("a€😀")?, [0x61, 0x20ac, 0xd83d, 0xde00, 0]);
    /// assert_eq!(arena.alloc_string::<u8>("é")?, [0xe9, 0]);
    /// let refused = arena.alloc_string::<u8>("5 €").unwrap_err();
    /// assert_eq!(refused, Error::CharacterDoesNotFit { character: '€', index: 2, width: 1 });
    /// # Ok::<(), Error>(())
    /// ```
    pub fn alloc_string<W: CodeUnit>(&self, text: &str) -> Result<&mut [W], Error> {
        let (start, count) = self.write_units::<W>(text, align_of::<W>(), Self::take_layout)?;
        // SAFETY: `count` units were written there, aligned; they are nobody else's for as long as the arena is borrowed.
        Ok(unsafe { slice::from_raw_parts_mut(start.as_ptr(), count) })
    }

    /// Writes `text` as [`alloc_string`](Self::alloc_string) does, in units of `width` bytes (1, 2 or 4), at the next
    /// free byte whatever its alignment: the `AllocString` of the original.
    ///
    /// The result is in bytes, the NUL included. Units wider than a byte may be misaligned there: read them with
    /// [`read_unaligned`](std::ptr::read_unaligned).
    ///
    /// # Errors
    /// [`Error::InvalidWidth`], and those of [`alloc_string`](Self::alloc_string). The cursor has not moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// arena.alloc_bytes(&[1]);
    /// let text = arena.alloc_string_raw("hi", 2)?;
    /// assert_eq!((arena.offset_of(text.as_ptr().cast::<u8>()), text.len()), (Some(1), 6));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn alloc_string_raw(&self, text: &str, width: usize) -> Result<NonNull<[u8]>, Error> {
        let packed = |start: NonNull<u8>, units: usize| NonNull::slice_from_raw_parts(start, units * width);
        match width {
            1 => {
                self.write_units::<u8>(text, 1, Self::take_packed).map(|(start, units)| packed(start, units))
            }
            2 => self
                .write_units::<u16>(text, 1, Self::take_packed)
                .map(|(start, units)| packed(start.cast(), units)),
            4 => self
                .write_units::<u32>(text, 1, Self::take_packed)
                .map(|(start, units)| packed(start.cast(), units)),
            _ => Err(Error::InvalidWidth { width }),
        }
    }

    /// Writes the units of `text` to a block aligned to `align`, and returns where and how many.
    fn write_units<W: Encode>(
        &self,
        text: &str,
        align: usize,
        take: fn(&Self, Layout) -> Result<NonNull<u8>, Error>,
    ) -> Result<(NonNull<W>, usize), Error> {
        let count = units::<W>(text).try_fold(0, |count, unit| unit.map(|_| count + 1))?;
        let size = size_of::<W>().saturating_mul(count);
        let layout = Layout::from_size_align(size, align).map_err(|_| self.exhausted(size, align))?;
        let start = take(self, layout)?.cast::<W>();
        for (index, unit) in units::<W>(text).flatten().enumerate() {
            // SAFETY: the block has room for `count` units, which is how many there are.
            unsafe { start.add(index).write_unaligned(unit) };
        }
        Ok((start, count))
    }

    /// Writes the bytes that `text` spells in hexadecimal, at the next free byte: the `AllocByteString` of the original,
    /// as it is documented.
    ///
    /// A byte is two digits. Before one may stand `0x`, `0X` or `\x`; between bytes white space and any of
    /// `, ; : - _ | ' " { } [ ] ( )`.
    ///
    /// # Errors
    /// [`Error::NotHex`], [`Error::HalfByte`] or [`Error::BarePrefix`] with the byte index in `text`;
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let arena = Mallocator::new()?;
    /// assert_eq!(arena.alloc_byte_string("00 ab f9 0x42")?, [0x00, 0xab, 0xf9, 0x42]);
    /// assert_eq!(arena.alloc_byte_string("12 g4"), Err(Error::NotHex { character: 'g', index: 3 }));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "hex")]
    pub fn alloc_byte_string(&self, text: &str) -> Result<&mut [u8], Error> {
        let count = hex::bytes(text).try_fold(0, |count, byte| byte.map(|_| count + 1))?;
        let layout = Layout::array::<u8>(count).map_err(|_| self.exhausted(count, 1))?;
        let start = self.take_packed(layout)?;
        for (index, byte) in hex::bytes(text).flatten().enumerate() {
            // SAFETY: the block has room for `count` bytes, which is how many there are.
            unsafe { start.add(index).write(byte) };
        }
        // SAFETY: `count` bytes were written there; they are nobody else's for as long as the arena is borrowed.
        Ok(unsafe { slice::from_raw_parts_mut(start.as_ptr(), count) })
    }
}
