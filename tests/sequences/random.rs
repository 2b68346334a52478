//! Numbers that a seed decides: splitmix64 (<https://prng.di.unimi.it/splitmix64.c>), as it costs a nanosecond.
#![allow(dead_code, reason = "not every test uses all of it")]

pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        // Neighbouring seeds would give the same numbers, one later.
        Self(Self(seed).next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to `end`, without it.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 1).unwrap() % end
    }

    /// One time in `times`.
    pub(super) fn rarely(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn one_of<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())]
    }

    /// A size in bytes: small, so that little memory is touched, but for some.
    pub(super) fn size(&mut self) -> usize {
        match self.below(64) {
            0 => self.below(20_000),
            1..=4 => self.below(2_000),
            5..=24 => self.below(200),
            _ => self.below(24),
        }
    }

    /// A number that no arena has room for, or one that overflows something.
    pub(super) fn absurd(&mut self) -> usize {
        let most = isize::MAX.unsigned_abs();
        match self.below(4) {
            0 => usize::MAX - self.below(100),
            1 => most - self.below(5_000),
            2 => most + 1 + self.below(100),
            _ => 1 << (23 + self.below(41)),
        }
    }
}
