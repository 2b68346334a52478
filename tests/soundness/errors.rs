//! What an error leaves behind, and what it says.
use mallocator::{Error, Mallocator};

#[test]
fn an_error_of_an_outer_arena_leaves_nothing_in_the_scope() {
    let arena = Mallocator::with_size(1 << 20).unwrap();
    let kept = arena.alloc(1_u64);
    arena.scope(|scratch| {
        let held = scratch.alloc([2_u8; 1000]);
        let before = (arena.used(), scratch.used(), arena.available());
        assert_eq!(arena.alloc_try_with(|| Err::<u8, ()>(())), Err(()));
        assert!(matches!(arena.try_alloc_iter(0_u64..), Err(Error::Exhausted { .. })));
        let numbers = (0_u64..1000).map(|number| if number < 999 { number } else { panic!("the last") });
        let caught =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| arena.alloc_iter(numbers).len()));
        assert!(caught.is_err());
        assert_eq!((arena.used(), scratch.used(), arena.available()), before);
        assert_eq!(held, &[2; 1000]);
    });
    assert_eq!((*kept, arena.used()), (1, 8));
}

#[test]
fn an_error_of_an_outer_arena_leaves_what_others_took_meanwhile() {
    let arena = Mallocator::with_size(1 << 20).unwrap();
    let mut inside: Vec<&mut u64> = Vec::new();
    arena.scope(|scratch| {
        let outer = arena.alloc(7_u64);
        let pinned = arena.used();
        let mut held = Vec::new();
        let numbers = (0_u64..).inspect(|&number| {
            // Between two blocks of the growing slice, now by the one and now by the other.
            if number == 100 {
                held.push(scratch.alloc(number));
            }
            if number == 1000 {
                inside.push(arena.alloc(number));
            }
        });
        assert!(arena.try_alloc_iter(numbers).is_err());
        assert!(arena.used() > pinned);
        let more = scratch.alloc([0xff_u8; 10_000]);
        assert_eq!((*outer, *held[0], *inside[0], more[9999]), (7, 100, 1000, 0xff));
    });
    arena.alloc([0xff_u8; 10_000]);
    assert_eq!(*inside[0], 1000);
}

#[test]
fn an_error_of_an_outer_arena_in_two_scopes_leaves_nothing_when_both_have_ended() {
    let arena = Mallocator::with_size(1 << 20).unwrap();
    arena.scope(|one| {
        one.alloc(1_u64);
        one.scope(|two| {
            two.alloc(2_u64);
            assert!(arena.try_alloc_iter(0_u64..).is_err());
            assert_eq!((arena.used(), two.used()), (0, 16));
        });
    });
    assert_eq!(arena.used(), 0);
}

#[test]
fn what_is_pinned_behind_a_block_that_is_given_back_is_not_pinned_any_more() {
    let arena = Mallocator::new().unwrap();
    arena.scope(|one| {
        one.scope(|_two| {
            let block = one.alloc_boxed([1_u8; 64]);
            drop(arena.alloc_boxed([2_u8; 64])); // behind it, which pins both scopes at the end of the block
            drop(block);
        });
        assert_eq!(one.used(), 0);
        assert_eq!(one.alloc_try_with(|| Err::<[u8; 100], ()>(())), Err(()));
        assert_eq!((one.used(), arena.used()), (0, 0));
    });
    assert_eq!(arena.used(), 0);
}

#[test]
fn what_an_arena_needs_for_itself_is_refused_with_sizes() {
    let error = Error::Heap { size: 264 };
    let said = error.to_string();
    assert!(said.contains("264 bytes") && said.contains("the global allocator refused"), "{said}");
    let error = Error::TooSmall { size: 100, needed: 271 };
    let said = error.to_string();
    assert!(said.contains("in 100 bytes of lent memory") && said.contains("needs 271"), "{said}");
}

#[test]
fn a_call_on_memory_of_another_is_refused_by_its_name() {
    for call in ["protect", "seal"] {
        let said = Error::NotItsOwn { call }.to_string();
        assert!(said.starts_with(&format!("{call} was asked for, but")), "{said}");
        assert!(said.ends_with(&format!("call {call} on the arena that reserved the memory")), "{said}");
    }
}
