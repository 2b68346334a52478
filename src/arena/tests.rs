//! What cannot be seen from outside.

use super::Mallocator;
use crate::Protection;
use crate::pure::bump::RESERVE;

fn limit(arena: &Mallocator) -> usize {
    match arena.limit.get() {
        0 => 0,
        limit => limit + RESERVE,
    }
}

/// Without a limit everything would still work, the slow way.
#[test]
fn the_fast_path_is_open_to_the_innermost_alone_up_to_what_is_committed() {
    let arena = Mallocator::with_size(1 << 20).unwrap();
    assert_eq!(limit(&arena), arena.committed_end());
    arena.alloc([0_u8; 100_000]);
    assert_eq!(limit(&arena), arena.committed_end());
    arena.scope(|view| {
        assert_eq!((limit(&arena), limit(view)), (0, arena.committed_end()));
        view.scope(|deeper| {
            arena.alloc([0_u8; 200_000]);
            assert_eq!((limit(view), limit(deeper)), (0, arena.committed_end()));
        });
        assert_eq!((limit(&arena), limit(view)), (0, arena.committed_end()));
    });
    assert_eq!(limit(&arena), arena.committed_end());
    let size = arena.size();
    // SAFETY: nothing in the arena is used.
    unsafe { arena.protect(0..size, Protection::READ).unwrap() };
    assert_eq!(limit(&arena), 0);
    // SAFETY: as above.
    unsafe { arena.protect(0..size, Protection::READ_WRITE).unwrap() };
    assert_eq!(limit(&arena), arena.committed_end());
}
