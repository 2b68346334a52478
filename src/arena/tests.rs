//! What cannot be seen from outside.

use super::Mallocator;
use crate::protection::Protection;
use crate::pure::bump::SLOW_MARGIN;
use crate::vm::Reservation;

impl Mallocator {
    /// Without the time that a report takes.
    pub(crate) fn huge_from(&self) -> Option<usize> {
        self.backing().reservation().and_then(Reservation::huge_from)
    }
}

fn limit(arena: &Mallocator) -> usize {
    match arena.limit.get() {
        0 => 0,
        limit => limit + SLOW_MARGIN,
    }
}

/// Without a limit everything would still work, the slow way.
#[test]
fn the_fast_path_is_open_to_the_innermost_alone_up_to_what_is_committed() {
    let arena = Mallocator::with_size(1 << 20).unwrap();
    assert_eq!(limit(&arena), arena.backing().ready());
    arena.alloc([0_u8; 100_000]);
    assert_eq!(limit(&arena), arena.backing().ready());
    arena.scope(|view| {
        assert_eq!((limit(&arena), limit(view)), (0, arena.backing().ready()));
        view.scope(|deeper| {
            arena.alloc([0_u8; 200_000]);
            assert_eq!((limit(view), limit(deeper)), (0, arena.backing().ready()));
        });
        assert_eq!((limit(&arena), limit(view)), (0, arena.backing().ready()));
    });
    assert_eq!(limit(&arena), arena.backing().ready());
    let size = arena.size();
    // SAFETY: nothing in the arena is used.
    unsafe { arena.protect(0..size, Protection::READ).unwrap() };
    assert_eq!(limit(&arena), 0);
    // SAFETY: as above.
    unsafe { arena.protect(0..size, Protection::READ_WRITE).unwrap() };
    assert_eq!(limit(&arena), arena.backing().ready());
}
