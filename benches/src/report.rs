//! What a run leaves behind: `report.md`, `results.json`, and the charts.

mod charts;
mod markdown;

use std::fs;
use std::path::Path;

use crate::results::{Results, Spread};
use crate::targets::{self, Target};

/// Writes everything into a folder.
///
/// # Errors
/// A file that cannot be written.
pub(crate) fn write(results: &Results, folder: &Path) -> Result<(), String> {
    let charts = charts::draw(results, folder)?;
    let json = serde_json::to_string_pretty(results).map_err(|error| format!("results.json: {error}"))?;
    for (name, text) in [("results.json", json + "\n"), ("report.md", markdown::write(results, &charts))] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// One line: how many targets are reached.
pub(crate) fn summary(results: &Results) -> String {
    let (all, missed) = (with_target(results).count(), missed(results));
    let reached = all - missed.len();
    if missed.is_empty() {
        format!("{reached} of {all} targets reached")
    } else {
        let names: Vec<String> = missed.iter().map(|target| target.row()).collect();
        format!("{reached} of {all} targets reached; missed: {}", names.join("; "))
    }
}

/// The targets that this run has not reached.
fn missed(results: &Results) -> Vec<&'static Target> {
    let above = |&(target, ratio): &(&'static Target, Option<Spread>)| {
        ratio.is_none_or(|ratio| ratio.median > target.ratio)
    };
    with_target(results).filter(above).map(|(target, _)| target).collect()
}

/// The rows that have a target, with their ratios.
fn with_target(results: &Results) -> impl Iterator<Item = (&'static Target, Option<Spread>)> {
    results.workloads.iter().flat_map(|measured| {
        let peers = measured.peers.iter();
        peers.filter_map(|series| Some((targets::of(measured.name, series.peer)?, measured.ratio(series))))
    })
}

/// Bytes in the unit that people would use.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if amount.fract() == 0.0 || amount >= 100.0 {
        format!("{amount:.0} {}", UNITS[unit])
    } else {
        format!("{amount:.1} {}", UNITS[unit])
    }
}

/// Nanoseconds in the unit that people would use, with three digits.
fn time(nanoseconds: f64) -> String {
    let (amount, unit) = match nanoseconds {
        ..1e3 => (nanoseconds, "ns"),
        1e3..1e6 => (nanoseconds / 1e3, "us"),
        1e6..1e9 => (nanoseconds / 1e6, "ms"),
        _ => (nanoseconds / 1e9, "s"),
    };
    let digits = if amount < 10.0 { 2 } else { usize::from(amount < 100.0) };
    format!("{amount:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The README has the tables of the committed run, line by line.
    #[test]
    fn the_readme_shows_the_committed_run() {
        let read = |name: &str| {
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a file of the tree")
        };
        let (readme, report, programs) =
            (read("../README.md"), read("report/report.md"), read("report/programs.md"));
        let overview = report.split("\n## ").find(|part| part.starts_with("Overview")).expect("an overview");
        let lines = overview.lines().chain(programs.lines()).filter(|line| line.starts_with('|'));
        let missing: Vec<&str> = lines.filter(|line| !readme.contains(line)).collect();
        assert!(missing.is_empty(), "not in the README: {missing:#?}");
        assert!(overview.lines().filter(|line| line.starts_with('|')).count() > 20);
    }

    #[test]
    fn amounts_have_the_unit_that_people_would_use() {
        assert_eq!(["1 KiB", "1.5 KiB", "8 GiB", "0 B"], [1 << 10, 1536, 8 << 30, 0].map(bytes));
        assert_eq!(["0.64 ns", "12.0 us", "1.79 s"], [0.638, 12_000.0, 1.79e9].map(time));
    }
}
