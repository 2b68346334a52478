//! `cargo run --release -p mallocator-bench`: see `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mallocator_bench::run()
}
