//! The examples run, and after every line that they print nothing in the process is writable and executable at once.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

use std::env;
use std::fs;
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{alone, writable_and_executable};
use mallocator::{Mallocator, Protection};

mod common;

/// What the examples print with, from here on.
macro_rules! println {
    ($($words:tt)*) => {{
        std::println!($($words)*);
        crate::after_line();
    }};
}

#[allow(dead_code, unused_attributes, reason = "the parts of a program that are not run from here")]
#[path = "../examples/jit.rs"]
mod jit;
#[allow(dead_code, unused_attributes, reason = "the parts of a program that are not run from here")]
#[path = "../examples/json.rs"]
mod json;
#[allow(dead_code, unused_attributes, reason = "the parts of a program that are not run from here")]
#[path = "../examples/tasks.rs"]
mod tasks;
#[allow(dead_code, unused_attributes, reason = "the parts of a program that are not run from here")]
#[path = "../examples/tour.rs"]
mod tour;

static LINES: AtomicUsize = AtomicUsize::new(0);

fn after_line() {
    assert_eq!(writable_and_executable(), [""; 0]);
    LINES.fetch_add(1, Ordering::Relaxed);
}

/// Runs `example` in a process of its own, which has no pages but its own, not even where a tool runs the tests.
fn watch(test: &str, lines_at_least: usize, example: impl FnOnce()) {
    alone(test, || {
        example();
        let lines = LINES.load(Ordering::Relaxed);
        assert!(lines >= lines_at_least, "only {lines} lines were watched");
    });
}

#[test]
fn the_tour_has_nothing_writable_and_executable() {
    watch("the_tour_has_nothing_writable_and_executable", 40, || tour::run().unwrap());
}

#[test]
fn the_reader_of_json_has_nothing_writable_and_executable() {
    watch("the_reader_of_json_has_nothing_writable_and_executable", 8, || {
        let file = env::temp_dir().join(format!("mallocator-{}.json", process::id()));
        fs::write(&file, "[{\"read\": \"twice, once with c\\u00f6pies\"}]").unwrap();
        json::run([file.clone().into()]);
        json::run(["--copy".into(), file.clone().into()]);
        fs::remove_file(file).unwrap();
    });
}

#[test]
fn the_compiler_has_nothing_writable_and_executable() {
    let lines = if cfg!(target_arch = "x86_64") { 25 } else { 5 };
    watch("the_compiler_has_nothing_writable_and_executable", lines, || {
        jit::run("gcd(x, y) / (x - x) + pow(-y, 3) * max(x, 1)").unwrap();
    });
}

#[test]
fn the_tasks_have_nothing_writable_and_executable() {
    watch("the_tasks_have_nothing_writable_and_executable", 8, || tasks::run().unwrap());
}

#[test]
fn what_is_writable_and_executable_is_seen() {
    alone("what_is_writable_and_executable_is_seen", || {
        assert_eq!(writable_and_executable().len(), 0);
        let arena = Mallocator::builder().protection(Protection::READ_WRITE_EXECUTE).build().unwrap();
        assert_eq!(writable_and_executable().len(), 1);
        arena.free().unwrap();
        assert_eq!(writable_and_executable().len(), 0);
    });
}
