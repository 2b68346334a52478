//! Where a number lies that was measured several times.

/// The middle of what was measured, and the middle half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub first_quartile: f64,
    pub median: f64,
    pub third_quartile: f64,
}

impl Spread {
    /// Of `numbers`, of which there is at least one.
    pub(crate) fn of(numbers: &[f64]) -> Self {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self { first_quartile: at(&sorted, 1), median: at(&sorted, 2), third_quartile: at(&sorted, 3) }
    }
}

/// What lies so many quarters of the way from the least to the greatest, between two numbers in proportion.
fn at(sorted: &[f64], quarters: usize) -> f64 {
    let steps = (sorted.len() - 1) * quarters;
    let (index, rest) = (steps / 4, steps % 4);
    let below = sorted[index];
    let above = sorted[(index + 1).min(sorted.len() - 1)];
    below + (above - below) * [0.0, 0.25, 0.5, 0.75][rest]
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn quartiles_lie_where_they_should() {
        let spread = |numbers: &[f64]| {
            let Spread { first_quartile, median, third_quartile } = Spread::of(numbers);
            [first_quartile, median, third_quartile]
        };
        assert_eq!(spread(&[7.0]).map(f64::to_bits), [7.0; 3].map(f64::to_bits));
        assert_eq!(spread(&[5.0, 1.0, 4.0, 2.0, 3.0]).map(f64::to_bits), [2.0, 3.0, 4.0].map(f64::to_bits));
        assert_eq!(spread(&[1.0, 2.0]).map(f64::to_bits), [1.25, 1.5, 1.75].map(f64::to_bits));
    }
}
