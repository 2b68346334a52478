//! Runs each program on this arena and on bumpalo, in turn, each run in a process of its own; checks that both made the
//! same; and writes how they compare: `programs.md` for people, `programs.json` for programs.
//!
//! Called by `scripts/bench-programs.sh`, which builds the programs and fetches what they read.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use statistics::Spread;

mod report;
mod statistics;

/// One program on two arenas.
struct Workload {
    name: &'static str,
    /// What the program does, for people.
    what: &'static str,
    peer: &'static str,
    /// The program and its arguments in front of the file: on this arena, on the peer.
    commands: [&'static [&'static str]; 2],
    /// Which of the files of the command line it reads.
    input: usize,
}

const WORKLOADS: [Workload; 3] = [
    Workload {
        name: "json",
        what: "the JSON reader of `examples/json.rs`; text with no escape is borrowed from the input",
        peer: "bumpalo 3.20.4",
        commands: [&["json", "mallocator"], &["json", "bumpalo"]],
        input: 0,
    },
    Workload {
        name: "json, copied",
        what: "the same reader with a copy of all text in the arena",
        peer: "bumpalo 3.20.4",
        commands: [&["json", "mallocator", "--copy"], &["json", "bumpalo", "--copy"]],
        input: 0,
    },
    Workload {
        name: "oxc's parser",
        what: "oxc_parser 0.100.0, unchanged; on this arena by a patch of the crate `bumpalo`",
        peer: "bumpalo 3.19.0",
        commands: [&["parser-patched"], &["parser"]],
        input: 1,
    },
];

/// What is compared: as a program prints it, and in words.
const MEASURES: [(&str, &str); 5] = [
    ("cold", "first parse, ms"),
    ("second", "second parse, ms"),
    ("warm", "fifth parse, ms"),
    ("release", "release, ms"),
    ("peak", "peak memory, MiB"),
];

/// What was found of a workload.
struct Finding {
    workload: &'static Workload,
    input_bytes: u64,
    /// Bytes handed out for the tree, on this arena and on the peer.
    used: [f64; 2],
    measures: Vec<Measure>,
}

struct Measure {
    name: &'static str,
    label: &'static str,
    arena: Spread,
    peer: Spread,
    /// Of this arena to the peer, round by round.
    ratio: Spread,
}

struct Arguments {
    programs: PathBuf,
    inputs: [PathBuf; 2],
    out: PathBuf,
    rounds: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let Some(arguments) = parse(&arguments) else {
        eprintln!("usage: compare PROGRAMS_FOLDER FILE.json FILE.js OUT_FOLDER ROUNDS");
        return ExitCode::from(2);
    };
    match compare(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[OsString]) -> Option<Arguments> {
    let [programs, json, javascript, out, rounds] = arguments else { return None };
    Some(Arguments {
        programs: programs.into(),
        inputs: [json.into(), javascript.into()],
        out: out.into(),
        rounds: rounds.to_str()?.parse().ok().filter(|&rounds| rounds > 0)?,
    })
}

fn compare(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let mut findings = Vec::new();
    for workload in &WORKLOADS {
        let input = &arguments.inputs[workload.input];
        let mut runs = Vec::new();
        // Round 0 brings programs and input into memory, and is not counted.
        for round in 0..=arguments.rounds {
            let pair = [
                run(&arguments.programs, workload.commands[0], input)?,
                run(&arguments.programs, workload.commands[1], input)?,
            ];
            if pair[0].hash != pair[1].hash {
                return Err(format!("{}: the two arenas hold different trees", workload.name).into());
            }
            let seconds = start.elapsed().as_secs();
            eprintln!("{seconds:>4} s  {}: round {round} of {}", workload.name, arguments.rounds);
            if round > 0 {
                runs.push(pair);
            }
        }
        findings.push(find(workload, fs::metadata(input)?.len(), &runs)?);
    }
    fs::create_dir_all(&arguments.out)?;
    let markdown = report::markdown(&findings, arguments.rounds);
    fs::write(arguments.out.join("programs.md"), &markdown)?;
    fs::write(arguments.out.join("programs.json"), report::json(&findings, arguments.rounds))?;
    print!("{markdown}");
    Ok(())
}

/// What a run printed.
struct Run {
    hash: String,
    numbers: BTreeMap<String, f64>,
}

fn run(programs: &Path, command: &[&str], input: &Path) -> Result<Run, Box<dyn Error>> {
    let program = programs.join(command[0]);
    let output = Command::new(&program)
        .args(&command[1..])
        .arg(input)
        .output()
        .map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{}: {}: {message}", command.join(" "), output.status).into());
    }
    let mut run = Run { hash: String::new(), numbers: BTreeMap::new() };
    for line in String::from_utf8(output.stdout)?.lines() {
        match line.split_once(' ') {
            Some(("hash", hash)) => run.hash = hash.into(),
            Some((name, number)) => {
                run.numbers.insert(name.into(), number.parse()?);
            }
            None => return Err(format!("{}: unexpected output: {line}", command.join(" ")).into()),
        }
    }
    Ok(run)
}

fn find(workload: &'static Workload, input_bytes: u64, runs: &[[Run; 2]]) -> Result<Finding, Box<dyn Error>> {
    let column = |side: usize, name: &str| -> Result<Vec<f64>, Box<dyn Error>> {
        let number = |pair: &[Run; 2]| pair[side].numbers.get(name).copied();
        let missing = || format!("{}: a run did not say its `{name}`", workload.name).into();
        runs.iter().map(number).collect::<Option<_>>().ok_or_else(missing)
    };
    let mut measures = Vec::new();
    for (name, label) in MEASURES {
        // As printed: seconds, and KiB.
        let scale = if name == "peak" { 1.0 / 1024.0 } else { 1e3 };
        let scaled =
            |side| column(side, name).map(|column| column.iter().map(|number| number * scale).collect());
        let (arena, peer): (Vec<f64>, Vec<f64>) = (scaled(0)?, scaled(1)?);
        let ratios: Vec<f64> = arena.iter().zip(&peer).map(|(arena, peer)| arena / peer).collect();
        measures.push(Measure {
            name,
            label,
            arena: Spread::of(&arena),
            peer: Spread::of(&peer),
            ratio: Spread::of(&ratios),
        });
    }
    let used = [Spread::of(&column(0, "used")?).median, Spread::of(&column(1, "used")?).median];
    Ok(Finding { workload, input_bytes, used, measures })
}
