//! What is known of the blocks that were handed out.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering;

use mallocator::Mallocator;

use super::{CALLS, Kind};

/// What is known of a live block.
struct Block {
    len: usize,
    pattern: u8,
    depth: usize,
}

pub(super) struct Shadow {
    /// By address.
    blocks: BTreeMap<usize, Block>,
    range: Range<usize>,
    next: u8,
    kind: Kind,
}

impl Shadow {
    pub(super) fn new(kind: Kind) -> Self {
        Self { blocks: BTreeMap::new(), range: 0..0, next: 1, kind }
    }

    /// A call was made.
    pub(super) fn count(&self) {
        CALLS[self.kind as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Blocks lie in the range of this arena.
    pub(super) fn cover(&mut self, arena: &Mallocator) {
        let base = arena.base().addr().get();
        self.range = base..base + arena.size();
    }

    /// A call handed out `len` bytes: they are written, and remembered.
    pub(super) fn took(
        &mut self,
        arena: &Mallocator,
        start: *mut u8,
        len: usize,
        align: usize,
        depth: usize,
    ) {
        let address = start.addr();
        assert_eq!(address % align, 0, "misaligned");
        if len == 0 {
            return;
        }
        let end = address + len;
        assert!(self.range.start <= address && end <= self.range.end, "outside");
        assert!(end <= self.range.start + arena.committed(), "not committed");
        let before = self.blocks.range(..end).next_back();
        assert!(before.is_none_or(|(&start, block)| start + block.len <= address), "overlap");
        self.next = self.next.wrapping_mul(5).wrapping_add(3);
        // SAFETY: the arena has just handed out these bytes, and they are used through raw pointers only.
        unsafe { start.write_bytes(self.next, len) };
        self.blocks.insert(address, Block { len, pattern: self.next, depth });
        if self.next % 8 == 0 {
            self.check_near(arena, address);
        }
    }

    fn check(arena: &Mallocator, address: usize, block: &Block) {
        let start = arena.base().as_ptr().with_addr(address);
        // SAFETY: the block is live and was written.
        let bytes = unsafe { std::slice::from_raw_parts(start, block.len) };
        assert!(are(bytes, block.pattern), "contents changed");
    }

    fn check_near(&self, arena: &Mallocator, address: usize) {
        for (&address, block) in self.blocks.range(..=address).rev().take(3) {
            Self::check(arena, address, block);
        }
    }

    pub(super) fn check_level(&self, arena: &Mallocator, depth: usize) {
        for (&address, block) in self.blocks.iter().filter(|(_, block)| block.depth >= depth) {
            Self::check(arena, address, block);
        }
    }

    pub(super) fn check_all(&self, arena: &Mallocator) {
        assert!(are_apart(self.ranges()), "overlap");
        self.check_level(arena, 0);
    }

    /// Where the live blocks are, in the order of their addresses.
    pub(super) fn ranges(&self) -> impl Iterator<Item = Range<usize>> {
        self.blocks.iter().map(|(&address, block)| address..address + block.len)
    }

    /// The scope at `depth` has ended, and those in it.
    pub(super) fn forget(&mut self, depth: usize) {
        self.blocks.retain(|_, block| block.depth < depth);
    }
}

/// Whether no two ranges, which come in the order of their starts, have anything in common.
pub(super) fn are_apart(ranges: impl Iterator<Item = Range<usize>>) -> bool {
    let mut end = 0;
    ranges.into_iter().all(|range| {
        let apart = range.start >= end;
        end = range.end;
        apart
    })
}

/// Whether all of the bytes are `value`. Not one by one, as each would be counted where it is looked for new ways.
pub(super) fn are(bytes: &[u8], value: u8) -> bool {
    bytes.first().is_none_or(|&first| first == value)
        && bytes.get(1..).unwrap_or_default() == &bytes[..bytes.len().max(1) - 1]
}
