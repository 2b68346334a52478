//! Names for the collections of `allocator-api2` and `hashbrown` that live in an arena.

use crate::arena::Mallocator;

/// A vector in an arena: [`allocator_api2::vec::Vec`] with a `&Mallocator`.
///
/// While it is the last thing in the arena it grows in place. `push` aborts when the arena is exhausted; `try_reserve`
/// returns the error. For text that is built piece by piece, use
/// [`alloc_fmt`](crate::Mallocator::alloc_fmt), or a `Vec<u8>` and [`std::str::from_utf8`].
///
/// ```
/// use mallocator::{Mallocator, Vec};
///
/// let arena = Mallocator::growing();
/// let mut primes: Vec<u32> = Vec::new_in(&arena);
/// primes.extend([2, 3, 5]);
/// primes.push(7);
/// assert_eq!(primes.iter().sum::<u32>(), 17);
/// let kept: &mut [u32] = primes.leak(); // lives as long as the arena
/// # assert_eq!(kept.len(), 4);
/// ```
pub type Vec<'a, T> = allocator_api2::vec::Vec<T, &'a Mallocator>;

/// A value in an arena that is dropped with its box: [`allocator_api2::boxed::Box`] with a `&Mallocator`.
///
/// [`alloc_boxed`](crate::Mallocator::alloc_boxed) makes one. On stable Rust, `unsize_box!` turns it into a box of a
/// trait object (with the feature `nightly` it is one by itself):
///
/// ```
/// use allocator_api2::unsize_box;
/// use mallocator::{Box, Mallocator};
///
/// let arena = Mallocator::growing();
/// let mut shapes: Vec<Box<'_, dyn Fn(f64) -> f64>> = Vec::new();
/// let side = 2.0;
/// shapes.push(unsize_box!(arena.alloc_boxed(move |height| side * height)));
/// shapes.push(unsize_box!(arena.alloc_boxed(|radius: f64| radius.powi(2) * 3.0)));
/// assert_eq!(shapes.iter().map(|area| area(1.0)).sum::<f64>(), 5.0);
/// ```
///
/// A closure that can be called once takes what it needs out of itself:
///
/// ```
/// use allocator_api2::unsize_box;
/// use mallocator::{Box, Mallocator};
///
/// let arena = Mallocator::growing();
/// let message = String::from("done");
/// let mut once = Some(move || message);
/// let mut job: Box<'_, dyn FnMut() -> String> =
///     unsize_box!(arena.alloc_boxed(move || once.take().expect("it is called once")()));
/// assert_eq!(job(), "done");
/// ```
///
/// A future has to be pinned, which a borrowed arena cannot promise: a forgotten box would be overwritten after the next
/// [`reset`](crate::Mallocator::reset). An arena that is never reset can, because it lives for ever or because the box
/// owns it:
///
/// ```
/// use std::future::Future;
/// use std::pin::Pin;
/// use std::task::{Context, Poll, Waker};
/// use allocator_api2::{boxed::Box, unsize_box};
/// use mallocator::Mallocator;
///
/// let arena: &'static Mallocator = std::boxed::Box::leak(std::boxed::Box::new(Mallocator::growing()));
/// let boxed: Box<dyn Future<Output = u32>, &'static Mallocator> = unsize_box!(arena.alloc_boxed(async { 42 }));
/// let mut future: Pin<Box<dyn Future<Output = u32>, &'static Mallocator>> = Box::into_pin(boxed);
/// let mut context = Context::from_waker(Waker::noop());
/// assert_eq!(future.as_mut().poll(&mut context), Poll::Ready(42));
/// ```
pub type Box<'a, T> = allocator_api2::boxed::Box<T, &'a Mallocator>;

/// A hash map in an arena: [`hashbrown::HashMap`] with a `&Mallocator`. With the feature `hashbrown`.
///
/// ```
/// use mallocator::{HashMap, Mallocator};
///
/// let arena = Mallocator::growing();
/// let mut names: HashMap<'_, &str, u32> = HashMap::new_in(&arena);
/// names.insert(arena.alloc_str("main"), 1);
/// assert_eq!(names["main"], 1);
/// ```
#[cfg(feature = "hashbrown")]
pub type HashMap<'a, K, V, S = hashbrown::DefaultHashBuilder> = hashbrown::HashMap<K, V, S, &'a Mallocator>;

/// A hash set in an arena: [`hashbrown::HashSet`] with a `&Mallocator`. With the feature `hashbrown`.
///
/// ```
/// use mallocator::{HashSet, Mallocator};
///
/// let arena = Mallocator::growing();
/// let mut seen: HashSet<'_, u64> = HashSet::new_in(&arena);
/// assert!(seen.insert(7) && !seen.insert(7));
/// ```
#[cfg(feature = "hashbrown")]
pub type HashSet<'a, T, S = hashbrown::DefaultHashBuilder> = hashbrown::HashSet<T, S, &'a Mallocator>;
