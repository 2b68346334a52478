//! Tests that run in a process of their own: because they die, or because they measure the process.
//!
//! The child is this test executable, asked to run the one test again with an environment variable that says so.

use std::env;
use std::io::Write;
use std::process::{self, Command, Output};

use super::system;

const CHILD: &str = "MALLOCATOR_TEST_CHILD";

/// Whether this is the process that [`alone`] or [`apart`] made for `test`.
pub fn is_child(test: &str) -> bool {
    env::var(CHILD).is_ok_and(|child| child == test)
}

fn run(test: &str) -> Output {
    let executable = env::current_exe().unwrap();
    // Where the tests themselves need an emulator to run, so do their children.
    let runner = env::var("MALLOCATOR_TEST_RUNNER").unwrap_or_default();
    let mut words = runner.split_whitespace();
    let mut command = match words.next() {
        Some(emulator) => Command::new(emulator),
        None => Command::new(&executable),
    };
    if !runner.is_empty() {
        command.args(words).arg(&executable);
    }
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, test);
    command.output().unwrap()
}

/// How a process ended, and what it said.
pub fn describe(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}

/// Runs `body` in a process in which nothing else happens. `test` is the name of the test that calls this.
pub fn alone(test: &str, body: impl FnOnce()) {
    alone_or(test, body, String::new);
}

/// The same, where `tell` knows more of a process that did not finish.
pub fn alone_or(test: &str, body: impl FnOnce(), tell: impl FnOnce() -> String) {
    if is_child(test) {
        body();
        println!("done");
        return;
    }
    let output = run(test);
    let finished = output.status.success() && String::from_utf8_lossy(&output.stdout).contains("done");
    assert!(finished, "{}{}", describe(&output), tell());
}

/// Runs `body` in a process of its own, and says how that ended and what it printed.
pub fn apart(test: &str, body: impl FnOnce()) -> Output {
    if is_child(test) {
        body();
        println!("done");
        process::exit(0);
    }
    run(test)
}

/// Runs `prepare` in a process of its own, which then writes to the address it returns, and must die by that very
/// access: the child says the address before, and the address of the fault when it happens.
pub fn dies(test: &str, prepare: impl FnOnce() -> *mut u8) {
    if is_child(test) {
        let address = prepare();
        system::announce_faults();
        println!("touching {:#x}", address.addr());
        std::io::stdout().flush().unwrap();
        // SAFETY: none: it is the crime that the test is about.
        unsafe { address.write_volatile(1) };
        println!("survived");
        process::exit(0);
    }
    let output = run(test);
    let said = String::from_utf8_lossy(&output.stdout);
    let number = |before: &str| {
        let at = said.find(before)? + before.len();
        let digits: String = said[at..].chars().take_while(char::is_ascii_hexdigit).collect();
        usize::from_str_radix(&digits, 16).ok()
    };
    let (touched, faulted) = (number("touching 0x"), number("faulted at 0x"));
    assert!(system::died_of_a_fault(output.status), "{}", describe(&output));
    assert!(touched.is_some() && touched == faulted, "{}", describe(&output));
}

/// Runs `body` in a process of its own, which must abort, and not by a panic.
pub fn aborts(test: &str, body: impl FnOnce()) {
    if is_child(test) {
        body();
        println!("survived");
        process::exit(0);
    }
    let output = run(test);
    let said = String::from_utf8_lossy(&output.stdout);
    let panicked = String::from_utf8_lossy(&output.stderr).contains("panicked");
    assert!(
        system::aborted(output.status) && !said.contains("survived") && !panicked,
        "{}",
        describe(&output)
    );
}
