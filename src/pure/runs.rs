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
        let run = self.other.iter().find(|(run, _)| run.contains(&index));
        run.map_or(self.usual, |&(_, value)| value)
    }

    /// The runs that `range` consists of, in order, each with its value.
    pub(crate) fn within(&self, range: Range<usize>) -> Vec<(Range<usize>, T)> {
        let mut runs = Vec::new();
        let mut at = range.start;
        for (run, value) in &self.other {
            let (start, end) = (run.start.clamp(at, range.end), run.end.clamp(at, range.end));
            if start < end {
                if at < start {
                    runs.push((at..start, self.usual));
                }
                runs.push((start..end, *value));
                at = end;
            }
        }
        if at < range.end {
            runs.push((at..range.end, self.usual));
        }
        runs
    }

    /// Gives `range` another value.
    pub(crate) fn set(&mut self, range: Range<usize>, value: T) {
        self.clear(range.clone());
        if !range.is_empty() && value != self.usual {
            let place = self.other.partition_point(|(run, _)| run.start < range.start);
            self.other.insert(place, (range, value));
        }
    }

    /// Gives `range` the usual value.
    pub(crate) fn clear(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        let cut = |(run, value): &(Range<usize>, T)| {
            let before = run.start..run.end.min(range.start);
            let after = run.start.max(range.end)..run.end;
            [(before, *value), (after, *value)]
        };
        self.other = self.other.iter().flat_map(cut).filter(|(run, _)| !run.is_empty()).collect();
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
                    assert!(runs.other.windows(2).all(|pair| pair[0].0.end <= pair[1].0.start));
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
                    let covered: Vec<(usize, u8)> = runs
                        .within(asked.clone())
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
