//! Mallocator's batches, counted like the arena itself: the batch is opened within the count.

use gungraun::prelude::*;
use mallocator_bench::batch::Batched;
use mallocator_bench::inputs::consume;
use mallocator_bench::peers::Cursors;

use super::{COUNT, bytes, three, word};

fn put<T: Copy + 'static>(values: &Batched, make: impl Fn(usize) -> T) {
    let mut cursor = Cursors::<T>::cursor(values);
    for number in 0..COUNT {
        consume(Batched::put(&mut cursor, make(number)));
    }
}

fn warm<T: Copy + 'static>(make: impl Fn(usize) -> T) -> Batched {
    let mut values = <Batched as Cursors<T>>::create();
    for _ in 0..3 {
        put(&values, &make);
        Cursors::<T>::reset(&mut values);
    }
    values
}

#[library_benchmark]
#[bench::mallocator(warm(word))]
fn batch_u64(values: Batched) -> Batched {
    put(&values, word);
    values
}

#[library_benchmark]
#[bench::mallocator(warm(bytes))]
fn batch_3_bytes(values: Batched) -> Batched {
    put(&values, bytes);
    values
}

#[library_benchmark]
#[bench::mallocator(warm(three))]
fn batch_24_bytes(values: Batched) -> Batched {
    put(&values, three);
    values
}

library_benchmark_group!(name = batches, benchmarks = [batch_u64, batch_3_bytes, batch_24_bytes]);
