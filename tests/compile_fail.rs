//! What the borrow checker must refuse: each file in `compile_fail/` is a mistake that must not compile.
//!
//! The messages beside them are those of one compiler; with another, only that there is an error is checked. The borrow
//! checker is the same on every system, and under Wine there is no cargo to start.
#![cfg(not(windows))]

use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// The compiler whose messages are recorded.
const RECORDED: &str = "rustc 1.95.";

#[test]
fn mistakes_do_not_compile() {
    let cases = trybuild::TestCases::new();
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().unwrap().stdout;
    if version.starts_with(RECORDED.as_bytes()) {
        cases.compile_fail("tests/compile_fail/*.rs");
        return;
    }
    let copies = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compile_fail");
    let _ = fs::remove_dir_all(&copies);
    fs::create_dir_all(&copies).unwrap();
    for case in fs::read_dir("tests/compile_fail").unwrap() {
        let path = case.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            fs::copy(&path, copies.join(path.file_name().unwrap())).unwrap();
        }
    }
    cases.compile_fail(copies.join("*.rs").to_str().unwrap());
}
