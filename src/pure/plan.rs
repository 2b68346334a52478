//! What to ask of the operating system: how much to commit next, and where to look for a place.

/// The least that is committed at a time: the granularity of Windows, and enough that the first
/// allocations of a small arena cost one call.
const LEAST_STEP: usize = 64 * 1024;

/// Up to this share of what is committed is committed ahead of need: a bound on memory that is
/// charged and unused, and steps that grow, so that n bytes take a number of calls of order log n.
const SHARE_AHEAD: usize = 8;

/// Rounds up to a multiple of `unit`, a power of two; `None` where that is above `isize::MAX`, which no
/// object in Rust may exceed.
pub(crate) fn round_up(size: usize, unit: usize) -> Option<usize> {
    debug_assert!(unit.is_power_of_two());
    size.checked_next_multiple_of(unit).filter(|&rounded| isize::try_from(rounded).is_ok())
}

/// How much of a range of `size` bytes should be committed once `needed` bytes of it are.
///
/// `committed < needed <= size`; the result is at least `needed`, at most `size`, and a multiple of
/// `page` as `committed` and `size` are.
pub(crate) fn next_commit(committed: usize, needed: usize, size: usize, page: usize) -> usize {
    debug_assert!(committed < needed && needed <= size);
    let ahead = committed + LEAST_STEP.max(committed / SHARE_AHEAD);
    needed.max(ahead).next_multiple_of(page).min(size)
}

/// The steps in which places near an address are tried: coarse first, so that an empty neighbourhood
/// is left soon, then down to the granularity of Windows, so that a place that exists is found.
const PASSES: [usize; 4] = [256 << 20, 16 << 20, 1 << 20, 64 << 10];

/// How many places are tried at the most: enough for every 64 KiB of the 4 GiB around a target, so that a wider
/// search, which the coarse steps serve, ends when the system grants nothing.
const MOST_PLACES: usize = 1 << 17;

/// The places to try for `size` bytes that must all lie within `distance` of `target`, each a multiple of
/// `granularity` (at most 64 KiB); in each pass the nearest first.
pub(crate) fn places_near(
    target: usize,
    distance: usize,
    size: usize,
    granularity: usize,
) -> impl Iterator<Item = usize> {
    debug_assert!(granularity.is_power_of_two());
    let unit = granularity.max(PASSES[PASSES.len() - 1]);
    // The lowest unit stays free: null must, and systems keep their users out of more than one page there.
    let lowest = target.saturating_sub(distance).max(1).checked_next_multiple_of(unit);
    let highest = target.saturating_add(distance).min(isize::MAX as usize).checked_sub(size);
    let window = lowest.zip(highest).filter(|(lowest, highest)| lowest <= highest);
    let places = window.into_iter().flat_map(move |(lowest, highest)| {
        let middle = target.clamp(lowest, highest) / unit * unit;
        PASSES.into_iter().filter(move |&step| step >= unit).flat_map(move |step| {
            (0..=(highest - lowest) / step + 1)
                .flat_map(move |k| {
                    let up = k.checked_mul(step).and_then(|above| middle.checked_add(above));
                    let down = (k + 1).checked_mul(step).and_then(|below| middle.checked_sub(below));
                    [up, down]
                })
                .flatten()
                .filter(move |place| (lowest..=highest).contains(place))
        })
    });
    places.take(MOST_PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;

    #[test]
    fn rounding_up_stops_at_what_an_object_may_be() {
        assert_eq!(round_up(0, PAGE), Some(0));
        assert_eq!(round_up(1, PAGE), Some(PAGE));
        assert_eq!(round_up(PAGE, PAGE), Some(PAGE));
        assert_eq!(round_up(PAGE + 1, PAGE), Some(2 * PAGE));
        let most = isize::MAX as usize - (PAGE - 1);
        assert_eq!(round_up(most, PAGE), Some(most));
        assert_eq!(round_up(isize::MAX as usize, 1), Some(isize::MAX as usize));
        for size in [most + 1, isize::MAX as usize, isize::MAX as usize + 1, usize::MAX] {
            assert_eq!(round_up(size, PAGE), None);
        }
    }

    #[test]
    fn a_commit_covers_the_need_in_whole_pages_and_never_passes_the_end() {
        for size in (PAGE..64 * PAGE).step_by(PAGE) {
            for committed in (0..size).step_by(PAGE) {
                for needed in [committed + 1, committed + PAGE, size - 1, size] {
                    if needed <= committed || needed > size {
                        continue;
                    }
                    let next = next_commit(committed, needed, size, PAGE);
                    assert!(next >= needed && next <= size && next % PAGE == 0);
                    let ahead = (committed + LEAST_STEP).max(needed.next_multiple_of(PAGE)).min(size);
                    assert_eq!(next, ahead, "below 512 KiB a step is 64 KiB");
                }
            }
        }
    }

    #[test]
    fn steps_grow_with_what_is_committed_and_stay_within_an_eighth() {
        let size = 64 << 30;
        let (mut committed, mut calls) = (0, 0);
        while committed < size {
            let next = next_commit(committed, committed + 1, size, PAGE);
            assert!(next - committed <= LEAST_STEP.max(committed / 8) + PAGE);
            assert!(next - committed >= LEAST_STEP.max(committed / 8) || next == size);
            (committed, calls) = (next, calls + 1);
        }
        assert!((90..130).contains(&calls), "{calls} calls for 64 GiB");
    }

    #[test]
    fn places_near_are_in_reach_and_the_nearest_of_a_pass_come_first() {
        let (target, distance, size) = (0x5555_5000_1234, 1 << 28, 1 << 20);
        let places: Vec<usize> = places_near(target, distance, size, PAGE).collect();
        for &place in &places {
            assert!(place % 0x1_0000 == 0);
            assert!(place >= target - distance && place + size <= target + distance);
        }
        assert!(places[0].abs_diff(target) < 0x1_0000);
        let last_pass = &places[places.len() - (2 * distance - size) / 0x1_0000..];
        assert!(last_pass.windows(3).all(|w| w[2].abs_diff(target) >= w[0].abs_diff(target)));
    }

    #[test]
    fn places_near_leave_no_place_out() {
        let (target, distance, size, unit) = (0x1234_5678, 0x80_0000, 0x3_0000, 0x1_0000);
        let mut found: Vec<usize> = places_near(target, distance, size, PAGE).collect();
        found.sort_unstable();
        found.dedup();
        let all = (0..0x2000_0000).step_by(unit);
        let all = all.filter(|p| *p >= target - distance && p + size <= target + distance);
        assert_eq!(found, all.collect::<Vec<_>>());
    }

    #[test]
    fn places_near_keep_away_from_null_and_from_the_end() {
        assert!(places_near(0x1000, 1 << 20, PAGE, PAGE).all(|place| place >= 0x1_0000));
        assert!(places_near(0x1000, 1 << 20, PAGE, PAGE).count() > 0);
        assert_eq!(places_near(0x5555_0000, 0x100, PAGE, PAGE).count(), 0, "too near for the size");
        assert_eq!(places_near(0x5555_0000, 1 << 20, usize::MAX, PAGE).count(), 0);
        let end = isize::MAX as usize;
        assert!(places_near(usize::MAX, usize::MAX, PAGE, PAGE).take(9).all(|place| place <= end - PAGE));
        // A wide granularity is kept too.
        assert!(places_near(1 << 40, 1 << 24, PAGE, 1 << 21).all(|place| place % (1 << 21) == 0));
    }
}
