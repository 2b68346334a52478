//! The raw numbers of a run, as `results.json` has them, and the statistics that are made of them.

use serde::Serialize;

use crate::machine::Machine;

/// The peer that every ratio is to.
pub(crate) const REFERENCE: &str = "bumpalo";

/// The one it is all about.
pub(crate) const SUBJECT: &str = "mallocator";

#[derive(Serialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) command: String,
    /// A smoke test: everything smaller, the numbers mean nothing.
    pub(crate) quick: bool,
    pub(crate) seconds: f64,
    pub(crate) workloads: Vec<Measured>,
    pub(crate) by_size: Vec<Point>,
    pub(crate) by_arenas: Vec<Point>,
}

/// A workload's numbers.
#[derive(Serialize)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) section: &'static str,
    pub(crate) unit: &'static str,
    /// Where the rounds ran.
    pub(crate) process: &'static str,
    pub(crate) peers: Vec<Series>,
}

/// One peer's rounds, in order: the n-th of each peer ran next to the n-th of the others.
#[derive(Serialize)]
pub(crate) struct Series {
    pub(crate) peer: &'static str,
    pub(crate) nanoseconds: Vec<f64>,
    /// The memory that came to a process in which it ran alone, at its highest.
    pub(crate) peak_bytes: Option<u64>,
}

/// What one size, or one number of arenas, took one peer.
#[derive(Clone, Serialize)]
pub(crate) struct Point {
    pub(crate) peer: &'static str,
    pub(crate) at: u64,
    /// For all of it, one number a process.
    pub(crate) nanoseconds: Vec<f64>,
    /// The memory that came to the process: at its highest, and anonymous memory at the end.
    pub(crate) peak_bytes: u64,
    pub(crate) end_bytes: u64,
}

/// The middle, and what a quarter of the numbers are below and above.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of at least one number.
    pub(crate) fn of(numbers: &[f64]) -> Self {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (sorted.len() - 1) as f64;
            let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }
}

impl Measured {
    pub(crate) fn of(&self, peer: &str) -> Option<&Series> {
        self.peers.iter().find(|series| series.peer == peer)
    }

    /// The spread of the ratios to the reference, computed round by round.
    pub(crate) fn ratio(&self, series: &Series) -> Option<Spread> {
        let reference = self.of(REFERENCE)?;
        let pairs = series.nanoseconds.iter().zip(&reference.nanoseconds);
        Some(Spread::of(&pairs.map(|(time, reference)| time / reference).collect::<Vec<_>>()))
    }

    /// The fastest of the peers: everyone but us, and but what stands for no peer.
    pub(crate) fn best_peer(&self) -> Option<(&Series, Spread)> {
        self.peers
            .iter()
            .filter(|series| {
                !series.peer.starts_with(SUBJECT)
                    && !series.peer.starts_with("floor")
                    && series.peer != "one atomic cursor"
            })
            .map(|series| (series, Spread::of(&series.nanoseconds)))
            .min_by(|a, b| a.1.median.total_cmp(&b.1.median))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_neighbours() {
        let spread = Spread::of(&[4.0, 1.0, 2.0, 3.0]);
        assert_eq!((spread.low, spread.median, spread.high), (1.75, 2.5, 3.25));
        let one = Spread::of(&[7.0]);
        assert_eq!((one.low, one.median, one.high), (7.0, 7.0, 7.0));
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let series =
            |peer, nanoseconds: &[f64]| Series { peer, nanoseconds: nanoseconds.to_vec(), peak_bytes: None };
        let measured = Measured {
            name: "",
            section: "",
            unit: "",
            process: "",
            // The machine was three times as slow in the second round: the ratio is the same.
            peers: vec![series(SUBJECT, &[1.0, 3.0]), series(REFERENCE, &[2.0, 6.0])],
        };
        let ratio = measured.ratio(&measured.peers[0]).expect("there is a reference");
        assert_eq!((ratio.low, ratio.median, ratio.high), (0.5, 0.5, 0.5));
    }
}
