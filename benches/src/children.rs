//! Processes that run one peer's part of one workload alone: for first fills, and for memory.
//!
//! The program starts itself as `mallocator-bench child KIND NAME PEER NUMBER`; the child prints one line.

use std::process::{Command, Stdio};

use crate::growth;
use crate::machine::Memory;
use crate::rounds::{least, warm_up};
use crate::workloads::{self, Scale};

/// The hidden subcommand.
pub(crate) const CHILD: &str = "child";

/// Instead of a number of passes.
const WARM: &str = "warm";

/// What a child is to run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Errand<'a> {
    /// So many passes of a workload, or, after a warm-up, as many as can be timed well.
    Workload { name: &'a str, peer: &'a str, passes: Option<u64>, scale: Scale },
    /// One point of a chart of growth.
    Growth { name: &'a str, peer: &'a str, at: u64 },
}

/// What a child has to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Of a pass.
    pub(crate) nanoseconds: f64,
    /// What the workload took, set-up and input not counted.
    pub(crate) memory: Memory,
}

impl Errand<'_> {
    /// Runs it in a fresh process.
    ///
    /// # Errors
    /// A child that cannot be started, fails, or says something else.
    pub(crate) fn run(self) -> Result<Answer, String> {
        let program = std::env::current_exe().map_err(|error| format!("this program's own path: {error}"))?;
        let mut command = Command::new(program);
        command.arg(CHILD).stdin(Stdio::null()).stderr(Stdio::inherit());
        match self {
            Self::Workload { name, peer, passes, scale } => {
                let passes = passes.map_or_else(|| WARM.to_owned(), |passes| passes.to_string());
                let kind = if scale.quick { "quick-workload" } else { "workload" };
                command.args([kind, name, peer, &passes])
            }
            Self::Growth { name, peer, at } => command.args(["growth", name, peer, &at.to_string()]),
        };
        let output = command.output().map_err(|error| format!("a child cannot be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("the child for {self:?} failed: {}", output.status));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [nanoseconds, peak, anonymous] = numbers[..] else {
            return Err(format!("the child for {self:?} said {text:?} instead of three numbers"));
        };
        Ok(Answer { nanoseconds, memory: Memory { peak: peak as u64, anonymous: anonymous as u64 } })
    }
}

/// The child's side.
///
/// # Errors
/// Arguments that no parent gives.
pub(crate) fn serve(arguments: &[&str]) -> Result<(), String> {
    let Answer { nanoseconds, memory } = match *arguments {
        [kind @ ("workload" | "quick-workload"), name, peer, passes] => {
            let scale = Scale { quick: kind == "quick-workload" };
            let passes = if passes == WARM { None } else { Some(number(passes)?) };
            run_workload(scale, name, peer, passes)?
        }
        ["growth", name, peer, at] => growth::run(name, peer, number(at)?)?,
        _ => {
            return Err(format!(
                "`{CHILD}` is how this program starts itself; it does not know {arguments:?}"
            ));
        }
    };
    println!("{nanoseconds} {} {}", memory.peak, memory.anonymous);
    Ok(())
}

fn run_workload(scale: Scale, name: &str, peer: &str, passes: Option<u64>) -> Result<Answer, String> {
    let all = workloads::all(scale);
    let entry = all
        .iter()
        .find(|workload| workload.name == name)
        .and_then(|workload| workload.entries.iter().find(|entry| entry.peer == peer))
        .ok_or_else(|| format!("there is no {peer} in {name:?}"))?;
    let task = (entry.task)();
    let before = Memory::before()?;
    let (mut task, passes) = match passes {
        Some(passes) => (task, passes),
        None => warm_up(task, least(scale)),
    };
    let nanoseconds = task(passes).as_nanos() as f64 / passes as f64;
    Ok(Answer { nanoseconds, memory: Memory::since(before)? })
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number"))
}
