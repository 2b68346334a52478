//! A value for every index of a range, kept as runs: which pages have which protection.

use std::ops::Range;

/// How many runs a change adds at most: one, and the rest of one that it cuts in two.
const MOST_MORE: usize = 2;

/// What each index from 0 has: `usual`, but for the runs where something else was set.
#[derive(Clone, Debug)]
pub(crate) struct Runs<T> {
    usual: T,
    /// Sorted, apart from one another, none empty.
    other: Vec<(Range<usize>, T)>,
}

impl<T: Copy + PartialEq> Runs<T> {
    /// `value` everywhere.
    pub(crate) const fn everywhere(value: T) -> Self {
        Self { usual: value, other: Vec::new() }
    }

    pub(crate) fn at(&self, index: usize) -> T {
        let place = self.other.partition_point(|(run, _)| run.end <= index);
        let run = self.other.get(place).filter(|(run, _)| run.contains(&index));
        run.map_or(self.usual, |&(_, value)| value)
    }

    /// The runs that `range` consists of, in order, each with its value. Takes a time of order log n to begin, and no heap
    /// memory: it is asked for where memory is taken back.
    pub(crate) fn within(&self, range: Range<usize>) -> impl Iterator<Item = (Range<usize>, T)> {
        let first = self.other.partition_point(|(run, _)| run.end <= range.start);
        let mut others = self.other[first..].iter().peekable();
        let mut at = range.start;
        std::iter::from_fn(move || {
            if at >= range.end {
                return None;
            }
            let start = at;
            let (end, value) = match others.peek() {
                Some((run, value)) if run.start <= at => {
                    others.next();
                    (run.end, *value)
                }
                Some((run, _)) => (run.start, self.usual),
                None => (range.end, self.usual),
            };
            at = end.min(range.end);
            Some((start..at, value))
        })
    }

    /// For how many runs there must be room before one more [change](Self::set), if there is too little. It is more than the
    /// next takes, so that one change after another takes a time of order one.
    pub(crate) fn room_wanted(&self) -> Option<usize> {
        let most = self.other.len() + MOST_MORE;
        (self.other.capacity() < most).then_some(2 * most)
    }

    /// Moves the runs to `room`, which is empty, and returns what they had before; or `room`, if that is not larger.
    pub(crate) fn moved_to(&mut self, mut room: Vec<(Range<usize>, T)>) -> Vec<(Range<usize>, T)> {
        if room.capacity() > self.other.capacity() {
            room.append(&mut self.other);
            std::mem::swap(&mut self.other, &mut room);
        }
        room
    }

    /// Gives `range` a value, neighbours with the same value being one run. Where [room](Self::room_wanted) was made no heap
    /// memory is asked for.
    pub(crate) fn set(&mut self, range: Range<usize>, value: T) {
        if range.is_empty() {
            return;
        }
        // The runs that overlap or touch the range.
        let first = self.other.partition_point(|(run, _)| run.end < range.start);
        let last = self.other.partition_point(|(run, _)| run.start <= range.end);
        let mut whole = range.clone();
        let (mut before, mut after) = (None, None);
        for (run, old) in &self.other[first..last] {
            if *old == value {
                whole = whole.start.min(run.start)..whole.end.max(run.end);
                continue;
            }
            // Only the first can begin before the range, and only the last end after it.
            if run.start < range.start {
                before = Some((run.start..run.end.min(range.start), *old));
            }
            if run.end > range.end {
                after = Some((run.start.max(range.end)..run.end, *old));
            }
        }
        let changed = (value != self.usual).then_some((whole, value));
        // How many they are is known beforehand, for which `splice` takes no memory of its own.
        drop(self.other.splice(first..last, before.into_iter().chain(changed).chain(after)));
    }

    /// Gives everything a value. The room stays.
    pub(crate) fn set_everywhere(&mut self, value: T) {
        self.usual = value;
        self.other.clear();
    }

    /// Gives everything from `start` on the usual value.
    pub(crate) fn clear_from(&mut self, start: usize) {
        let kept = self.other.partition_point(|(run, _)| run.start < start);
        self.other.truncate(kept);
        if let Some((run, _)) = self.other.last_mut() {
            run.end = run.end.min(start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: usize = 5;

    fn ranges() -> impl Iterator<Item = Range<usize>> + Clone {
        (0..=LENGTH).flat_map(|start| (start..=LENGTH).map(move |end| start..end))
    }

    /// Every sequence of three changes, held against an array.
    #[test]
    fn runs_hold_what_an_array_would() {
        let changes = ranges().flat_map(|range| [(range.clone(), 0_u8), (range.clone(), 1), (range, 2)]);
        for first in changes.clone() {
            for second in changes.clone() {
                for third in changes.clone() {
                    let mut runs = Runs::everywhere(0);
                    let mut array = [0; LENGTH];
                    for (range, value) in [&first, &second, &third] {
                        runs.set(range.clone(), *value);
                        array[range.clone()].fill(*value);
                    }
                    let read: Vec<u8> = (0..LENGTH).map(|index| runs.at(index)).collect();
                    assert_eq!(read, array, "{first:?} {second:?} {third:?}");
                    assert!(runs.other.iter().all(|(run, value)| !run.is_empty() && *value != 0));
                    assert!(runs.other.windows(2).all(|pair| {
                        let ((left, value), (right, other)) = (&pair[0], &pair[1]);
                        left.end < right.start || left.end == right.start && value != other
                    }));
                }
            }
        }
    }

    #[test]
    fn the_runs_within_a_range_cover_it_in_order() {
        for first in ranges() {
            for second in ranges() {
                let mut runs = Runs::everywhere(0);
                runs.set(first.clone(), 1);
                runs.set(second.clone(), 2);
                for asked in ranges() {
                    let within: Vec<_> = runs.within(asked.clone()).collect();
                    assert!(within.iter().all(|(run, _)| !run.is_empty()));
                    let covered: Vec<(usize, u8)> = within
                        .into_iter()
                        .flat_map(|(run, value)| run.map(move |index| (index, value)))
                        .collect();
                    let expected: Vec<(usize, u8)> = asked.map(|index| (index, runs.at(index))).collect();
                    assert_eq!(covered, expected);
                }
            }
        }
    }

    #[test]
    fn pages_changed_one_by_one_are_one_run() {
        let mut runs = Runs::everywhere(0);
        for index in 0..100_000 {
            runs.set(index..index + 1, 1);
        }
        assert_eq!(runs.other, [(0..100_000, 1)]);
        assert_eq!((runs.at(99_999), runs.at(100_000)), (1, 0));
    }

    #[test]
    fn clearing_brings_the_usual_value_back() {
        let mut runs = Runs::everywhere('u');
        runs.set(2..8, 'x');
        runs.set(4..6, 'u');
        assert_eq!((0..10).map(|index| runs.at(index)).collect::<String>(), "uuxxuuxxuu");
        runs.set(0..0, 'u');
        runs.set(3..3, 'u');
        assert_eq!(runs.within(0..10).count(), 5);
        runs.set(0..10, 'u');
        assert!(runs.other.is_empty());
        assert_eq!(runs.at(100), 'u');
    }

    #[test]
    fn clearing_from_an_index_on_leaves_what_is_below() {
        for first in ranges() {
            for second in ranges() {
                for start in 0..=LENGTH {
                    let mut runs = Runs::everywhere(0);
                    runs.set(first.clone(), 1);
                    runs.set(second.clone(), 2);
                    let expected: Vec<u8> =
                        (0..LENGTH).map(|index| if index < start { runs.at(index) } else { 0 }).collect();
                    runs.clear_from(start);
                    assert_eq!((0..LENGTH).map(|index| runs.at(index)).collect::<Vec<u8>>(), expected);
                    assert!(runs.other.iter().all(|(run, _)| !run.is_empty()));
                }
            }
        }
    }

    /// While pages change nothing may ask the heap for memory.
    #[test]
    fn a_change_uses_the_room_that_was_made() {
        for first in ranges() {
            for second in ranges() {
                for third in ranges() {
                    let mut runs = Runs::everywhere(0);
                    runs.set(first.clone(), 1);
                    runs.set(second.clone(), 2);
                    // The least that is not too little.
                    let room = Vec::with_capacity(runs.other.len() + MOST_MORE);
                    let place = room.as_ptr();
                    runs.other.shrink_to_fit();
                    drop(runs.moved_to(room));
                    assert_eq!(runs.room_wanted(), None);
                    runs.set(third.clone(), 3);
                    assert_eq!(runs.other.as_ptr(), place);
                    runs.set_everywhere(3);
                    assert_eq!(runs.other.as_ptr(), place);
                    assert_eq!((runs.at(0), runs.at(LENGTH)), (3, 3));
                }
            }
        }
    }

    #[test]
    fn room_is_made_seldom_and_never_lessened() {
        let mut runs = Runs::everywhere(0);
        let mut made = 0;
        for index in 0..100_000 {
            if let Some(wanted) = runs.room_wanted() {
                made += 1;
                let old = runs.moved_to(Vec::with_capacity(wanted));
                assert!(old.is_empty() && old.capacity() < wanted);
            }
            runs.set(2 * index..2 * index + 1, 1);
        }
        assert!(made <= 17, "{made}");
        assert_eq!(runs.moved_to(Vec::with_capacity(1)).capacity(), 1);
        assert_eq!(runs.within(0..200_000).count(), 200_000);
    }
}
