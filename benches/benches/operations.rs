//! What the peers offer beyond the common trait, each in its own words.

use mallocator_bench::peers::{Blink, Bump, BumpScope, Mallocator, Peer};

/// Slices, iterators of unknown length, formatted text.
pub(crate) trait More: Peer {
    /// A copy of a slice.
    fn copy(&self, source: &[u32]) -> &[u32];

    /// Everything that an iterator has.
    fn collect(&self, elements: impl Iterator<Item = u32>) -> &[u32];
}

/// Formatted text, which blink-alloc has not.
pub(crate) trait Format: Peer {
    /// Two numbers, as text.
    fn format(&self, left: usize, right: usize) -> &str;
}

/// Something that is taken back at its end, which bumpalo and blink-alloc have not.
pub(crate) trait Scoped: Peer {
    /// Opens one, allocates in it, closes it.
    fn scope(&mut self, value: u64);
}

impl More for Mallocator {
    fn copy(&self, source: &[u32]) -> &[u32] {
        self.alloc_slice_copy(source)
    }

    fn collect(&self, elements: impl Iterator<Item = u32>) -> &[u32] {
        self.alloc_iter(elements)
    }
}

impl More for Bump {
    fn copy(&self, source: &[u32]) -> &[u32] {
        self.alloc_slice_copy(source)
    }

    fn collect(&self, elements: impl Iterator<Item = u32>) -> &[u32] {
        bumpalo::collections::Vec::from_iter_in(elements, self).into_bump_slice()
    }
}

impl More for BumpScope {
    fn copy(&self, source: &[u32]) -> &[u32] {
        self.alloc_slice_copy(source).into_mut()
    }

    fn collect(&self, elements: impl Iterator<Item = u32>) -> &[u32] {
        self.alloc_iter(elements).into_mut()
    }
}

impl More for Blink {
    fn copy(&self, source: &[u32]) -> &[u32] {
        self.copy_slice(source)
    }

    fn collect(&self, elements: impl Iterator<Item = u32>) -> &[u32] {
        self.emplace_no_drop().from_iter(elements)
    }
}

impl Format for Mallocator {
    fn format(&self, left: usize, right: usize) -> &str {
        self.alloc_fmt(format_args!("{left} of {right}"))
    }
}

impl Format for Bump {
    fn format(&self, left: usize, right: usize) -> &str {
        bumpalo::format!(in self, "{} of {}", left, right).into_bump_str()
    }
}

impl Format for BumpScope {
    fn format(&self, left: usize, right: usize) -> &str {
        self.alloc_fmt(format_args!("{left} of {right}")).into_mut()
    }
}

impl Scoped for Mallocator {
    fn scope(&mut self, value: u64) {
        Mallocator::scope(self, |scratch| {
            std::hint::black_box(scratch.alloc(value));
        });
    }
}

impl Scoped for BumpScope {
    fn scope(&mut self, value: u64) {
        self.scoped(|scratch| {
            std::hint::black_box(scratch.alloc(value));
        });
    }
}
