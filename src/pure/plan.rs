//! What to ask of the operating system: how much to commit next, and where to look for a place.

/// The least that is committed at a time where committed memory is charged at once: the granularity of Windows, and
/// enough that the first allocations of a small arena cost one call.
pub(crate) const LEAST_CHARGED: usize = 64 * 1024;

/// The least that is committed at a time where it costs nothing before it is touched: so few calls that they are lost in
/// the time that touching takes.
pub(crate) const LEAST_FREE: usize = 1 << 20;

/// Up to this share of what is committed is committed ahead of need: a bound on memory that is
/// charged and unused, and steps that grow, so that n bytes take a number of calls of order log n.
const SHARE_AHEAD: usize = 8;

/// The beginning of a range that stays on small pages. A huge page costs about as much time as a hundred small ones, and
/// 2 MiB of memory: an arena that stays small should pay neither.
pub(crate) const SMALL_PART: usize = 128 * 1024;

/// How a range is committed as it fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Steps {
    /// In bytes, as is all of this: what commits round to.
    pub(crate) page: usize,
    /// The least that is committed at a time.
    pub(crate) least: usize,
    /// Where huge pages begin, if the range has any: a step that ends behind that ends where one of them does.
    pub(crate) huge: Option<Huge>,
}

/// The part of a range that huge pages are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Huge {
    /// The offset of the first.
    pub(crate) from: usize,
    /// The size of one in bytes, a power of two.
    pub(crate) page: usize,
}

impl Huge {
    /// For `size` bytes at address `base`: the huge pages behind the small part, if there is room for one.
    pub(crate) fn of(base: usize, size: usize, page: usize) -> Option<Self> {
        let from = (base + SMALL_PART).next_multiple_of(page) - base;
        (size >= from + page).then_some(Self { from, page })
    }
}

/// Rounds up to a multiple of `unit`, a power of two; `None` where that is above `isize::MAX`, which no
/// object in Rust may exceed.
pub(crate) fn round_up(size: usize, unit: usize) -> Option<usize> {
    debug_assert!(unit.is_power_of_two());
    size.checked_next_multiple_of(unit).filter(|&rounded| isize::try_from(rounded).is_ok())
}

/// How much of a range of `size` bytes should be committed once `needed` bytes of it are.
///
/// `committed < needed <= size`; the result is at least `needed`, at most `size`, and a multiple of
/// the page as `committed` and `size` are.
pub(crate) fn next_commit(committed: usize, needed: usize, size: usize, steps: Steps) -> usize {
    debug_assert!(committed < needed && needed <= size);
    let share = committed / SHARE_AHEAD;
    let end = match steps.huge {
        // All of the small part, and not a byte more: the next step is the one that asks for huge pages.
        Some(Huge { from, .. }) if needed <= from => from,
        Some(Huge { from, page }) => {
            let ahead = needed.max(committed + (share / page * page).max(page));
            from + (ahead - from).next_multiple_of(page)
        }
        None => needed.max(committed + share.max(steps.least)).next_multiple_of(steps.page),
    };
    end.min(size)
}

/// The steps in which places near an address are tried: coarse first, so that a crowded neighbourhood is left soon, then
/// finer, so that a hole in it is found.
const PASSES: [usize; 5] = [FARTHEST_STEP, 0x100_0000, 0x10_0000, 0x1_0000, 0x1000];

/// The step that the search for a place begins with.
pub(crate) const FARTHEST_STEP: usize = 0x1000_0000;

/// How many places are tried at the most: enough for every 64 KiB of the 4 GiB around a target, and every page of its
/// nearest 200 MiB, so that the search ends.
const MOST_PLACES: usize = 0x2_0000;

/// The places to try for `size` bytes that must all lie within `distance` of `target`, each a multiple of
/// `granularity`; in each pass the nearest first.
pub(crate) fn places_near(
    target: usize,
    distance: usize,
    size: usize,
    granularity: usize,
) -> impl Iterator<Item = usize> {
    debug_assert!(granularity.is_power_of_two() && size > 0);
    // The lowest 64 KiB stay free: systems keep their users out of them.
    let lowest = target.saturating_sub(distance).max(0x1_0000).checked_next_multiple_of(granularity);
    let last_byte = target.saturating_add(distance).min(isize::MAX as usize - 1);
    let highest = last_byte.checked_sub(size - 1);
    let window = lowest.zip(highest).filter(|(lowest, highest)| lowest <= highest);
    let places = window.into_iter().flat_map(move |(lowest, highest)| {
        let middle = target.clamp(lowest, highest) / granularity * granularity;
        PASSES.into_iter().map(move |step| step.max(granularity)).flat_map(move |step| {
            let upwards = (middle..=highest).step_by(step);
            let downwards =
                (0..=middle).rev().step_by(step).skip(1).take_while(move |&place| place >= lowest);
            interleave(upwards, downwards)
        })
    });
    places.take(MOST_PLACES)
}

/// One of each in turn, then the rest of the longer.
fn interleave<T>(
    mut one: impl Iterator<Item = T>,
    mut other: impl Iterator<Item = T>,
) -> impl Iterator<Item = T> {
    std::iter::from_fn(move || Some([one.next(), other.next()]))
        .take_while(|pair| pair.iter().any(Option::is_some))
        .flat_map(|pair| pair.into_iter().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 4096;
    const HUGE: usize = 2 << 20;
    const CHARGED: Steps = Steps { page: PAGE, least: LEAST_CHARGED, huge: None };
    const FREE: Steps = Steps { page: PAGE, least: LEAST_FREE, huge: None };

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
                    let next = next_commit(committed, needed, size, CHARGED);
                    assert!(next >= needed && next <= size && next % PAGE == 0);
                    let ahead = (committed + LEAST_CHARGED).max(needed.next_multiple_of(PAGE)).min(size);
                    assert_eq!(next, ahead, "below 512 KiB a step is 64 KiB");
                }
            }
        }
    }

    #[test]
    fn steps_grow_with_what_is_committed_and_stay_within_an_eighth() {
        let size = 64 << 30;
        for (steps, expected) in [(CHARGED, 90..130), (FREE, 60..100)] {
            let (mut committed, mut calls) = (0, 0);
            while committed < size {
                let next = next_commit(committed, committed + 1, size, steps);
                assert!(next - committed <= steps.least.max(committed / 8) + PAGE);
                assert!(next - committed >= steps.least.max(committed / 8) || next == size);
                (committed, calls) = (next, calls + 1);
            }
            assert!(expected.contains(&calls), "{calls} calls for 64 GiB");
        }
    }

    #[test]
    fn steps_end_with_the_small_part_and_then_where_huge_pages_do() {
        let size = (64 << 30) + 5 * PAGE;
        for from in [SMALL_PART, SMALL_PART + 17 * PAGE, SMALL_PART + HUGE - PAGE] {
            let steps = Steps { huge: Some(Huge { from, page: HUGE }), ..FREE };
            let (mut committed, mut calls) = (0, 0);
            while committed < size {
                let next = next_commit(committed, committed + 1, size, steps);
                let whole = next >= from && (next - from) % HUGE == 0;
                assert!(if committed < from { next == from } else { whole || next == size });
                assert!(next - committed <= from.max(HUGE).max(committed / 8));
                (committed, calls) = (next, calls + 1);
            }
            assert!((60..110).contains(&calls), "{calls} calls for 64 GiB");
            // After a trim, from any page on.
            for committed in (0..4 * HUGE).step_by(PAGE) {
                for needed in [committed + 1, committed + 3 * HUGE] {
                    let next = next_commit(committed, needed, size, steps);
                    assert!(next >= needed && next - needed < from.max(2 * HUGE));
                    assert!(next == from || (next - from) % HUGE == 0);
                }
            }
        }
    }

    #[test]
    fn huge_pages_begin_at_the_first_multiple_behind_the_small_part() {
        for start in (1 << 40..(1 << 40) + 3 * HUGE).step_by(PAGE) {
            let Huge { from, page } = Huge::of(start, 1 << 30, HUGE).unwrap();
            assert_eq!(((start + from) % HUGE, page), (0, HUGE));
            assert!((SMALL_PART..SMALL_PART + HUGE).contains(&from));
            assert_eq!(Huge::of(start, from + HUGE - PAGE, HUGE), None, "no room for one");
            assert!(Huge::of(start, from + HUGE, HUGE).is_some());
        }
    }

    #[test]
    fn places_near_are_tried_in_coarse_steps_first_and_the_nearest_of_a_pass_first() {
        let (target, distance) = (0x5555_5000_1234, 0x8000_0000);
        let places: Vec<usize> = places_near(target, distance, PAGE, PAGE).collect();
        let middle = 0x5555_5000_1000;
        let mut expected = vec![middle];
        for step in 1..8 {
            // Pairs are an upward and a downward place; the first upward one is the middle itself.
            expected.extend([middle - step * 0x1000_0000, middle + step * 0x1000_0000]);
        }
        assert_eq!(places[..15], expected[..15]);
        let second_pass = places[15..].iter().position(|&place| place == middle).unwrap();
        assert!(second_pass <= 1);
        assert_eq!(places[15 + second_pass + 1].abs_diff(middle), 0x100_0000);
        for &place in &places {
            assert!(
                place % PAGE == 0
                    && place.abs_diff(target) <= distance
                    && place + PAGE - 1 <= target + distance
            );
        }
        // Everything at multiples of 64 KiB from the middle is among them.
        let mut found = places;
        found.sort_unstable();
        found.dedup();
        let last = middle + (target + distance - PAGE + 1 - middle) / 0x1_0000 * 0x1_0000;
        let each = (middle - 0x7fff_0000..=last).step_by(0x1_0000);
        assert!(each.into_iter().all(|place| found.binary_search(&place).is_ok()));
    }

    #[test]
    fn places_near_leave_no_place_out() {
        for (target, distance, size, granularity) in [
            (0x1234_5678, 0x80_0000, 0x3_0000, PAGE),
            (0x1234_5678, 0x80_0000, 0x3_0000, 0x1_0000),
            (0x1234_5000, 0xfff, PAGE, PAGE),
            (0x1234_5000, 0xffe, PAGE, PAGE),
            (0x1234_5fff, 0xfff, PAGE, PAGE),
            (0x1_1000, 0x10_0000, PAGE, PAGE),
            (0x1_0000, 0, 1, PAGE),
            (0x1234_5678, 0x4000_0000, 0x10_0000, 0x20_0000),
        ] {
            let mut found: Vec<usize> = places_near(target, distance, size, granularity).collect();
            found.sort_unstable();
            found.dedup();
            let all = (0x1_0000..0x1234_5678 + 0x5000_0000_usize.next_multiple_of(granularity))
                .step_by(granularity);
            let all = all.map(|place| place / granularity * granularity);
            let reached = |byte: usize| byte.abs_diff(target) <= distance;
            let all = all.filter(|&place| place >= 0x1_0000 && reached(place) && reached(place + size - 1));
            assert_eq!(
                found,
                all.collect::<Vec<_>>(),
                "{target:#x} {distance:#x} {size:#x} {granularity:#x}"
            );
        }
    }

    #[test]
    fn places_near_keep_away_from_null_and_from_the_end() {
        assert!(places_near(0x1000, 1 << 20, PAGE, PAGE).all(|place| place >= 0x1_0000));
        assert!(places_near(0x1000, 1 << 20, PAGE, PAGE).count() > 0);
        assert_eq!(places_near(0x5555_0000, 0x100, PAGE, PAGE).count(), 0, "too near for the size");
        assert_eq!(places_near(0x5555_0000, 1 << 20, usize::MAX, PAGE).count(), 0);
        let end = isize::MAX as usize;
        assert!(places_near(usize::MAX, usize::MAX, PAGE, PAGE).take(9).all(|place| place <= end - PAGE));
        assert_eq!(places_near(end / 2, usize::MAX, PAGE, PAGE).count(), MOST_PLACES);
    }
}
