//! The same for an arena that threads share.

use std::alloc::Layout;
use std::fmt;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use mallocator::{Error, SyncMallocator};

use super::{Asked, Input};

pub(super) fn share(input: &mut Input<'_>, mut arena: SyncMallocator, asked: &Asked) {
    let protection = asked.protection;
    // The last block, until it is taken back.
    let mut last = None;
    assert_eq!((arena.used(), arena.available()), (0, arena.size()));
    assert!(arena.contains(arena.base().as_ptr()) && !format!("{arena:?}").is_empty());
    for _ in 0..input.byte() % 16 {
        let (before, byte, len) = (arena.used(), input.byte(), input.size());
        match input.byte() % 8 {
            0 => {
                arena.reset();
                assert_eq!(arena.used(), 0);
                if let Some(place) = last.take().filter(|_| asked.zero_on_release) {
                    // SAFETY: the block was in committed memory that can be read, and nobody has it.
                    assert_eq!(unsafe { NonNull::read(place) }, 0);
                }
            }
            1 => {
                arena.try_trim().unwrap();
                assert!(arena.committed() >= arena.used());
            }
            2 | 3 => {
                let outcome = arena.batch(len).try_alloc([byte; 24]).map(|bytes| *bytes);
                let room = before.saturating_add(len.max(24) + 256) <= arena.size();
                refused_or(outcome, asked, room, |bytes| assert_eq!(bytes, [byte; 24]));
            }
            4 => {
                let layout = Layout::from_size_align(len, 1 << (input.byte() % 13)).unwrap();
                let fits = len == 0 || before.next_multiple_of(layout.align()) + len <= arena.size();
                let outcome = arena.allocate_zeroed(layout);
                assert!(outcome.is_ok() == (fits && protection.is_writable()) || asked.lock);
                if let Ok(block) = outcome {
                    // SAFETY: it was just handed out, zeroed.
                    assert!(unsafe { block.as_ref() }.iter().all(|&byte| byte == 0));
                }
            }
            _ => {
                let layout = Layout::from_size_align(len, 1 << (input.byte() % 13)).unwrap();
                let fits = len == 0 || before.next_multiple_of(layout.align()) + len <= arena.size();
                let outcome = arena.try_alloc_layout(layout);
                refused_or(outcome, asked, fits, |place| {
                    assert_eq!(place.addr().get() % layout.align(), 0);
                    // SAFETY: it was just handed out, and ordinary stores work.
                    unsafe { place.write_bytes(byte, len) };
                    last = (len > 0).then_some(place).or(last);
                });
                assert!(fits || arena.used() == before);
            }
        }
    }
    if input.byte() % 2 == 0 {
        arena.free().unwrap();
    }
}

/// Refused where it cannot be written, granted where there is room for sure.
fn refused_or<T: fmt::Debug>(outcome: Result<T, Error>, asked: &Asked, room: bool, check: impl FnOnce(T)) {
    match outcome {
        Ok(thing) => {
            assert!(asked.protection.is_writable());
            check(thing);
        }
        Err(Error::NotWritable { protection: said }) => {
            assert!(said == asked.protection && !said.is_writable());
        }
        Err(Error::Os(_)) if asked.lock => {}
        Err(error) => assert!(matches!(error, Error::Exhausted { .. }) && !room, "{error:?}"),
    }
}
