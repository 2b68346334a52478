//! Counts the instructions of the hot operations, with valgrind: `scripts/check-instructions.sh` compares Mallocator's with
//! those that are written down. Each function does an operation [`COUNT`] times on memory it has used before; what it gets
//! and what it returns is made and dropped outside of the count.

// The attribute's own code, and functions that it wants to own what they get.
#![allow(missing_docs, unused_qualifications, clippy::needless_pass_by_value)]

mod batch;
mod operations;

use std::alloc::Layout;
use std::hint::black_box;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec as ArenaVec;
use batch::batches;
use gungraun::prelude::*;
use mallocator_bench::inputs::{self, consume};
use mallocator_bench::peers::{Blink, Bump, BumpScope, Fallible, Mallocator, Peer, Values};
use operations::{Format, More, Scoped};

/// Operations in each function.
const COUNT: usize = 1000;

/// Blocks of 64 KiB: each is as long as many operations.
const LARGE: usize = 16;

/// An arena that has already done what it is to do, and was reset twice: some keep their last piece of memory only.
fn warm<P: Peer>(mut run: impl FnMut(&mut P)) -> P {
    let mut peer = P::create();
    for _ in 0..3 {
        run(&mut peer);
        peer.reset();
    }
    peer
}

fn put<T: Copy, V: Values<T>>(values: &V, make: impl Fn(usize) -> T) {
    for number in 0..COUNT {
        consume(values.alloc(make(number)));
    }
}

fn word(number: usize) -> u64 {
    number as u64
}

fn bytes(number: usize) -> [u8; 3] {
    [number.to_le_bytes()[0], 2, 3]
}

fn three(number: usize) -> [u64; 3] {
    [number as u64; 3]
}

fn warm_values<T: Copy, V: Values<T>>(make: impl Fn(usize) -> T) -> V {
    let mut values = V::create();
    for _ in 0..3 {
        put(&values, &make);
        values.reset();
    }
    values
}

#[library_benchmark]
#[bench::mallocator(warm_values::<_, Mallocator>(word))]
#[bench::bumpalo(warm_values::<_, Bump>(word))]
#[bench::bump_scope(warm_values::<_, BumpScope>(word))]
#[bench::blink_alloc(warm_values::<_, Blink>(word))]
fn alloc_u64<V: Values<u64>>(values: V) -> V {
    put(&values, word);
    values
}

#[library_benchmark]
#[bench::mallocator(warm_values::<_, Mallocator>(bytes))]
#[bench::bumpalo(warm_values::<_, Bump>(bytes))]
#[bench::bump_scope(warm_values::<_, BumpScope>(bytes))]
#[bench::blink_alloc(warm_values::<_, Blink>(bytes))]
fn alloc_3_bytes<V: Values<[u8; 3]>>(values: V) -> V {
    put(&values, bytes);
    values
}

#[library_benchmark]
#[bench::mallocator(warm_values::<_, Mallocator>(three))]
#[bench::bumpalo(warm_values::<_, Bump>(three))]
#[bench::bump_scope(warm_values::<_, BumpScope>(three))]
#[bench::blink_alloc(warm_values::<_, Blink>(three))]
fn alloc_24_bytes<V: Values<[u64; 3]>>(values: V) -> V {
    put(&values, three);
    values
}

#[library_benchmark]
#[bench::mallocator(warm_values::<_, Fallible<Mallocator>>(word))]
#[bench::bumpalo(warm_values::<_, Fallible<Bump>>(word))]
#[bench::bump_scope(warm_values::<_, Fallible<BumpScope>>(word))]
#[bench::blink_alloc(warm_values::<_, Fallible<Blink>>(word))]
fn try_alloc_u64<V: Values<u64>>(values: V) -> V {
    put(&values, word);
    values
}

fn take_layouts<P: Peer>(peer: &P, layouts: &[Layout]) {
    for &layout in layouts {
        consume(peer.alloc_layout(layout));
    }
}

fn warm_layouts<P: Peer>(layouts: Vec<Layout>) -> (P, Vec<Layout>) {
    (warm(|peer| take_layouts(peer, &layouts)), layouts)
}

fn pages() -> Vec<Layout> {
    vec![Layout::from_size_align(4096, 8).expect("a layout"); COUNT]
}

#[library_benchmark]
#[bench::mallocator(warm_layouts::<Mallocator>(inputs::layouts(COUNT)))]
#[bench::bumpalo(warm_layouts::<Bump>(inputs::layouts(COUNT)))]
#[bench::bump_scope(warm_layouts::<BumpScope>(inputs::layouts(COUNT)))]
#[bench::blink_alloc(warm_layouts::<Blink>(inputs::layouts(COUNT)))]
fn alloc_layout<P: Peer>((peer, layouts): (P, Vec<Layout>)) -> (P, Vec<Layout>) {
    take_layouts(&peer, &layouts);
    (peer, layouts)
}

#[library_benchmark]
#[bench::mallocator(warm_layouts::<Mallocator>(pages()))]
#[bench::bumpalo(warm_layouts::<Bump>(pages()))]
#[bench::bump_scope(warm_layouts::<BumpScope>(pages()))]
#[bench::blink_alloc(warm_layouts::<Blink>(pages()))]
fn blocks_of_4_kib<P: Peer>((peer, layouts): (P, Vec<Layout>)) -> (P, Vec<Layout>) {
    take_layouts(&peer, &layouts);
    (peer, layouts)
}

type Words = Vec<&'static str>;

fn copy_words<P: Peer>(peer: &P, words: &[&str]) {
    for word in words {
        consume(peer.alloc_str(word));
    }
}

fn warm_words<P: Peer>() -> (P, Words) {
    let (text, places) = inputs::words(COUNT);
    let text: &'static str = text.leak();
    let words: Words = places.into_iter().map(|place| &text[place]).collect();
    (warm(|peer| copy_words(peer, &words)), words)
}

#[library_benchmark]
#[bench::mallocator(warm_words::<Mallocator>())]
#[bench::bumpalo(warm_words::<Bump>())]
#[bench::bump_scope(warm_words::<BumpScope>())]
#[bench::blink_alloc(warm_words::<Blink>())]
fn alloc_str<P: Peer>((peer, words): (P, Words)) -> (P, Words) {
    copy_words(&peer, &words);
    (peer, words)
}

fn scopes<P: Scoped>(peer: &mut P) {
    for number in 0..COUNT {
        peer.scope(number as u64);
    }
}

#[library_benchmark]
#[bench::mallocator(warm::<Mallocator>(scopes))]
#[bench::bump_scope(warm::<BumpScope>(scopes))]
fn scope<P: Scoped>(mut peer: P) -> P {
    scopes(&mut peer);
    peer
}

fn lives<P: Peer>() {
    for number in 0..COUNT {
        black_box(P::create().alloc(number));
    }
}

// Under valgrind the largest reservation is refused, and the next smaller is asked for: that counts.
#[library_benchmark]
#[bench::mallocator(lives::<Mallocator>)]
#[bench::bumpalo(lives::<Bump>)]
#[bench::bump_scope(lives::<BumpScope>)]
#[bench::blink_alloc(lives::<Blink>)]
fn create_alloc_drop(lives: fn()) {
    lives();
}

fn zeroed<P: Peer>(peer: &mut P) {
    let layout = Layout::from_size_align(64 << 10, 8).expect("a layout");
    for _ in 0..LARGE {
        black_box(peer.allocator().allocate_zeroed(layout).expect("memory"));
    }
}

#[library_benchmark]
#[bench::mallocator(<Mallocator as Peer>::create())]
#[bench::bumpalo(<Bump as Peer>::create())]
#[bench::bump_scope(<BumpScope as Peer>::create())]
#[bench::blink_alloc(<Blink as Peer>::create())]
fn zeroed_64_kib_fresh<P: Peer>(mut peer: P) -> P {
    zeroed(&mut peer);
    peer
}

#[library_benchmark]
#[bench::mallocator(warm::<Mallocator>(zeroed))]
#[bench::bumpalo(warm::<Bump>(zeroed))]
#[bench::bump_scope(warm::<BumpScope>(zeroed))]
#[bench::blink_alloc(warm::<Blink>(zeroed))]
fn zeroed_64_kib_reused<P: Peer>(mut peer: P) -> P {
    zeroed(&mut peer);
    peer
}

fn push<P: Peer>(peer: &mut P) {
    let mut numbers = ArenaVec::new_in(peer.allocator());
    for number in 0..COUNT {
        numbers.push(number);
    }
    black_box(numbers.as_ptr());
}

#[library_benchmark]
#[bench::mallocator(warm::<Mallocator>(push))]
#[bench::bumpalo(warm::<Bump>(push))]
#[bench::bump_scope(warm::<BumpScope>(push))]
#[bench::blink_alloc(warm::<Blink>(push))]
fn vec_push<P: Peer>(mut peer: P) -> P {
    push(&mut peer);
    peer
}

fn copies<P: More>(peer: &mut P) {
    let source: [u32; 16] = black_box([7; 16]);
    for _ in 0..COUNT {
        black_box(peer.copy(&source));
    }
}

#[library_benchmark]
#[bench::mallocator(warm::<Mallocator>(copies))]
#[bench::bumpalo(warm::<Bump>(copies))]
#[bench::bump_scope(warm::<BumpScope>(copies))]
#[bench::blink_alloc(warm::<Blink>(copies))]
fn alloc_slice_copy<P: More>(mut peer: P) -> P {
    copies(&mut peer);
    peer
}

fn collections<P: More>(peer: &mut P) {
    for _ in 0..COUNT {
        // A filter hides how many there will be: eight.
        black_box(peer.collect((0..16).filter(|number| number % 2 == 0)));
    }
}

#[library_benchmark]
#[bench::mallocator(warm::<Mallocator>(collections))]
#[bench::bumpalo(warm::<Bump>(collections))]
#[bench::bump_scope(warm::<BumpScope>(collections))]
#[bench::blink_alloc(warm::<Blink>(collections))]
fn alloc_iter<P: More>(mut peer: P) -> P {
    collections(&mut peer);
    peer
}

fn texts<P: Format>(peer: &mut P) {
    for number in 0..COUNT {
        black_box(peer.format(number, COUNT));
    }
}

#[library_benchmark]
#[bench::mallocator(warm::<Mallocator>(texts))]
#[bench::bumpalo(warm::<Bump>(texts))]
#[bench::bump_scope(warm::<BumpScope>(texts))]
fn alloc_fmt<P: Format>(mut peer: P) -> P {
    texts(&mut peer);
    peer
}

library_benchmark_group!(
    name = hot,
    benchmarks = [
        alloc_u64,
        alloc_3_bytes,
        alloc_24_bytes,
        try_alloc_u64,
        alloc_layout,
        blocks_of_4_kib,
        alloc_str,
        scope,
        create_alloc_drop,
        zeroed_64_kib_fresh,
        zeroed_64_kib_reused,
        vec_push,
        alloc_slice_copy,
        alloc_iter,
        alloc_fmt,
    ]
);

main!(library_benchmark_groups = [hot, batches]);
