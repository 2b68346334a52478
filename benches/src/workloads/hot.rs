//! Single allocations in a tight loop: some 100,000, then everything back at once, on the same memory again and again.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Process, Scale, Section, Task, Workload, entries, for_all, for_values};
use crate::inputs::{self, consume};
use crate::peers::{
    Blink, Bump, BumpScope, BumpScope8, Cursors, Fallible, Glibc, Jemalloc, Mallocator, Mimalloc, Peer,
    Snmalloc,
};
use crate::rounds::ROUND;

/// A value that is made from a number, so that no two stores are the same, where making one costs an instruction at most.
pub(crate) trait Object: Copy + 'static {
    fn make(number: usize) -> Self;
}

impl Object for u64 {
    #[inline]
    fn make(number: usize) -> Self {
        number as u64
    }
}

impl Object for [u8; 3] {
    #[inline]
    fn make(_: usize) -> Self {
        [1, 2, 3]
    }
}

/// The 24-byte structure.
#[derive(Clone, Copy)]
pub(crate) struct Three {
    _fields: [u64; 3],
}

impl Object for Three {
    #[inline]
    fn make(number: usize) -> Self {
        let number = number as u64;
        Self { _fields: [number, number + 1, number + 2] }
    }
}

const COUNT: usize = 100_000;

pub(crate) fn workloads(scale: Scale) -> Vec<Workload> {
    let count = scale.of(COUNT, COUNT / 10);
    let hot = |name, section, entries| Workload {
        name,
        section,
        process: Process::Shared,
        unit: "allocation",
        units: count,
        rounds: scale.rounds(24),
        entries,
    };
    let blocks = scale.of(2000, 200);
    let mut all = vec![
        hot("alloc(u64)", Section::Hot, for_values!(values [u64] (count); u64)),
        hot("alloc([u8; 3])", Section::Hot, for_values!(values [[u8; 3]] (count); [u8; 3])),
        hot("alloc(24 bytes)", Section::Hot, for_values!(values [Three] (count); Three)),
        hot("try_alloc(u64)", Section::HotFallible, fallible::<u64>(count)),
        hot("try_alloc([u8; 3])", Section::HotFallible, fallible::<[u8; 3]>(count)),
        hot("try_alloc(24 bytes)", Section::HotFallible, fallible::<Three>(count)),
        hot("runtime layouts", Section::Blocks, for_all!(layouts [] (count))),
        hot("alloc_str, 3..=12 bytes", Section::Blocks, for_all!(strings [] (count))),
        hot("4 KiB blocks, warm", Section::Blocks, for_all!(pages [] (blocks))),
    ];
    all.last_mut().expect("there are some").units = blocks;
    all
}

fn fallible<T: Object>(count: usize) -> Vec<super::Entry> {
    entries!(values [T] (count);
        Fallible<Mallocator>, Fallible<Bump>, Fallible<BumpScope>, Fallible<BumpScope8>, Fallible<Blink>,
        Fallible<Glibc>, Fallible<Mimalloc>, Fallible<Jemalloc>, Fallible<Snmalloc>)
}

/// Values of one type. Those of a general allocator are kept in a list and freed at the end of each pass.
pub(crate) fn values<C: Cursors<T> + 'static, T: Object>(count: usize) -> Task {
    let mut peer = C::create();
    let mut kept = Vec::with_capacity(if C::FREES { count } else { 0 });
    let places = [put_all::<C, T, 0>, put_all::<C, T, 16>, put_all::<C, T, 32>, put_all::<C, T, 48>];
    Box::new(move |passes| {
        let start = Instant::now();
        let put_all = places[ROUND.load(Ordering::Relaxed) % places.len()];
        for _ in 0..passes {
            put_all(&peer, count, &mut kept);
            free_all(&peer, &mut kept);
            peer.reset();
        }
        start.elapsed()
    })
}

/// A loop this short gains or loses a fifth and more by where its code happens to lie in lines of 64 bytes. So each peer's is
/// there four times, further back by 16 bytes each, and rounds take turns: the same for every peer in a round.
#[inline(never)]
fn put_all<C: Cursors<T>, T: Object, const BACK: usize>(peer: &C, count: usize, kept: &mut Vec<NonNull<T>>) {
    place::<BACK>();
    let mut cursor = peer.cursor();
    for number in 0..count {
        let object = C::put(&mut cursor, T::make(number));
        consume(object);
        if C::FREES {
            kept.push(object);
        }
    }
}

/// Code that does nothing, aligned to lines of 64 bytes and `BACK` bytes long.
#[inline(always)]
fn place<const BACK: usize>() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: nothing but padding.
    unsafe {
        std::arch::asm!(".p2align 6", ".rept {back}", "nop", ".endr", back = const BACK, options(nomem, nostack));
    }
}

#[inline(never)]
fn free_all<C: Cursors<T>, T: Copy>(peer: &C, kept: &mut Vec<NonNull<T>>) {
    for object in kept.drain(..) {
        // SAFETY: the pass has just put it in, and nobody else has it.
        unsafe { peer.free(object) };
    }
}

/// Measures a pass over blocks whose layouts are known before it.
fn blocks<P: Peer + 'static>(
    layouts: Vec<Layout>,
    mut pass: impl FnMut(&P, &mut Vec<NonNull<u8>>) + 'static,
) -> Task {
    let mut peer = P::create();
    let mut kept = Vec::with_capacity(if P::FREES { layouts.len() } else { 0 });
    Box::new(move |passes| {
        let start = Instant::now();
        for _ in 0..passes {
            pass(&peer, &mut kept);
            free_blocks(&peer, &layouts, &mut kept);
            peer.reset();
        }
        start.elapsed()
    })
}

#[inline(never)]
fn free_blocks<P: Peer>(peer: &P, layouts: &[Layout], kept: &mut Vec<NonNull<u8>>) {
    for (block, &layout) in kept.drain(..).zip(layouts) {
        // SAFETY: the pass has just asked for it, by this layout, and nobody else has it.
        unsafe { peer.free(block, layout) };
    }
}

fn layouts<P: Peer + 'static>(count: usize) -> Task {
    let layouts = inputs::layouts(count);
    blocks(layouts.clone(), move |peer: &P, kept| layout_pass(peer, &layouts, kept))
}

#[inline(never)]
fn layout_pass<P: Peer>(peer: &P, layouts: &[Layout], kept: &mut Vec<NonNull<u8>>) {
    for &layout in layouts {
        let block = peer.alloc_layout(layout);
        consume(block);
        if P::FREES {
            kept.push(block);
        }
    }
}

pub(crate) fn strings<P: Peer + 'static>(count: usize) -> Task {
    let (text, places) = inputs::words(count);
    let layout = |place: &std::ops::Range<usize>| Layout::for_value(&text[place.clone()]);
    blocks(places.iter().map(layout).collect(), {
        let text: &'static str = text.clone().leak();
        let words: Vec<&'static str> = places.iter().map(|place| &text[place.clone()]).collect();
        move |peer: &P, kept| string_pass(peer, &words, kept)
    })
}

#[inline(never)]
fn string_pass<P: Peer>(peer: &P, words: &[&str], kept: &mut Vec<NonNull<u8>>) {
    for word in words {
        let block = peer.alloc_str(word);
        consume(block);
        if P::FREES {
            kept.push(block);
        }
    }
}

/// Blocks of a page, of which a word is written.
fn pages<P: Peer + 'static>(count: usize) -> Task {
    let page = Layout::from_size_align(4096, 8).expect("a layout");
    blocks(vec![page; count], move |peer: &P, kept| page_pass(peer, page, count, kept))
}

#[inline(never)]
fn page_pass<P: Peer>(peer: &P, page: Layout, count: usize, kept: &mut Vec<NonNull<u8>>) {
    for _ in 0..count {
        let block = peer.alloc_layout(page);
        // SAFETY: the block was just handed out, for a whole page.
        unsafe { block.cast::<usize>().write(count) };
        consume(block);
        if P::FREES {
            kept.push(block);
        }
    }
}
