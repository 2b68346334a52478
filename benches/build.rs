//! Hands the compiler's version to the program, which prints it in its report.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").expect("cargo names the compiler");
    let output = Command::new(rustc).arg("--version").output().expect("the compiler runs");
    let version = String::from_utf8(output.stdout).expect("the version is text");
    println!("cargo::rustc-env=COMPILER={}", version.trim());
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().replace('\u{1f}', " ");
    if !flags.is_empty() {
        println!("cargo::rustc-env=COMPILER_FLAGS={flags}");
    }
}
