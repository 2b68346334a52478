//! The findings, for people and for programs.

use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::thread;

use crate::statistics::Spread;
use crate::{Finding, Measure};

/// A page with a table.
pub(crate) fn markdown(findings: &[Finding], rounds: usize) -> String {
    let mut page = String::from(
        "# Whole programs, on this arena and on bumpalo\n\n\
         Written by `scripts/bench-programs.sh`. Both arenas in turn, each run in a process of its own: ",
    );
    let _ = write!(
        page,
        "{rounds} rounds.\nMedians, and in brackets the quartiles. The ratio is this arena's number by bumpalo's, round by \
         round: below 1, this\narena is better. The trees were the same in every round.\n\n"
    );
    for (name, value) in system() {
        let _ = writeln!(page, "- {name}: {value}");
    }
    page.push_str("\n| program | | this arena | bumpalo | ratio |\n|---|---|---|---|---|\n");
    for finding in findings {
        for Measure { label, arena, peer, ratio, .. } in &finding.measures {
            let name = finding.workload.name;
            let _ = writeln!(
                page,
                "| {name} | {label} | {} | {} | **{:.2}** ({:.2}..{:.2}) |",
                cell(arena),
                cell(peer),
                ratio.median,
                ratio.first_quartile,
                ratio.third_quartile
            );
        }
    }
    page.push('\n');
    for Finding { workload, input_bytes, used, .. } in findings {
        let _ = writeln!(
            page,
            "- {}: {}. It reads {:.1} MB; {:.1} MB are handed out for the tree, {:.1} MB by {}.",
            workload.name,
            workload.what,
            megabytes(*input_bytes),
            used[0] / 1e6,
            used[1] / 1e6,
            workload.peer
        );
    }
    page.push_str(
        "\nThe first parse counts from no arena to the whole tree, in memory that the process never used. Each of the others\n\
         follows a reset of the arena. At the first reset bumpalo keeps the last of its chunks, which is too small for the tree,\n\
         and this arena all it has; by the fifth parse bumpalo has a chunk that is large enough, and both touch no new memory.\n\
         Release is the drop of the arena. Peak memory is that of the process (`VmHWM`) when the first tree is there, so the\n\
         program and its input count.\n",
    );
    page
}

fn cell(Spread { first_quartile, median, third_quartile }: &Spread) -> String {
    format!("{median:.2} ({first_quartile:.2}..{third_quartile:.2})")
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The same, unrounded.
pub(crate) fn json(findings: &[Finding], rounds: usize) -> String {
    let system = system().map(|(name, value)| format!("    {}: {}", quoted(name), quoted(&value)));
    let workloads = findings.iter().map(|finding| {
        let measures = finding.measures.iter().map(|Measure { name, label, arena, peer, ratio }| {
            format!(
                "        {{\n          \"name\": {}, \"label\": {},\n          \"mallocator\": {},\n          \
                 \"bumpalo\": {},\n          \"ratio\": {}\n        }}",
                quoted(name),
                quoted(label),
                spread(arena),
                spread(peer),
                spread(ratio)
            )
        });
        format!(
            "    {{\n      \"name\": {}, \"peer\": {}, \"input_bytes\": {},\n      \"used_bytes\": {{\"mallocator\": {}, \
             \"bumpalo\": {}}},\n      \"measures\": [\n{}\n      ]\n    }}",
            quoted(finding.workload.name),
            quoted(finding.workload.peer),
            finding.input_bytes,
            finding.used[0],
            finding.used[1],
            measures.collect::<Vec<_>>().join(",\n")
        )
    });
    format!(
        "{{\n  \"rounds\": {rounds},\n  \"system\": {{\n{}\n  }},\n  \"programs\": [\n{}\n  ]\n}}\n",
        system.join(",\n"),
        workloads.collect::<Vec<_>>().join(",\n")
    )
}

fn spread(Spread { first_quartile, median, third_quartile }: &Spread) -> String {
    format!(
        "{{\"first_quartile\": {first_quartile}, \"median\": {median}, \"third_quartile\": {third_quartile}}}"
    )
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What times depend on, as far as the system says it.
fn system() -> [(&'static str, String); 5] {
    let unknown = || String::from("unknown");
    let read = |path| fs::read_to_string(path).ok().map(|text| text.trim().to_string());
    let processor = read("/proc/cpuinfo").and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(": ")?.1.to_string())
    });
    let rust = Command::new("rustc").arg("--version").output().ok();
    let rust = rust.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    let pages = read("/sys/kernel/mm/transparent_hugepage/enabled");
    [
        ("processor", processor.unwrap_or_else(unknown)),
        ("cores", thread::available_parallelism().map_or_else(|_| unknown(), |cores| cores.to_string())),
        ("kernel", read("/proc/sys/kernel/osrelease").unwrap_or_else(unknown)),
        ("transparent huge pages", pages.unwrap_or_else(unknown)),
        ("compiler", rust.unwrap_or_else(unknown)),
    ]
}
