//! The command line, and the run that it asks for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::children;
use crate::growth;
use crate::machine::Machine;
use crate::report;
use crate::results::Results;
use crate::rounds;
use crate::workloads::{self, Scale};

const HELP: &str = "\
Measures Mallocator against other arenas and against general allocators.

Usage: cargo run --release -p mallocator-bench -- [OPTIONS]

  --quick          see that everything runs, in less than a minute; the numbers mean nothing
  --only PATTERN   only workloads and charts whose name contains PATTERN; charts are \"by size\" and \"by arenas\"
  --out DIR        where to write report.md, results.json and the charts
                   [default: benches/report, with --quick or --only target/bench-report]
  --list           print the names and end
  --help           print this and end
";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    quick: bool,
    only: Option<String>,
    out: PathBuf,
    list: bool,
    help: bool,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self, String> {
        let (mut quick, mut only, mut out, mut list, mut help) = (false, None, None, false, false);
        let mut rest = arguments.iter();
        while let Some(&argument) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{argument} needs a value; see --help"));
            match argument {
                "--quick" => quick = true,
                "--only" => only = Some((*value()?).to_owned()),
                "--out" => out = Some(PathBuf::from(value()?)),
                "--list" => list = true,
                "--help" | "-h" => help = true,
                _ => return Err(format!("there is no option {argument:?}; see --help")),
            }
        }
        // Only a whole run replaces the report in the tree.
        let whole = !quick && only.is_none();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let default = if whole { root.join("report") } else { root.join("../target/bench-report") };
        Ok(Self { quick, only, out: out.unwrap_or(default), list, help })
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|pattern| name.contains(pattern.as_str()))
    }
}

/// Runs the program.
pub fn run() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        [children::CHILD, ref rest @ ..] => children::serve(rest),
        _ => Options::parse(&arguments).and_then(|options| start(&options, &arguments)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options, arguments: &[&str]) -> Result<(), String> {
    if options.help {
        print!("{HELP}");
        return Ok(());
    }
    let scale = Scale { quick: options.quick };
    let mut workloads = workloads::all(scale);
    let mut charts = Vec::from(growth::all(options.quick));
    workloads.retain(|workload| options.wants(workload.name));
    charts.retain(|chart| options.wants(chart.name));
    if options.list {
        workloads
            .iter()
            .map(|workload| workload.name)
            .chain(charts.iter().map(|chart| chart.name))
            .for_each(|name| println!("{name}"));
        return Ok(());
    }
    if workloads.is_empty() && charts.is_empty() {
        return Err(format!(
            "no name contains {:?}; see --list",
            options.only.as_deref().unwrap_or_default()
        ));
    }
    if cfg!(debug_assertions) {
        return Err("build with --release: without it the numbers are of another program".to_owned());
    }
    // Before the run, so that a folder that cannot be written is known now.
    let refused = |error| format!("{}: {error}", options.out.display());
    fs::create_dir_all(&options.out).map_err(refused)?;

    let start = Instant::now();
    let steps = workloads.iter().map(rounds::ticks).sum::<u64>()
        + charts.iter().map(|chart| chart.steps.len() as u64).sum::<u64>();
    let bar = progress(steps);
    let mut measured = Vec::new();
    for workload in &workloads {
        announce(&bar, workload.name);
        measured.push(rounds::measure(workload, scale, || bar.inc(1))?);
    }
    let (mut by_size, mut by_arenas) = (Vec::new(), Vec::new());
    for chart in &charts {
        announce(&bar, chart.name);
        let points = if chart.name == growth::BY_SIZE { &mut by_size } else { &mut by_arenas };
        for &at in &chart.steps {
            points.extend(growth::measure(chart.name, at, options.quick)?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();

    let command = ["cargo run --release -p mallocator-bench"].into_iter().chain(
        // The separator of cargo's arguments and ours, if there are any.
        (!arguments.is_empty()).then_some("--").into_iter().chain(arguments.iter().copied()),
    );
    let results = Results {
        machine: Machine::here(),
        command: command.collect::<Vec<_>>().join(" "),
        quick: options.quick,
        seconds: start.elapsed().as_secs_f64(),
        workloads: measured,
        by_size,
        by_arenas,
    };
    report::write(&results, &options.out)?;
    println!("{}", report::summary(&results));
    println!("{:.0} s; the report is {}", results.seconds, options.out.join("report.md").display());
    Ok(())
}

fn progress(steps: u64) -> ProgressBar {
    let style = "{bar:30} {pos}/{len} {elapsed}, {eta} to go: {msg}";
    let bar = ProgressBar::new(steps);
    bar.set_style(ProgressStyle::with_template(style).expect("a template"));
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}

/// On a terminal the bar shows what is running; in a log a line does.
fn announce(bar: &ProgressBar, name: &'static str) {
    bar.set_message(name);
    if bar.is_hidden() {
        eprintln!("{} of {}: {name}", bar.position(), bar.length().unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_run_replaces_the_report_in_the_tree() {
        let out = |arguments: &[&str]| Options::parse(arguments).expect("they are right").out;
        assert!(out(&[]).ends_with("benches/report"));
        assert!(out(&["--quick"]).ends_with("target/bench-report"));
        assert!(out(&["--only", "Vec"]).ends_with("target/bench-report"));
        assert_eq!(out(&["--quick", "--out", "here"]), Path::new("here"));
    }

    #[test]
    fn bad_arguments_are_named() {
        let refused = |arguments: &[&str]| Options::parse(arguments).expect_err("they are wrong");
        assert!(refused(&["--quik"]).contains("--quik"));
        assert!(refused(&["--only"]).contains("--only needs a value"));
    }
}
