//! Rounds: every peer once in each, in shuffled order, so that what disturbs the machine disturbs all of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::children::Errand;
use crate::inputs::Random;
use crate::machine::touch_memory;
use crate::results::{Measured, Series};
use crate::workloads::{Process, Scale, Task, Workload};

/// The round that is being measured.
pub(crate) static ROUND: AtomicUsize = AtomicUsize::new(0);

/// A timing of a peer lasts at least so long, so that the clock and a single interrupt do not matter.
pub(crate) fn least(scale: Scale) -> Duration {
    Duration::from_micros(if scale.quick { 200 } else { 4000 })
}

/// Measures a workload, calling `tick` after each of `ticks` steps.
///
/// # Errors
/// A child that fails.
pub(crate) fn measure(workload: &Workload, scale: Scale, mut tick: impl FnMut()) -> Result<Measured, String> {
    let nanoseconds = match workload.process {
        Process::Shared => in_this_process(workload, scale, &mut tick),
        Process::Fresh => in_processes(workload, scale, Some(1), &mut tick)?,
        Process::Own => in_processes(workload, scale, None, &mut tick)?,
    };
    let mut peers = Vec::new();
    for (entry, nanoseconds) in workload.entries.iter().zip(nanoseconds) {
        // Two passes where memory is used again, so that what is kept counts.
        let passes = if workload.process != Process::Fresh && workload.units > 1 { 2 } else { 1 };
        let errand = Errand::Workload { name: workload.name, peer: entry.peer, passes: Some(passes), scale };
        let peak = errand.run()?.memory.peak;
        peers.push(Series { peer: entry.peer, nanoseconds, peak_bytes: Some(peak) });
        tick();
    }
    Ok(Measured {
        name: workload.name,
        section: workload.section.title(),
        unit: workload.unit,
        process: workload.process.words(),
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
        for place in order(round, tasks.len()) {
            // A pass that is a program of its own takes new memory.
            if workload.units == 1 && !scale.quick {
                touch_memory(256 << 20);
            }
            let (task, passes) = &mut tasks[place];
            let time = task(*passes);
            series[place].push(time.as_nanos() as f64 / (*passes as f64 * workload.units as f64));
        }
        tick();
    }
    series
}

/// All places below `count`, shuffled anew in each round: what one peer leaves behind, in caches and in the system's free
/// memory, is not always met by the same other.
pub(crate) fn order(round: usize, count: usize) -> Vec<usize> {
    let mut random = Random::new(round as u64);
    let mut places: Vec<usize> = (0..count).collect();
    for end in (1..count).rev() {
        places.swap(end, random.below(end + 1));
    }
    places
}

/// Runs a task until it lasts long enough to be measured, and says with how many passes it does.
pub(crate) fn warm_up(mut task: Task, least: Duration) -> (Task, u64) {
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

fn in_processes(
    workload: &Workload,
    scale: Scale,
    passes: Option<u64>,
    tick: &mut impl FnMut(),
) -> Result<Vec<Vec<f64>>, String> {
    let mut series = vec![Vec::new(); workload.entries.len()];
    tick();
    for round in 0..workload.rounds as usize {
        for place in order(round, series.len()) {
            let peer = workload.entries[place].peer;
            if workload.process == Process::Fresh && !scale.quick {
                touch_memory(256 << 20);
            }
            let answer = Errand::Workload { name: workload.name, peer, passes, scale }.run()?;
            series[place].push(answer.nanoseconds / workload.units as f64);
        }
        tick();
    }
    Ok(series)
}
