//! Blocks that grow, shrink and are given back through the `Allocator` trait.

use std::alloc::Layout;
use std::ptr::NonNull;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as OwnedVec;
use mallocator::Mallocator;

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// Fills a block with a pattern that depends on the place.
fn fill(block: NonNull<[u8]>) {
    for index in 0..block.len() {
        // SAFETY: the block is live and this test's.
        unsafe { block.cast::<u8>().add(index).write(pattern(index)) };
    }
}

fn pattern(index: usize) -> u8 {
    (index * 7 + 1).to_le_bytes()[0]
}

fn holds(block: NonNull<[u8]>, len: usize) -> bool {
    // SAFETY: the first bytes of the block were written.
    (0..len).all(|index| unsafe { block.cast::<u8>().add(index).read() } == pattern(index))
}

/// Runtime layouts need not be whole multiples of their alignment.
#[test]
fn a_size_that_is_no_multiple_of_its_alignment_is_placed_aligned_and_packed_behind() {
    let arena = Mallocator::new().unwrap();
    for (size, align) in [(3, 2), (5, 4), (9, 8), (1, 64), (65, 64), (100, 32)] {
        for before in 0..9 {
            arena.alloc_raw(before, 1).unwrap();
            let used = arena.used();
            let start = used.next_multiple_of(align);
            let block = arena.alloc_layout(layout(size, align));
            assert_eq!(arena.offset_of(block.as_ptr()), Some(start));
            assert_eq!(arena.used(), start + size);
        }
    }
}

#[test]
fn allocate_returns_exactly_the_bytes_asked_for() {
    let arena = Mallocator::new().unwrap();
    for size in [0, 1, 3, 8, 100] {
        for align in [1, 2, 8, 64] {
            let block = Allocator::allocate(&&arena, layout(size, align)).unwrap();
            assert_eq!((block.len(), block.cast::<u8>().addr().get() % align), (size, 0));
            assert_eq!(arena.allocate_zeroed(layout(size, align)).unwrap().len(), size);
        }
    }
    assert!(arena.allocate(layout(100_000, 1)).is_err());
}

#[test]
fn every_growth_keeps_the_contents_and_copies_no_more() {
    let arena = Mallocator::new().unwrap();
    for last in [true, false] {
        for (old, new) in [(0, 0), (0, 1), (1, 1), (7, 8), (16, 1000), (100, 101)] {
            for (old_align, new_align) in [(1, 1), (8, 8), (1, 64), (64, 1), (4, 16)] {
                let mark = arena.mark();
                arena.alloc(1_u8);
                let block = arena.allocate(layout(old, old_align)).unwrap();
                fill(block);
                let behind = (!last).then(|| arena.alloc([0xaa_u8; 24]));
                // SAFETY: the block is live, has that layout, and the new one is not smaller.
                let grown =
                    unsafe { arena.grow(block.cast(), layout(old, old_align), layout(new, new_align)) }
                        .unwrap();
                assert_eq!((grown.len(), grown.cast::<u8>().addr().get() % new_align), (new, 0));
                assert!(holds(grown, old));
                fill(grown);
                assert!(behind.is_none_or(|behind| *behind == [0xaa; 24]));
                let aligned = old > 0 && block.cast::<u8>().addr().get() % new_align == 0;
                if last && aligned {
                    assert_eq!(grown.cast::<u8>(), block.cast::<u8>(), "the last block grows in place");
                }
                // SAFETY: nothing that was allocated since is used again.
                unsafe { arena.rewind(mark) };
            }
        }
    }
}

#[test]
fn every_shrink_keeps_the_contents_and_only_the_last_gives_back() {
    let arena = Mallocator::new().unwrap();
    for last in [true, false] {
        for (old, new) in [(0, 0), (1, 0), (1, 1), (8, 7), (1000, 16), (64, 63)] {
            for (old_align, new_align) in [(1, 1), (8, 8), (1, 64), (64, 1), (4, 16)] {
                let mark = arena.mark();
                arena.alloc(1_u8);
                let block = arena.allocate(layout(old, old_align)).unwrap();
                fill(block);
                let behind = (!last).then(|| arena.alloc([0xaa_u8; 24]));
                let used = arena.used();
                // SAFETY: the block is live, has that layout, and the new one is not larger.
                let shrunk =
                    unsafe { arena.shrink(block.cast(), layout(old, old_align), layout(new, new_align)) }
                        .unwrap();
                assert_eq!((shrunk.len(), shrunk.cast::<u8>().addr().get() % new_align), (new, 0));
                assert!(holds(shrunk, new), "contents");
                if shrunk.cast::<u8>() == block.cast::<u8>() {
                    assert_eq!(arena.used(), if last { used - (old - new) } else { used });
                }
                fill(shrunk);
                assert!(behind.is_none_or(|behind| *behind == [0xaa; 24]));
                // SAFETY: nothing that was allocated since is used again.
                unsafe { arena.rewind(mark) };
            }
        }
    }
}

#[test]
fn only_the_last_block_is_given_back_and_the_cursor_stays_good_for_any_alignment() {
    let arena = Mallocator::new().unwrap();
    arena.alloc(1_u8);
    let first = arena.allocate(layout(3, 1)).unwrap();
    let second = arena.allocate(layout(5, 1)).unwrap();
    // SAFETY: each is live, has that layout, and is not used again.
    unsafe { arena.deallocate(first.cast(), layout(3, 1)) };
    assert_eq!(arena.used(), 9, "not the last");
    // SAFETY: as above.
    unsafe { arena.deallocate(second.cast(), layout(5, 1)) };
    assert_eq!(arena.used(), 4);
    assert_eq!(arena.offset_of(arena.alloc(1_u64)), Some(8));
    // Nothing is nothing.
    let nothing = arena.allocate(layout(0, 64)).unwrap();
    // SAFETY: as above.
    unsafe { arena.deallocate(nothing.cast(), layout(0, 64)) };
    assert_eq!(arena.used(), 16);
}

#[test]
fn a_growth_that_is_refused_leaves_the_block_as_it_was() {
    let arena = Mallocator::new().unwrap();
    let block = arena.allocate(layout(1000, 1)).unwrap();
    fill(block);
    // SAFETY: the block is live, has that layout, and the new one is not smaller.
    let refused = unsafe { arena.grow(block.cast(), layout(1000, 1), layout(100_000, 1)) };
    assert!(refused.is_err());
    assert_eq!(arena.used(), 1000);
    assert!(holds(block, 1000));
    let huge = layout(isize::MAX as usize, 1);
    // SAFETY: as above.
    assert!(unsafe { arena.grow(block.cast(), layout(1000, 1), huge) }.is_err());
    // SAFETY: as above.
    assert!(unsafe { arena.grow_zeroed(block.cast(), layout(1000, 1), huge) }.is_err());
    assert!(arena.allocate(huge).is_err() && arena.allocate_zeroed(huge).is_err());
    assert_eq!(arena.used(), 1000);
    // To the last byte it is granted.
    // SAFETY: as above.
    let full = unsafe { arena.grow(block.cast(), layout(1000, 1), layout(65_536, 1)) }.unwrap();
    assert!(holds(full, 1000));
    assert_eq!(arena.available(), 0);
}

#[test]
fn a_block_does_not_grow_in_a_region_that_is_no_longer_writable() {
    let arena = Mallocator::new().unwrap();
    let block = arena.allocate(layout(8, 1)).unwrap();
    // SAFETY: nothing in the arena is written from here on.
    unsafe { arena.protect(0..arena.size(), mallocator::Protection::READ).unwrap() };
    // SAFETY: the block is live, has that layout, and the new one is not smaller.
    assert!(unsafe { arena.grow(block.cast(), layout(8, 1), layout(16, 1)) }.is_err());
    assert_eq!(arena.used(), 8);
}

/// On a region that is not plainly writable nothing may be written, so nothing is allocated.
#[test]
fn the_trait_refuses_a_region_that_is_not_writable() {
    let arena = Mallocator::builder().protection(mallocator::Protection::READ).build().unwrap();
    assert!(arena.allocate(layout(1, 1)).is_err() && arena.allocate_zeroed(layout(1, 1)).is_err());
    assert!(arena.allocate(layout(0, 1)).is_err());
}

/// Every path to a growth of a whole reservation, without a copy.
#[test]
fn a_vector_grown_in_exact_steps_fills_95_percent_of_its_reservation_and_never_moves() {
    let mut bytes = OwnedVec::new_in(Mallocator::with_size(64 << 20).unwrap());
    bytes.push(0_u8);
    let start = bytes.as_ptr();
    while bytes.try_reserve_exact(1 << 16).is_ok() {
        bytes.resize(bytes.len() + (1 << 16), 7);
        assert_eq!(bytes.as_ptr(), start);
    }
    assert!(bytes.len() * 100 >= bytes.allocator().size() * 95, "{}", bytes.len());
    assert!(bytes[1..].iter().all(|&byte| byte == 7));
}
