//! A thousand calls of the original, recorded, and made again here.

mod common;

use mallocator::{Error, Mallocator};

const RECORDED: &str = include_str!("data/original.tsv");

struct Recorded {
    run: u32,
    call: &'static str,
    argument: &'static str,
    second: usize,
    offset: usize,
    ptr: usize,
    bytes: Vec<u8>,
}

fn recorded() -> Vec<Recorded> {
    let lines = RECORDED.lines().filter(|line| !line.starts_with('#'));
    let calls = lines.map(|line| {
        let [run, call, argument, second, offset, ptr, bytes] = line.split('\t').collect::<Vec<_>>()[..]
        else {
            panic!("{line:?}")
        };
        Recorded {
            run: run.parse().unwrap(),
            call,
            argument,
            second: second.parse().unwrap_or(0),
            offset: offset.parse().unwrap(),
            ptr: ptr.parse().unwrap(),
            bytes: plain_hex(bytes),
        }
    });
    calls.collect()
}

fn plain_hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Undoes the escapes of the recording.
fn text(recorded: &str) -> String {
    let mut text = String::new();
    let mut rest = recorded;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('\\') {
            text.push('\\');
            rest = after;
        } else {
            let digits = rest.strip_prefix('u').unwrap();
            text.push(char::from_u32(u32::from_str_radix(&digits[..4], 16).unwrap()).unwrap());
            rest = &digits[4..];
        }
    }
    text + rest
}

/// Makes every recorded call with `make`, which returns where the result is and its bytes, on a fresh region of 1 MiB
/// for each run.
fn replay(mut check: impl FnMut(&Mallocator, &Recorded)) {
    let recorded = recorded();
    assert_eq!(recorded.len(), 1000);
    let mut arena = Mallocator::with_size(1 << 20).unwrap();
    let mut run = 0;
    for call in &recorded {
        if call.run != run {
            arena.free().unwrap();
            arena = Mallocator::with_size(1 << 20).unwrap();
            run = call.run;
        }
        check(&arena, call);
    }
    assert_eq!(run, 39);
    arena.free().unwrap();
}

#[test]
fn every_recorded_call_gives_the_same_offset_the_same_bytes_and_the_same_ptr() {
    replay(|arena, call| {
        let place = match call.call {
            "alloc" => {
                let block = arena.alloc_raw(call.argument.parse().unwrap(), call.second).unwrap();
                assert!(call.bytes.is_empty());
                // SAFETY: never handed out before, so zero; nobody writes to it.
                assert!(unsafe { common::bytes_at(block) }.iter().all(|&byte| byte == 0));
                block.as_ptr().cast::<u8>().cast_const()
            }
            "string" => {
                let block = arena.alloc_string_raw(&text(call.argument), call.second).unwrap();
                // SAFETY: the text was written there, and nobody writes to it.
                assert_eq!(unsafe { common::bytes_at(block) }, call.bytes);
                block.as_ptr().cast::<u8>().cast_const()
            }
            "bytes" => {
                let copy = arena.alloc_bytes(&plain_hex(call.argument));
                assert_eq!(copy, call.bytes);
                if copy.is_empty() { arena.ptr().as_ptr() } else { copy.as_ptr() }
            }
            "hex" => {
                let bytes = arena.alloc_byte_string(&text(call.argument)).unwrap();
                assert_eq!(bytes, call.bytes);
                if bytes.is_empty() { arena.ptr().as_ptr() } else { bytes.as_ptr() }
            }
            other => panic!("{other}"),
        };
        assert_eq!(arena.offset_of(place), Some(call.offset), "{:?}", call.argument);
        assert_eq!(arena.used(), call.ptr, "{:?}", call.argument);
        assert_eq!(arena.ptr().addr().get() - arena.base().addr().get(), call.ptr);
    });
}

#[test]
fn every_recorded_text_has_the_same_bytes_in_typed_units() {
    replay(|arena, call| {
        if call.call != "string" {
            return;
        }
        let text = text(call.argument);
        let bytes: Vec<u8> = match call.second {
            1 => arena.alloc_string::<u8>(&text).unwrap().to_vec(),
            2 => {
                arena.alloc_string::<u16>(&text).unwrap().iter().flat_map(|unit| unit.to_le_bytes()).collect()
            }
            4 => {
                arena.alloc_string::<u32>(&text).unwrap().iter().flat_map(|unit| unit.to_le_bytes()).collect()
            }
            other => panic!("{other}"),
        };
        assert_eq!(bytes, call.bytes, "{text:?}");
    });
}

#[test]
fn the_documented_example_gives_the_documented_bytes() {
    let arena = Mallocator::new().unwrap();
    assert_eq!(arena.alloc_byte_string("00 ab f9 0x42").unwrap(), [0x00, 0xab, 0xf9, 0x42]);
    assert_eq!(arena.used(), 4);
}

#[test]
fn what_the_original_got_wrong_is_an_error_and_moves_nothing() {
    let arena = Mallocator::new().unwrap();
    arena.alloc_bytes(b"abc");
    let refused = arena.alloc_raw(1 << 20, 1);
    assert_eq!(refused, Err(Error::Exhausted { size: 1 << 20, available: 65_533, align_log2: 0 }));
    assert_eq!(arena.alloc_raw(1, 0), Err(Error::InvalidAlignment { align: 0 }));
    assert_eq!(arena.alloc_raw(1, 3), Err(Error::InvalidAlignment { align: 3 }));
    assert_eq!(
        arena.alloc_string_raw("€", 1),
        Err(Error::CharacterDoesNotFit { character: '€', index: 0, width: 1 })
    );
    assert_eq!(arena.alloc_string_raw("a", 3), Err(Error::InvalidWidth { width: 3 }));
    assert_eq!(arena.used(), 3);
}
