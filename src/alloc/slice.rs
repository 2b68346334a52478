//! Slices.

use core::alloc::Layout;
use core::mem::MaybeUninit;
use core::ptr::NonNull;
use core::slice;

use crate::alloc::slice_builder::SliceBuilder;
use crate::arena::Mallocator;
use crate::arena::copy::copy_slice;
use crate::error::{Error, unwrap_or_panic};

impl Mallocator {
    /// Copies a slice into the arena.
    ///
    /// # Panics
    /// When [`try_alloc_slice_copy`](Self::try_alloc_slice_copy) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let primes = arena.alloc_slice_copy(&[2, 3, 5]);
    /// primes[0] = 7;
    /// assert_eq!(primes, [7, 3, 5]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_slice_copy<T: Copy>(&self, source: &[T]) -> &mut [T] {
        let copy = self.take_layout_or_panic(Layout::for_value(source)).cast::<T>();
        // SAFETY: the block has the layout of `source`, and is nobody else's for as long as the arena is borrowed.
        unsafe { copied(source, copy) }
    }

    /// [`alloc_slice_copy`](Self::alloc_slice_copy) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_slice_copy(&[1.5, 2.5])?, [1.5, 2.5]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_slice_copy<T: Copy>(&self, source: &[T]) -> Result<&mut [T], Error> {
        let copy = self.take_layout(Layout::for_value(source))?.cast::<T>();
        // SAFETY: the block has the layout of `source`, and is nobody else's for as long as the arena is borrowed.
        Ok(unsafe { copied(source, copy) })
    }

    /// Clones a slice into the arena, element by element. The clones are not dropped when the arena takes their memory back.
    ///
    /// # Panics
    /// When [`try_alloc_slice_clone`](Self::try_alloc_slice_clone) would return an error,
    /// or when a clone panics: then the clones made so far are dropped and the memory is given back.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let names = arena.alloc_slice_clone(&[String::from("a"), String::from("b")]);
    /// assert_eq!(names, ["a", "b"]);
    /// # names.iter_mut().for_each(|name| *name = String::new());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_slice_clone<T: Clone>(&self, source: &[T]) -> &mut [T] {
        unwrap_or_panic(self.try_alloc_slice_clone(source))
    }

    /// [`alloc_slice_clone`](Self::alloc_slice_clone) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_slice_clone(&[Some(1), None])?, [Some(1), None]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_alloc_slice_clone<T: Clone>(&self, source: &[T]) -> Result<&mut [T], Error> {
        self.try_alloc_slice_fill_with(source.len(), |index| source[index].clone())
    }

    /// A slice of `len` elements, each made by `make` from its index.
    ///
    /// # Panics
    /// When [`try_alloc_slice_fill_with`](Self::try_alloc_slice_fill_with) would return an error,
    /// or when `make` does: then the elements made so far are dropped and the memory is given back.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.alloc_slice_fill_with(4, |index| index * index), [0, 1, 4, 9]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_slice_fill_with<T>(&self, len: usize, make: impl FnMut(usize) -> T) -> &mut [T] {
        unwrap_or_panic(self.try_alloc_slice_fill_with(len, make))
    }

    /// [`alloc_slice_fill_with`](Self::alloc_slice_fill_with) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert!(arena.try_alloc_slice_fill_with(100_000, |index| index).is_err());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_alloc_slice_fill_with<T>(
        &self,
        len: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<&mut [T], Error> {
        let mut builder = SliceBuilder::with_capacity(self, len)?;
        for index in 0..len {
            builder.push(make(index))?;
        }
        Ok(builder.finish())
    }

    /// A slice of `len` copies of `value`.
    ///
    /// # Panics
    /// When [`try_alloc_slice_fill_copy`](Self::try_alloc_slice_fill_copy) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.alloc_slice_fill_copy(3, 7), [7, 7, 7]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_slice_fill_copy<T: Copy>(&self, len: usize, value: T) -> &mut [T] {
        unwrap_or_panic(self.try_alloc_slice_fill_copy(len, value))
    }

    /// [`alloc_slice_fill_copy`](Self::alloc_slice_fill_copy) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_slice_fill_copy(2, 1.5)?, [1.5, 1.5]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_alloc_slice_fill_copy<T: Copy>(&self, len: usize, value: T) -> Result<&mut [T], Error> {
        self.try_alloc_slice_fill_with(len, |_| value)
    }

    /// A slice of `len` clones of `value`.
    ///
    /// # Panics
    /// When [`try_alloc_slice_fill_clone`](Self::try_alloc_slice_fill_clone) would return an error,
    /// or when a clone panics: then the clones made so far are dropped and the memory is given back.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.alloc_slice_fill_clone(2, &Some(7)), [Some(7), Some(7)]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_slice_fill_clone<T: Clone>(&self, len: usize, value: &T) -> &mut [T] {
        unwrap_or_panic(self.try_alloc_slice_fill_clone(len, value))
    }

    /// [`alloc_slice_fill_clone`](Self::alloc_slice_fill_clone) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_slice_fill_clone(2, &'x')?, ['x', 'x']);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_alloc_slice_fill_clone<T: Clone>(&self, len: usize, value: &T) -> Result<&mut [T], Error> {
        self.try_alloc_slice_fill_with(len, |_| value.clone())
    }

    /// A slice of `len` default values.
    ///
    /// # Panics
    /// When [`try_alloc_slice_fill_default`](Self::try_alloc_slice_fill_default) would return an error,
    /// or when `default` panics.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.alloc_slice_fill_default::<u32>(3), [0, 0, 0]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_slice_fill_default<T: Default>(&self, len: usize) -> &mut [T] {
        unwrap_or_panic(self.try_alloc_slice_fill_default(len))
    }

    /// [`alloc_slice_fill_default`](Self::alloc_slice_fill_default) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_slice_fill_default::<Option<u8>>(1)?, [None]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_alloc_slice_fill_default<T: Default>(&self, len: usize) -> Result<&mut [T], Error> {
        self.try_alloc_slice_fill_with(len, |_| T::default())
    }

    /// Places for `len` elements, to be written before they are read.
    ///
    /// # Panics
    /// When [`try_alloc_uninit_slice`](Self::try_alloc_uninit_slice) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let places = arena.alloc_uninit_slice(3);
    /// places.iter_mut().for_each(|place| { place.write(7); });
    /// assert_eq!(arena.used(), 12);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_uninit_slice<T>(&self, len: usize) -> &mut [MaybeUninit<T>] {
        unwrap_or_panic(self.try_alloc_uninit_slice(len))
    }

    /// [`alloc_uninit_slice`](Self::alloc_uninit_slice) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_uninit_slice::<u64>(3)?.len(), 3);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_alloc_uninit_slice<T>(&self, len: usize) -> Result<&mut [MaybeUninit<T>], Error> {
        let layout = Layout::array::<T>(len)
            .map_err(|_| self.exhausted(size_of::<T>().saturating_mul(len), align_of::<T>()))?;
        let start = self.take_layout(layout)?.cast::<MaybeUninit<T>>();
        // SAFETY: the block is aligned, writable and nobody else's for as long as the arena is borrowed; its elements may
        // hold anything.
        Ok(unsafe { slice::from_raw_parts_mut(start.as_ptr(), len) })
    }

    /// `len` bytes of zero, the first at a multiple of `align`. Memory that was never used is zero already and is not
    /// touched, so that a large block costs nothing until it is written.
    ///
    /// # Panics
    /// When [`try_alloc_zeroed_bytes`](Self::try_alloc_zeroed_bytes) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let page = arena.alloc_zeroed_bytes(4096, 4096);
    /// assert!(page.iter().all(|&byte| byte == 0));
    /// assert_eq!(page.as_ptr().addr() % 4096, 0);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_zeroed_bytes(&self, len: usize, align: usize) -> &mut [u8] {
        unwrap_or_panic(self.try_alloc_zeroed_bytes(len, align))
    }

    /// [`alloc_zeroed_bytes`](Self::alloc_zeroed_bytes) that returns the error.
    ///
    /// # Errors
    /// [`Error::InvalidAlignment`] when `align` is not a power of two; [`Error::NotWritable`], [`Error::Exhausted`], or
    /// [`Error::Os`] when the system refuses memory. The cursor has not moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert!(matches!(arena.try_alloc_zeroed_bytes(1, 3), Err(mallocator::Error::InvalidAlignment { align: 3 })));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_alloc_zeroed_bytes(&self, len: usize, align: usize) -> Result<&mut [u8], Error> {
        let layout = Layout::from_size_align(len, align).map_err(|_| {
            if align.is_power_of_two() {
                self.exhausted(len, align)
            } else {
                Error::InvalidAlignment { align }
            }
        })?;
        let start = self.take_layout(layout)?;
        // SAFETY: the block is writable, was just handed out, and is nobody else's for as long as the arena is borrowed.
        unsafe {
            self.clear_dirty(start, len);
            Ok(slice::from_raw_parts_mut(start.as_ptr(), len))
        }
    }

    /// Copies bytes into the arena, at the next free byte: the `AllocBytes` of the original.
    ///
    /// # Panics
    /// When [`try_alloc_bytes`](Self::try_alloc_bytes) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.alloc_bytes(&[0x7f, b'E', b'L', b'F']), b"\x7fELF");
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_bytes(&self, bytes: &[u8]) -> &mut [u8] {
        unwrap_or_panic(self.try_alloc_bytes(bytes))
    }

    /// [`alloc_bytes`](Self::alloc_bytes) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert!(arena.try_alloc_bytes(&[0; 100_000]).is_err());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_bytes(&self, bytes: &[u8]) -> Result<&mut [u8], Error> {
        let copy = self.take_packed(Layout::for_value(bytes))?;
        // SAFETY: the block has the layout of `bytes`, and is nobody else's for as long as the arena is borrowed.
        Ok(unsafe { copied(bytes, copy) })
    }
}

/// Copies `source` to a block that was just taken for it.
///
/// # Safety
/// The block has the layout of `source`, and is nobody else's for as long as the result lives.
#[inline(always)]
pub(crate) unsafe fn copied<'a, T: Copy>(source: &[T], copy: NonNull<T>) -> &'a mut [T] {
    // SAFETY: the caller's; as the block is nobody else's, it does not overlap `source`.
    unsafe {
        copy_slice(source, copy.as_ptr());
        slice::from_raw_parts_mut(copy.as_ptr(), source.len())
    }
}
