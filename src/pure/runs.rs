//! A value for every index of a range, kept as runs: which pages have which protection.

use std::ops::Range;

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

    pub(crate) fn usual(&self) -> T {
        self.usual
    }

    pub(crate) fn at(&self, index: usize) -> T {
        let place = self.other.partition_point(|(run, _)| run.end <= index);
        let run = self.other.get(place).filter(|(run, _)| run.contains(&index));
        run.map_or(self.usual, |&(_, value)| value)
    }

    /// The runs that `range` consists of, in order, each with its value.
    pub(crate) fn within(&self, range: Range<usize>) -> Vec<(Range<usize>, T)> {
        let mut runs = Vec::new();
        let mut at = range.start;
        for (run, value) in &self.other {
            let run = run.start.max(range.start)..run.end.min(range.end);
            if !run.is_empty() {
                runs.push((at..run.start, self.usual));
                at = run.end;
                runs.push((run, *value));
            }
        }
        runs.push((at..range.end, self.usual));
        runs.retain(|(run, _)| !run.is_empty());
        runs
    }

    /// Gives `range` a value. Neighbours with the same value become one run.
    pub(crate) fn set(&mut self, range: Range<usize>, value: T) {
        if range.is_empty() {
            return;
        }
        // The runs that overlap or touch the range.
        let first = self.other.partition_point(|(run, _)| run.end < range.start);
        let last = self.other.partition_point(|(run, _)| run.start <= range.end);
        let mut whole = range.clone();
        let mut kept = Vec::new();
        for (run, old) in &self.other[first..last] {
            if *old == value {
                whole = whole.start.min(run.start)..whole.end.max(run.end);
            } else {
                kept.push((run.start..run.end.min(range.start), *old));
                kept.push((run.start.max(range.end)..run.end, *old));
            }
        }
        if value != self.usual {
            kept.push((whole, value));
        }
        kept.retain(|(run, _)| !run.is_empty());
        kept.sort_unstable_by_key(|(run, _)| run.start);
        self.other.splice(first..last, kept);
    }

    /// Gives `range` the usual value.
    pub(crate) fn clear(&mut self, range: Range<usize>) {
        self.set(range, self.usual);
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
                    let within = runs.within(asked.clone());
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
        runs.clear(4..6);
        assert_eq!((0..10).map(|index| runs.at(index)).collect::<String>(), "uuxxuuxxuu");
        runs.clear(0..0);
        runs.clear(3..3);
        assert_eq!(runs.within(0..10).len(), 5);
        runs.clear(0..10);
        assert!(runs.other.is_empty());
        assert_eq!(runs.usual(), 'u');
    }
}
