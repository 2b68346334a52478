//! What every program here prints of a run, one `name value` a line, for `compare` to read.

use std::fmt;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::time::{Duration, Instant};

/// Calls `f`, and says how long it took.
pub(crate) fn timed<R>(f: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = f();
    (result, start.elapsed())
}

/// What was measured of one process.
pub(crate) struct Run {
    /// From no arena to the whole tree, in memory that was never used before.
    pub cold: Duration,
    /// To the same tree again, each time after a reset of the arena.
    pub again: [Duration; 4],
    /// To give the arena back.
    pub release: Duration,
    /// The most memory that the process had until the first tree was there, with the program and its input.
    pub peak_kib: Option<u64>,
    /// Bytes that the arena handed out for the first tree.
    pub used: usize,
    /// Of the whole of the tree, written out.
    pub hash: u64,
}

impl Run {
    pub(crate) fn print(&self) {
        println!("cold {}", self.cold.as_secs_f64());
        // The first time an arena of chunks has only the last of them; by the last time it has one that is large enough.
        println!("second {}", self.again[0].as_secs_f64());
        println!("warm {}", self.again[3].as_secs_f64());
        println!("release {}", self.release.as_secs_f64());
        if let Some(peak) = self.peak_kib {
            println!("peak {peak}");
        }
        println!("used {}", self.used);
        println!("hash {:016x}", self.hash);
    }
}

/// The most memory that this process has had so far, in KiB, where the system says it: `VmHWM` of Linux.
pub(crate) fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// The hash of what `value` is written as. The same in every process of the same Rust.
pub(crate) fn hash(value: &impl fmt::Display) -> u64 {
    struct Hashing(DefaultHasher);
    impl fmt::Write for Hashing {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut hashing = Hashing(DefaultHasher::new());
    fmt::write(&mut hashing, format_args!("{value}")).expect("a hasher takes everything");
    hashing.0.finish()
}
