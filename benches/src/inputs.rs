//! What the workloads are fed: the same numbers, layouts and words for everyone, in every run. And what they feed.

use std::alloc::Layout;
use std::arch::asm;
use std::ptr::NonNull;

/// Takes a pointer as code does that the compiler cannot see into: the object is complete, and any memory may have changed.
/// [`black_box`](std::hint::black_box) does the same, but stores the pointer on the stack first, which is a third of what the
/// fastest of these loops do.
#[inline(always)]
pub fn consume<T>(object: NonNull<T>) {
    // SAFETY: no instructions.
    unsafe { asm!("/* {} */", in(reg) object.as_ptr(), options(nostack, preserves_flags)) };
}

/// The generator "splitmix64": the same sequence everywhere.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// A number from 0 to 1.
    pub fn fraction(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Layouts of 1 to 256 bytes, aligned to 1, 2, 4, 8 or 16.
///
/// # Panics
/// Never: all of them are layouts.
pub fn layouts(count: usize) -> Vec<Layout> {
    let mut random = Random::new(1);
    let mut layout = || {
        let (size, align) = (1 + random.below(256), 1 << random.below(5));
        Layout::from_size_align(size, align).expect("a layout")
    };
    (0..count).map(|_| layout()).collect()
}

/// Words of 3 to 12 bytes as they stand one behind the other in a text.
pub fn words(count: usize) -> (String, Vec<std::ops::Range<usize>>) {
    let vocabulary: Vec<&str> = VOCABULARY.split_whitespace().collect();
    let mut by_length: Vec<Vec<&str>> = vec![Vec::new(); 13];
    for word in vocabulary {
        by_length[word.len()].push(word);
    }
    let mut random = Random::new(2);
    let (mut text, mut places) = (String::new(), Vec::with_capacity(count));
    for _ in 0..count {
        let choice = &by_length[3 + random.below(10)];
        let start = text.len();
        text.push_str(choice[random.below(choice.len())]);
        places.push(start..text.len());
        text.push(' ');
    }
    (text, places)
}

/// Sizes from 1 to 64 KiB, as many between 1 and 2 KiB as between 32 and 64 KiB.
pub fn sizes(count: usize) -> Vec<usize> {
    let mut random = Random::new(3);
    (0..count).map(|_| (1024.0 * 64f64.powf(random.fraction())) as usize).collect()
}

/// Some words of each length from 3 to 12.
const VOCABULARY: &str = "
    the and for not you all can has let try use map new run set end out key
    that with this from have more when they each else enum impl loop mode none self size then true
    where these which there about after match while yield trait value bytes index await const
    return struct memory before should object result string option vector buffer system number
    because address through pointer compile mutable another program example without private
    allocate language register function constant argument variable contents position straight
    reference different something operation exception processor parameter character expansion
    expression collection dictionary understood management background compatible definition
    environment declaration information destination performance application transaction programming
    architecture instructions optimisation intermediate construction abstractions continuation identifiers
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_every_length_from_3_to_12() {
        let (text, places) = words(10_000);
        let mut seen = [0; 16];
        for place in places {
            assert!(!text[place.clone()].contains(' '));
            seen[place.len()] += 1;
        }
        assert!(seen[3..=12].iter().all(|&count| count > 800), "{seen:?}");
        assert_eq!(seen.iter().sum::<i32>(), 10_000);
    }

    #[test]
    fn sizes_reach_from_1_to_64_kib() {
        let sizes = sizes(10_000);
        assert!(sizes.iter().all(|size| (1024..=65536).contains(size)));
        let small = sizes.iter().filter(|&&size| size < 2048).count();
        assert!((1400..1900).contains(&small), "{small}");
    }
}
