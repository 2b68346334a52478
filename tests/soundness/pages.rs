//! Pages that take no ordinary stores are never written by safe code, whatever happened before and whatever ends.

use std::alloc::Layout;

use allocator_api2::alloc::Allocator;
use mallocator::{Error, Mallocator, Protection, Root, Rooted};

use crate::common::page_at;

/// Every protection of this platform under which ordinary stores do not work.
fn not_writable() -> impl Iterator<Item = Protection> {
    let plain = [Protection::NO_ACCESS, Protection::READ, Protection::EXECUTE, Protection::READ_EXECUTE];
    let writable = [Protection::READ_WRITE, Protection::READ_WRITE_EXECUTE];
    let modifiers = [Protection::GUARD, Protection::NO_CACHE, Protection::WRITE_COMBINE];
    let modified = writable.into_iter().flat_map(move |access| modifiers.map(|modifier| access | modifier));
    plain.into_iter().chain(modified)
}

/// A store would be a fault here, or worse.
fn refuses(arena: &Mallocator) {
    let protection = arena.protection();
    let refused = Error::NotWritable { protection };
    assert_eq!(arena.try_alloc(1_u8), Err(refused));
    assert_eq!(arena.try_alloc(()), Err(refused));
    assert_eq!(arena.try_alloc_uninit::<u64>().map(drop), Err(refused));
    assert_eq!(arena.try_alloc_uninit_slice::<u8>(0).map(drop), Err(refused));
    assert_eq!(arena.try_alloc_layout(Layout::new::<u8>()), Err(refused));
    assert_eq!(arena.try_alloc_str(""), Err(refused));
    assert_eq!(arena.try_alloc_bytes(b"x"), Err(refused));
    assert_eq!(arena.alloc_byte_string("00").map(drop), Err(refused));
    assert_eq!(arena.alloc_string::<u16>("x").map(drop), Err(refused));
    assert_eq!(arena.try_alloc_iter([1]), Err(refused));
    assert_eq!(arena.batch(100).try_alloc(1).map(drop), Err(refused));
    assert!(arena.allocate(Layout::new::<u8>()).is_err());
    assert!(arena.allocate_zeroed(Layout::new::<u8>()).is_err());
    assert!(arena.alloc_raw(16, 16).is_ok(), "hands out addresses, and writes nothing");
}

#[test]
fn a_region_that_takes_no_ordinary_stores_refuses_them_for_ever() {
    for protection in not_writable() {
        let mut arena = match Mallocator::builder().protection(protection).zero_on_release(true).build() {
            Err(Error::Unsupported { .. }) => continue,
            arena => arena.unwrap(),
        };
        let base = arena.base().addr().get();
        let state = page_at(base);
        refuses(&arena);
        arena.scope(|view| {
            refuses(view);
            view.scope(refuses);
            refuses(&arena);
            refuses(view);
        });
        refuses(&arena);
        let panicked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| arena.scope(|_| panic!("out"))));
        assert!(panicked.is_err());
        refuses(&arena);
        // Guard pages lose their modifier when they are touched, so nothing may be zeroed there.
        arena.reset();
        refuses(&arena);
        arena.trim();
        refuses(&arena);
        assert!(arena.committed() == 0 || page_at(base) == state, "{protection}: {state:?}");
    }
}

#[test]
fn what_lost_its_writability_refuses_stores_also_inside_and_after_scopes() {
    let arena = Mallocator::new().unwrap();
    arena.alloc(1);
    arena.scope(|view| {
        view.alloc(2);
        // SAFETY: nothing in the arena is used again before it can be written.
        unsafe { arena.protect(0..arena.size(), Protection::READ).unwrap() };
        refuses(view);
        view.scope(refuses);
    });
    refuses(&arena);
    // SAFETY: as above.
    unsafe { arena.protect(0..arena.size(), Protection::READ_WRITE).unwrap() };
    assert_eq!(arena.alloc(3), &3);
}

#[test]
fn threads_are_refused_too() {
    for protection in not_writable() {
        let Ok(shared) = Mallocator::builder().protection(protection).build_sync() else { continue };
        let refused = Error::NotWritable { protection };
        assert_eq!(shared.try_alloc_layout(Layout::new::<u8>()), Err(refused));
        assert_eq!(shared.try_alloc_layout(Layout::new::<()>()), Err(refused));
        assert_eq!(shared.batch(10).try_alloc(1).map(drop), Err(refused));
        assert!(shared.allocate_zeroed(Layout::new::<u8>()).is_err());
    }
}

/// Nothing that is sealed can be written, so neither is anything that a root leads to.
#[test]
fn a_sealed_root_is_dropped_without_a_write() {
    struct Numbers;
    impl Root for Numbers {
        type In<'a> = &'a [u32];
    }
    for protection in [Protection::READ, Protection::READ_EXECUTE] {
        let numbers = Rooted::<Numbers>::new(Mallocator::growing(), |arena| &*arena.alloc_iter(0..1000));
        let sealed = numbers.seal(protection).unwrap();
        assert_eq!(sealed.with(|numbers| numbers.len()), 1000);
        drop(sealed);
    }
}
