//! Text and hexadecimal bytes, in arenas with room and without: what is written and what is refused is held against
//! readings of the documentation that share nothing with the library.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fmt;

use mallocator::{Error, Mallocator, Protection};

use super::Input;

/// Scopes are nested no deeper.
const DEPTH: usize = 3;

/// What texts are made of, so that prefixes, halves and strangers meet in every order.
const PIECES: [&str; 48] = [
    "00",
    "ab",
    "F9",
    "42",
    "0",
    "4",
    "f",
    "E",
    "0x",
    "0X",
    "\\x",
    "\\X",
    "x",
    "X",
    "\\",
    "0x7",
    "\\xA",
    " ",
    ",",
    ";",
    ":",
    "-",
    "_",
    "|",
    "'",
    "\"",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "\t",
    "\r\n",
    "\u{85}",
    "\u{a0}",
    "\u{2003}",
    "\u{3000}",
    "g",
    ".",
    "\0",
    "\u{e9}",
    "\u{ff}",
    "\u{100}",
    "\u{20ac}",
    "\u{ff11}",
    "\u{1f600}",
    "\u{10ffff}",
];

/// One run: `bytes` decide everything.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let size = input.one_of(&[1, 1, 65_536, 1 << 20]);
    let protection = if input.byte() % 8 == 0 { Protection::READ } else { Protection::READ_WRITE };
    let mut arena = Mallocator::builder().size(size).protection(protection).build().unwrap();
    while !input.is_empty() {
        let mut blocks = Vec::new();
        level(&arena, &mut input, &mut blocks, 0);
        check_contents(&arena, &blocks);
        arena.reset();
        assert_eq!(arena.used(), 0);
    }
    arena.free().unwrap();
}

/// What was written at an offset.
type Written = (usize, Vec<u8>);

fn check_contents(arena: &Mallocator, blocks: &[Written]) {
    for (offset, expected) in blocks {
        // SAFETY: the bytes were handed out and written, and no reference to them is left.
        let bytes = unsafe { std::slice::from_raw_parts(arena.base().as_ptr().add(*offset), expected.len()) };
        assert_eq!(bytes, expected, "at {offset}");
    }
}

/// Calls on one arena or view, until the input says that it ends.
fn level(arena: &Mallocator, input: &mut Input<'_>, blocks: &mut Vec<Written>, depth: usize) {
    while !input.is_empty() {
        match input.byte() {
            0..=7 => break,
            8..=15 if depth < DEPTH => {
                let (before, used) = (blocks.len(), arena.used());
                arena.scope(|view| level(view, input, blocks, depth + 1));
                blocks.truncate(before);
                assert_eq!(arena.used(), used);
                check_contents(arena, blocks);
            }
            // Nearly full, or full.
            16..=47 => {
                let room = usize::from(input.byte());
                if arena.available() > room {
                    arena.alloc_raw(arena.available() - room, 1).unwrap();
                }
            }
            _ => {
                let text = text(input);
                call(arena, input, &text, blocks);
            }
        }
    }
}

fn text(input: &mut Input<'_>) -> String {
    match input.byte() % 8 {
        0 | 1 => {
            let len = usize::from(input.byte());
            String::from_utf8_lossy(input.take(len)).into_owned()
        }
        2..=5 => (0..input.byte() % 64).map(|_| input.one_of(&PIECES)).collect(),
        6 => input.one_of(&PIECES).repeat(input.size()),
        _ => {
            let any = |_| {
                let number = [input.byte(), input.byte(), input.byte() % 17, 0];
                char::from_u32(u32::from_le_bytes(number)).unwrap_or('\u{fffd}')
            };
            (0..8).map(any).collect()
        }
    }
}

/// What a call ought to do, if the arena can be written and has room.
struct Expected {
    outcome: Result<Vec<u8>, Error>,
    align: usize,
}

impl Expected {
    fn bytes(bytes: &[u8]) -> Self {
        Self { outcome: Ok(bytes.to_vec()), align: 1 }
    }

    fn error(error: Error) -> Self {
        Self { outcome: Err(error), align: 1 }
    }

    /// Units with a NUL behind them, in the byte order of the machine.
    fn text(text: &str, width: usize, align: usize) -> Self {
        let outcome = match width {
            1 => latin_1(text),
            2 => Ok(text.encode_utf16().chain([0]).flat_map(u16::to_ne_bytes).collect()),
            4 => Ok(text.chars().map(u32::from).chain([0]).flat_map(u32::to_ne_bytes).collect()),
            _ => Err(Error::InvalidWidth { width }),
        };
        Self { outcome, align }
    }
}

fn latin_1(text: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    for (index, character) in text.char_indices() {
        let number = u32::from(character);
        bytes.push(u8::try_from(number).map_err(|_| Error::CharacterDoesNotFit {
            character,
            index,
            width: 1,
        })?);
    }
    bytes.push(0);
    Ok(bytes)
}

/// Reads hexadecimal bytes one character at a time, and remembers what it is in the middle of.
fn hex(text: &str) -> Result<Vec<u8>, Error> {
    enum Within {
        Nothing,
        /// Since this index; its digits have to follow.
        Prefix(usize),
        /// Behind this digit, at this index.
        Byte(char, usize),
    }
    let mut bytes = Vec::new();
    let mut within = Within::Nothing;
    let mut characters = text.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        let next = characters.peek().map(|&(_, next)| next);
        let prefixed = matches!((character, next), ('0', Some('x' | 'X')) | ('\\', Some('x')));
        let digit = character.is_ascii_hexdigit();
        within = match within {
            Within::Nothing if prefixed => {
                characters.next();
                Within::Prefix(index)
            }
            Within::Nothing if separates(character) => Within::Nothing,
            Within::Nothing | Within::Prefix(_) if digit => Within::Byte(character, index),
            Within::Nothing => return Err(Error::NotHex { character, index }),
            Within::Prefix(index) => return Err(Error::BarePrefix { index }),
            Within::Byte(first, _) if digit => {
                bytes.push(u8::from_str_radix(&format!("{first}{character}"), 16).unwrap());
                Within::Nothing
            }
            Within::Byte(digit, index) => return Err(Error::HalfByte { digit, index }),
        };
    }
    match within {
        Within::Nothing => Ok(bytes),
        Within::Prefix(index) => Err(Error::BarePrefix { index }),
        Within::Byte(digit, index) => Err(Error::HalfByte { digit, index }),
    }
}

/// Unicode's white space, spelt out, and the marks that are documented.
fn separates(character: char) -> bool {
    matches!(
        character,
        '\u{9}'..='\u{d}' | ' ' | '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{2028}' | '\u{2029}'
            | '\u{202f}' | '\u{205f}' | '\u{3000}'
            | ',' | ';' | ':' | '-' | '_' | '|' | '\'' | '"' | '{' | '}' | '[' | ']' | '(' | ')'
    )
}

/// Writes its text, and then fails.
struct Failing<'a>(&'a str);

impl fmt::Display for Failing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        Err(fmt::Error)
    }
}

/// What was handed out, as bytes.
fn block<T>(slice: &[T]) -> (*const u8, usize) {
    (slice.as_ptr().cast(), size_of_val(slice))
}

fn call(arena: &Mallocator, input: &mut Input<'_>, text: &str, blocks: &mut Vec<Written>) {
    let before = arena.used();
    assert_eq!(arena.available(), arena.size() - before);
    let which = input.byte() % 16;
    // A method that panics where another returns an error is called when neither has cause to, as a panic ends a fuzzer.
    let even = input.byte() % 2 == 0;
    let sure = |len: usize| even && arena.protection().is_writable() && len <= arena.available();
    let mut exact = true;
    let (expected, outcome) = match which {
        0 => (Expected::text(text, 1, 1), arena.alloc_string::<u8>(text).map(|units| block(units))),
        1 => (Expected::text(text, 2, 2), arena.alloc_string::<u16>(text).map(|units| block(units))),
        2 => (Expected::text(text, 4, 4), arena.alloc_string::<u32>(text).map(|units| block(units))),
        3 | 4 => {
            let width = match input.byte() {
                0..=199 => input.one_of(&[1, 2, 4]),
                200..=249 => usize::from(input.byte()),
                _ => input.word(),
            };
            let outcome = arena.alloc_string_raw(text, width);
            (
                Expected::text(text, width, 1),
                outcome.map(|units| (units.as_ptr().cast_const().cast(), units.len())),
            )
        }
        5..=7 => {
            let expected = Expected { outcome: hex(text), align: 1 };
            (expected, arena.alloc_byte_string(text).map(|bytes| block(bytes)))
        }
        8 => {
            let expected = match text.bytes().position(|byte| byte == 0) {
                Some(index) => Expected::error(Error::InteriorNul { index }),
                None => Expected::bytes(format!("{text}\0").as_bytes()),
            };
            (expected, arena.alloc_c_str_from(text).map(|text| block(text.to_bytes_with_nul())))
        }
        9 => {
            let cut = text.split('\0').next().unwrap();
            let text = CString::new(cut).unwrap();
            let text = text.as_c_str();
            let outcome: Result<&CStr, _> =
                if sure(cut.len() + 1) { Ok(arena.alloc_c_str(text)) } else { arena.try_alloc_c_str(text) };
            (Expected::bytes(text.to_bytes_with_nul()), outcome.map(|text| block(text.to_bytes_with_nul())))
        }
        10 => {
            let copied = if sure(text.len()) { Ok(arena.alloc_str(text)) } else { arena.try_alloc_str(text) };
            (Expected::bytes(text.as_bytes()), copied.map(|text| block(text.as_bytes())))
        }
        11 => {
            let bytes = text.as_bytes();
            let copied =
                if sure(bytes.len()) { Ok(arena.alloc_bytes(bytes)) } else { arena.try_alloc_bytes(bytes) };
            (Expected::bytes(bytes), copied.map(|bytes| block(bytes)))
        }
        12 => {
            let owned = os_string(text);
            let text: &OsStr = &owned;
            let bytes = text.as_encoded_bytes();
            let copied =
                if sure(bytes.len()) { Ok(arena.alloc_os_str(text)) } else { arena.try_alloc_os_str(text) };
            (Expected::bytes(bytes), copied.map(|text| block(text.as_encoded_bytes())))
        }
        13 => {
            exact = false;
            let fits = text.len() <= arena.available();
            // What does not fit is noticed before the failure.
            let expected =
                if fits { Expected::error(Error::Formatting) } else { Expected::bytes(text.as_bytes()) };
            let outcome = arena.try_alloc_fmt(format_args!("{}", Failing(text)));
            (expected, outcome.map(|text| block(text.as_bytes())))
        }
        _ => {
            exact = false;
            let number = usize::from(which) * text.len();
            let whole = format!("{text}{number:>5}{text:?}");
            let arguments = format_args!("{text}{number:>5}{text:?}");
            let outcome = if sure(whole.len()) {
                Ok(arena.alloc_fmt(arguments))
            } else {
                arena.try_alloc_fmt(arguments)
            };
            (Expected::bytes(whole.as_bytes()), outcome.map(|text| block(text.as_bytes())))
        }
    };
    check(arena, before, &expected, outcome, exact, blocks);
}

/// On Unix also with bytes that are no UTF-8.
fn os_string(text: &str) -> OsString {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt;
        OsString::from_vec(text.bytes().map(|byte| byte.wrapping_mul(3)).collect())
    }
    #[cfg(not(unix))]
    OsString::from(text)
}

/// `exact`: it is refused as a whole, and not piece by piece.
fn check(
    arena: &Mallocator,
    before: usize,
    expected: &Expected,
    outcome: Result<(*const u8, usize), Error>,
    exact: bool,
    blocks: &mut Vec<Written>,
) {
    let protection = arena.protection();
    let start = before.next_multiple_of(expected.align);
    let refusal = match &expected.outcome {
        Err(error) if !protection.is_writable() => {
            // Either is true.
            assert!([Err(*error), Err(Error::NotWritable { protection })].contains(&outcome.map(drop)));
            outcome.map(drop).err()
        }
        Err(error) => Some(*error),
        Ok(_) if !protection.is_writable() => Some(Error::NotWritable { protection }),
        Ok(bytes) if !bytes.is_empty() && start + bytes.len() > arena.size() => {
            let align_log2 = u8::try_from(expected.align.trailing_zeros()).unwrap();
            let whole = Error::Exhausted { size: bytes.len(), available: arena.size() - before, align_log2 };
            match outcome {
                Err(error @ Error::Exhausted { .. }) if !exact => Some(error),
                _ => Some(whole),
            }
        }
        Ok(_) => None,
    };
    match (refusal, outcome) {
        (Some(expected), outcome) => {
            assert_eq!(outcome, Err(expected));
            assert_eq!(
                (arena.used(), arena.ptr().addr().get()),
                (before, arena.base().addr().get() + before)
            );
        }
        (None, Err(error)) => panic!("refused, but there is room: {error}"),
        (None, Ok((pointer, len))) => {
            let bytes = expected.outcome.as_ref().unwrap();
            // SAFETY: the call has just handed out so many bytes and written them.
            assert_eq!(unsafe { std::slice::from_raw_parts(pointer, len) }, bytes);
            if len == 0 {
                return assert_eq!(arena.used(), before);
            }
            assert_eq!((arena.offset_of(pointer), arena.used()), (Some(start), start + len));
            blocks.push((start, bytes.clone()));
        }
    }
}
