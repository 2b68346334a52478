//! Rounds: every peer once in each, in turned order, so that what disturbs the machine disturbs all of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::children::Errand;
use crate::results::{Measured, Series};
use crate::workloads::{Process, Scale, Task, Workload};

/// The round that is being measured.
pub(crate) static ROUND: AtomicUsize = AtomicUsize::new(0);

/// A timing of a peer lasts at least so long, so that the clock and a single interrupt do not matter.
fn least(scale: Scale) -> Duration {
    Duration::from_micros(if scale.quick { 200 } else { 4000 })
}

/// Measures a workload, calling `tick` after each of `ticks` steps.
///
/// # Errors
/// A child that fails.
pub(crate) fn measure(workload: &Workload, scale: Scale, mut tick: impl FnMut()) -> Result<Measured, String> {
    let nanoseconds = match workload.process {
        Process::Shared => in_this_process(workload, scale, &mut tick),
        Process::Fresh => in_fresh_processes(workload, scale, &mut tick)?,
    };
    let mut peers = Vec::new();
    for (entry, nanoseconds) in workload.entries.iter().zip(nanoseconds) {
        // Two passes where memory is used again, so that what is kept counts.
        let passes = if workload.process == Process::Shared && workload.units > 1 { 2 } else { 1 };
        let errand = Errand::Workload { name: workload.name, peer: entry.peer, passes, scale };
        let peak = errand.run()?.memory.peak;
        peers.push(Series { peer: entry.peer, nanoseconds, peak_bytes: Some(peak) });
        tick();
    }
    Ok(Measured {
        name: workload.name,
        section: workload.section.title(),
        unit: workload.unit,
        fresh_process: workload.process == Process::Fresh,
        peers,
    })
}

/// How often [`measure`] calls `tick`.
pub(crate) fn ticks(workload: &Workload) -> u64 {
    u64::from(workload.rounds + 1) + workload.entries.len() as u64
}

fn in_this_process(workload: &Workload, scale: Scale, tick: &mut impl FnMut()) -> Vec<Vec<f64>> {
    let mut tasks: Vec<(Task, u64)> =
        workload.entries.iter().map(|entry| warm_up((entry.task)(), least(scale))).collect();
    tick();
    let mut series = vec![Vec::new(); tasks.len()];
    for round in 0..workload.rounds as usize {
        ROUND.store(round, Ordering::Relaxed);
        for turn in 0..tasks.len() {
            let place = (turn + round) % tasks.len();
            let (task, passes) = &mut tasks[place];
            let time = task(*passes);
            series[place].push(time.as_nanos() as f64 / (*passes as f64 * workload.units as f64));
        }
        tick();
    }
    series
}

/// Runs a task until it lasts long enough to be measured, and says with how many passes it does.
fn warm_up(mut task: Task, least: Duration) -> (Task, u64) {
    let mut passes = 1;
    loop {
        let time = task(passes);
        if time >= least {
            return (task, passes);
        }
        let needed = least.as_nanos() / time.as_nanos().max(1) + 1;
        passes *= u64::try_from(needed.clamp(2, 100)).expect("at most 100");
    }
}

fn in_fresh_processes(
    workload: &Workload,
    scale: Scale,
    tick: &mut impl FnMut(),
) -> Result<Vec<Vec<f64>>, String> {
    let mut series = vec![Vec::new(); workload.entries.len()];
    tick();
    for round in 0..workload.rounds as usize {
        for turn in 0..series.len() {
            let place = (turn + round) % series.len();
            let peer = workload.entries[place].peer;
            let answer = Errand::Workload { name: workload.name, peer, passes: 1, scale }.run()?;
            series[place].push(answer.time.as_nanos() as f64 / workload.units as f64);
        }
        tick();
    }
    Ok(series)
}
