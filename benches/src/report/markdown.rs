//! `report.md`: tables that need no other page to be understood.

use std::fmt::Write;

use super::charts::Chart;
use super::{bytes, missed, summary, time};
use crate::growth;
use crate::results::{Measured, Point, REFERENCE, Results, SUBJECT, Series, Spread};
use crate::targets;
use crate::workloads::Section;

/// Writing to a string cannot fail.
macro_rules! line {
    ($text:expr $(, $($argument:tt)*)?) => {{ let _ = writeln!($text $(, $($argument)*)?); }};
}

pub(crate) fn write(results: &Results, charts: &[Chart]) -> String {
    let mut text = String::new();
    line!(text, "# Benchmark\n");
    if results.quick {
        line!(text, "**A smoke test (`--quick`): everything is smaller, and the numbers mean nothing.**\n");
    }
    head(&mut text, results);
    if !results.workloads.is_empty() {
        overview(&mut text, results);
    }
    for chart in charts.iter().filter(|chart| chart.about.is_none()) {
        line!(text, "![{}]({})\n", chart.title, chart.file);
    }
    for section in Section::ALL {
        let rows: Vec<&Measured> =
            results.workloads.iter().filter(|measured| measured.section == section.title()).collect();
        if !rows.is_empty() {
            line!(text, "## {}\n", section.title());
            for measured in rows {
                details(&mut text, measured);
            }
        }
    }
    for (about, title, points) in [
        (growth::BY_SIZE, "How cost grows with the size of an arena", &results.by_size),
        (growth::BY_ARENAS, "How cost grows with the number of live arenas", &results.by_arenas),
    ] {
        if !points.is_empty() {
            line!(text, "## {title}\n");
            for chart in charts.iter().filter(|chart| chart.about == Some(about)) {
                line!(text, "![{}]({})\n", chart.title, chart.file);
            }
            growth_table(&mut text, about, points);
        }
    }
    text
}

fn head(text: &mut String, results: &Results) {
    let machine = &results.machine;
    line!(
        text,
        "- **Machine**: {}, {} cores, {} of memory; Linux {}; transparent huge pages: {}; overcommit: {}",
        machine.cpu,
        machine.cores,
        bytes(machine.memory_bytes),
        machine.kernel,
        machine.transparent_huge_pages,
        machine.overcommit
    );
    let flags = machine.compiler_flags.unwrap_or("no flags");
    let versions: Vec<String> =
        machine.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    line!(text, "- **Compiler**: {}, release profile, {flags}", machine.compiler);
    line!(text, "- **Versions**: {}", versions.join(", "));
    line!(
        text,
        "- **Command**: `{}`, {:.0} s; every number is in [results.json](results.json)\n",
        results.command,
        results.seconds
    );
    line!(
        text,
        "Method. Every workload is one generic function over a small trait, instantiated for each peer, and calls public
methods only. Peers run in turn, round by round, in shuffled order: in one process on memory they have used before, or, where
a table says so, each in a process of its own. A ratio is a peer's time divided by {REFERENCE}'s **in the same round**; tables show its median and, in
brackets, the quartiles. Ratios are the claim: absolute times do not travel. General allocators are called through their
`GlobalAlloc`, and free every object singly, which counts where arenas reset or drop (in fresh processes nobody frees).
Before each process that takes new memory, as much is touched and given back, so that the time in which the host of a virtual
machine hands memory over is nobody's.
Peak memory is what a process that runs the workload alone takes for it at most; program and input are there before.\n"
    );
}

fn overview(text: &mut String, results: &Results) {
    line!(text, "## Overview\n\n{}.\n", summary(results));
    line!(text, "| workload | {REFERENCE} | best peer | {SUBJECT} | ratio to {REFERENCE} | target | |");
    line!(text, "|---|---:|---|---:|---:|---:|---|");
    for measured in &results.workloads {
        let (Some(reference), Some((best, fastest))) = (measured.of(REFERENCE), measured.best_peer()) else {
            continue;
        };
        for ours in measured.peers.iter().filter(|series| series.peer.starts_with(SUBJECT)) {
            let target = targets::of(measured.name, ours.peer);
            let name = code(&targets::row(measured.name, ours.peer));
            line!(
                text,
                "| {name} | {} | {} {} | {} | {} | {} | {} |",
                middle(reference),
                best.peer,
                time(fastest.median),
                middle(ours),
                measured.ratio(ours).map_or_else(String::new, ratio),
                target.map_or_else(String::new, |target| format!("{:.2}", target.ratio)),
                target.map_or_else(String::new, |target| verdict(measured, ours, target.ratio)),
            );
        }
    }
    line!(text);
    for target in missed(results).into_iter().filter(|target| !target.why.is_empty()) {
        line!(text, "- **{}**: {}", code(&target.row()), target.why);
    }
    line!(text);
}

/// A name whose function is marked as code.
fn code(name: &str) -> String {
    let end =
        name.find(')').map_or_else(|| name.find(',').filter(|_| name.contains('_')), |end| Some(end + 1));
    end.filter(|_| name.starts_with("alloc") || name.starts_with("try_"))
        .map_or_else(|| name.to_owned(), |end| format!("`{}`{}", &name[..end], &name[end..]))
}

fn middle(series: &Series) -> String {
    time(Spread::of(&series.nanoseconds).median)
}

fn ratio(spread: Spread) -> String {
    let digits = if spread.median < 10.0 { 2 } else { 0 };
    format!("{:.digits$} [{:.digits$}, {:.digits$}]", spread.median, spread.low, spread.high)
}

fn verdict(measured: &Measured, series: &Series, target: f64) -> String {
    let Some(ratio) = measured.ratio(series) else { return String::new() };
    let off = (ratio.median / target - 1.0) * 100.0;
    if ratio.median <= target {
        format!("reached, by {:.0} %", -off)
    } else if ratio.median > 10.0 * target {
        format!("**missed**, {:.0} times the target", ratio.median / target)
    } else {
        format!("**missed** by {off:.0} %")
    }
}

fn details(text: &mut String, measured: &Measured) {
    let rounds = measured.peers.first().map_or(0, |series| series.nanoseconds.len());
    line!(
        text,
        "### {}\n\nTime for one {}; {rounds} rounds, {}.\n",
        measured.name,
        measured.unit,
        measured.process
    );
    line!(text, "| | median [quartiles] | least | ratio to {REFERENCE} | peak memory |");
    line!(text, "|---|---:|---:|---:|---:|");
    for series in &measured.peers {
        let spread = Spread::of(&series.nanoseconds);
        let mark = if series.peer.starts_with(SUBJECT) { "**" } else { "" };
        line!(
            text,
            "| {mark}{}{mark} | {} [{}, {}] | {} | {} | {} |",
            series.peer,
            time(spread.median),
            time(spread.low),
            time(spread.high),
            time(series.nanoseconds.iter().copied().fold(f64::INFINITY, f64::min)),
            measured.ratio(series).map_or_else(String::new, ratio),
            series.peak_bytes.map_or_else(String::new, bytes),
        );
    }
    line!(text);
}

fn growth_table(text: &mut String, about: &str, points: &[Point]) {
    let peers: Vec<&str> = growth::peers().collect();
    if about == growth::BY_SIZE {
        line!(
            text,
            "Objects of 64 bytes into one new arena, in a fresh process: time a KiB, peak memory, anonymous memory at the end."
        );
    } else {
        line!(
            text,
            "Arenas with 4 KiB of objects each, all alive, in a fresh process: time an arena with its filling, peak memory, anonymous"
        );
        line!(
            text,
            "memory at the end. Each Mallocator reserves 1 MiB; for {}, which has no arenas, it is the objects alone.",
            peers[3]
        );
    }
    line!(text, "\n| | {} |", peers.join(" | "));
    line!(text, "|---:{}|", "|---:".repeat(peers.len()));
    let mut steps: Vec<u64> = points.iter().map(|point| point.at).collect();
    steps.dedup();
    for at in steps {
        let label = if about == growth::BY_SIZE { bytes(at) } else { at.to_string() };
        let per = if about == growth::BY_SIZE { at as f64 / 1024.0 } else { at as f64 };
        let cells: Vec<String> = points
            .iter()
            .filter(|point| point.at == at)
            .map(|point| {
                let median = Spread::of(&point.nanoseconds).median;
                format!("{}, {}, {}", time(median / per), bytes(point.peak_bytes), bytes(point.end_bytes))
            })
            .collect();
        line!(text, "| {label} | {} |", cells.join(" | "));
    }
    line!(text);
}
