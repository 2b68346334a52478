//! Text in and hexadecimal bytes in: what is written, and what is refused, where.

mod common;

use mallocator::{Error, Mallocator};

/// Checks that a refused call has moved nothing.
fn refused<T: std::fmt::Debug>(arena: &Mallocator, call: impl FnOnce() -> Result<T, Error>) -> Error {
    let before = arena.ptr();
    let error = call().unwrap_err();
    assert_eq!(arena.ptr(), before);
    error
}

#[test]
fn byte_strings_are_read_as_documented() {
    let arena = Mallocator::new().unwrap();
    for (text, bytes) in [
        ("00 ab f9 0x42", &[0x00, 0xab, 0xf9, 0x42][..]),
        ("", &[]),
        ("{0xDE, 0xAD}", &[0xde, 0xad]),
        (r"\x90\x90", &[0x90, 0x90]),
        ("00000000: 7f45 4c46", &[0, 0, 0, 0, 0x7f, 0x45, 0x4c, 0x46]),
    ] {
        let before = arena.used();
        assert_eq!(arena.alloc_byte_string(text).unwrap(), bytes, "{text:?}");
        assert_eq!(arena.used(), before + bytes.len());
    }
}

#[test]
fn byte_strings_that_are_wrong_say_where() {
    let arena = Mallocator::new().unwrap();
    for (text, expected) in [
        ("0x4", Error::HalfByte { digit: '4', index: 2 }),
        ("4 2", Error::HalfByte { digit: '4', index: 0 }),
        ("zz", Error::NotHex { character: 'z', index: 0 }),
        ("12 g4", Error::NotHex { character: 'g', index: 3 }),
        ("０１", Error::NotHex { character: '０', index: 0 }),
        ("12 0x", Error::BarePrefix { index: 3 }),
    ] {
        let error = refused(&arena, || arena.alloc_byte_string(text));
        assert_eq!(error, expected, "{text:?}");
        let index = error.to_string().split("byte ").nth(1).unwrap().to_owned();
        let (Error::HalfByte { index: at, .. }
        | Error::NotHex { index: at, .. }
        | Error::BarePrefix { index: at }) = expected
        else {
            unreachable!()
        };
        assert!(index.starts_with(&at.to_string()), "{error}");
    }
}

#[test]
fn a_character_that_does_not_fit_is_named_with_its_index() {
    let arena = Mallocator::new().unwrap();
    let error = refused(&arena, || arena.alloc_string::<u8>("€"));
    assert_eq!(error, Error::CharacterDoesNotFit { character: '€', index: 0, width: 1 });
    assert!(error.to_string().contains("'€' (U+20AC) at byte 0"), "{error}");
    let error = refused(&arena, || arena.alloc_string_raw("pré€", 1));
    assert_eq!(error, Error::CharacterDoesNotFit { character: '€', index: 4, width: 1 });
    assert!(refused(&arena, || arena.alloc_string::<u8>("\u{100}")).to_string().contains("U+0100"));
}

#[test]
fn two_byte_units_are_utf_16() {
    let arena = Mallocator::new().unwrap();
    let packed = arena.alloc_string_raw("€", 2).unwrap();
    // SAFETY: written, and nobody writes to it.
    assert_eq!(unsafe { common::bytes_at(packed) }, [0xac, 0x20, 0, 0]);
    assert_eq!(arena.alloc_string::<u16>("€").unwrap(), [0x20ac, 0]);
    assert_eq!(arena.alloc_string::<u16>("😀").unwrap(), [0xd83d, 0xde00, 0]);
    for text in ["", "plain", "naïve", "\0a\0", "\u{ffff}\u{10000}\u{10ffff}", "日本語😀"] {
        let expected: Vec<u16> = text.encode_utf16().chain([0]).collect();
        assert_eq!(arena.alloc_string::<u16>(text).unwrap(), expected);
    }
}

#[test]
fn one_byte_units_are_latin_1_and_four_byte_units_are_utf_32() {
    let arena = Mallocator::new().unwrap();
    let latin: String = (0..=0xff_u8).map(char::from).collect();
    let bytes: Vec<u8> = (0..=0xff).chain([0]).collect();
    assert_eq!(arena.alloc_string::<u8>(&latin).unwrap(), bytes);
    let wide: Vec<u32> = "a€😀".chars().map(u32::from).chain([0]).collect();
    assert_eq!(arena.alloc_string::<u32>("a€😀").unwrap(), wide);
}

#[test]
fn typed_units_are_aligned_and_raw_units_are_packed() {
    let arena = Mallocator::new().unwrap();
    arena.alloc_bytes(&[1]);
    let typed = arena.alloc_string::<u32>("a").unwrap();
    assert_eq!(arena.offset_of(typed), Some(4));
    arena.alloc_bytes(&[1]);
    for (width, at) in [(4, 13), (2, 21), (1, 25)] {
        let packed = arena.alloc_string_raw("a", width).unwrap();
        assert_eq!(arena.offset_of(packed.as_ptr()), Some(at));
        assert_eq!(packed.len(), 2 * width);
        // SAFETY: written, and nobody writes to it.
        let bytes = unsafe { common::bytes_at(packed) };
        let expected: Vec<u8> =
            [u32::from('a'), 0].iter().flat_map(|unit| unit.to_le_bytes()[..width].to_vec()).collect();
        assert_eq!(bytes, expected);
    }
    for width in [0, 3, 5, 8, usize::MAX] {
        assert_eq!(refused(&arena, || arena.alloc_string_raw("a", width)), Error::InvalidWidth { width });
    }
}

#[test]
fn text_that_is_too_long_moves_nothing() {
    let arena = Mallocator::with_size(1).unwrap();
    let page = mallocator::page_size();
    let text = "a".repeat(page - 1);
    assert!(matches!(refused(&arena, || arena.alloc_string::<u16>(&text)), Error::Exhausted { .. }));
    assert!(matches!(refused(&arena, || arena.alloc_string_raw(&text, 2)), Error::Exhausted { .. }));
    let hex = "00".repeat(page + 1);
    assert!(matches!(refused(&arena, || arena.alloc_byte_string(&hex)), Error::Exhausted { .. }));
    let long = "a".repeat(page + 1);
    assert!(matches!(refused(&arena, || arena.try_alloc_str(&long)), Error::Exhausted { .. }));
    // With the NUL it fills the page to the last byte.
    assert_eq!(arena.alloc_string::<u8>(&text).unwrap().len(), page);
    assert_eq!(arena.available(), 0);
    assert_eq!(arena.alloc_str(""), "");
}

#[test]
fn utf_8_is_copied_as_it_is() {
    let arena = Mallocator::new().unwrap();
    for text in ["", "a", "naïve", "日本語😀", "with\0nul"] {
        let copy = arena.alloc_str(text);
        assert_eq!(copy, text);
        assert_eq!(arena.try_alloc_str(text).unwrap(), text);
    }
}
