//! `docs/what-can-fail.md` has the calls and the messages of the platform at hand.

use super::{Call, OsError, platform};

const PAGE: &str = include_str!("../../docs/what-can-fail.md");

const CALLS: [Call; 15] = [
    Call::Reserve,
    Call::ReserveHuge,
    Call::Commit,
    Call::Decommit,
    Call::Discard,
    Call::AdviseHuge,
    Call::AdviseSmall,
    Call::Protect,
    Call::Release,
    Call::Lock,
    Call::Unlock,
    Call::ExcludeFromDumps,
    Call::WipeOnFork,
    Call::OmitOnFork,
    Call::FlushInstructionCache,
];

/// What the page has of this platform.
fn section() -> &'static str {
    let heading = if cfg!(any(miri, mallocator_heap)) {
        "\n## The heap\n"
    } else if cfg!(windows) {
        "\n## Windows\n"
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        "\n## Linux, Android\n"
    } else {
        "\n## macOS, BSDs\n"
    };
    let (_, section) = PAGE.split_once(heading).unwrap();
    section.split("\n## ").next().unwrap()
}

/// Without its numbers, and where the system's text may be in any language without that.
fn shape(message: &str) -> String {
    let mut shape = String::new();
    for part in message.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        shape.push_str(if rest.len() < part.len() { "#" } else { "" });
        shape.push_str(rest);
    }
    if cfg!(windows) {
        let mut parts = shape.splitn(3, ": ");
        let (what, call) = (parts.next().unwrap(), parts.next().unwrap());
        let text = parts.next().unwrap();
        let behind = text.find("(os error").map_or("", |at| &text[at..]);
        return format!("{what}: {call}: {behind}");
    }
    shape
}

#[test]
fn every_call_to_the_system_is_in_the_documentation() {
    for call in CALLS {
        let name = platform::name_of(call);
        // Neither is a function that can be refused.
        if ["flush", "advice", "bookkeeping"].contains(&name) {
            continue;
        }
        assert!(section().contains(&format!("`{name}`")), "{name}");
    }
    // Whoever adds a call adds it here.
    let last = Call::FlushInstructionCache as usize;
    assert_eq!(CALLS.map(|call| call as usize), std::array::from_fn(|index| index));
    assert_eq!(CALLS.len(), last + 1);
}

#[test]
fn every_message_in_the_documentation_is_one() {
    let quoted: Vec<_> = section().lines().filter(|line| line.starts_with("the system did not")).collect();
    assert!(!quoted.is_empty());
    for message in quoted {
        let code = message.split("(os error ").nth(1).unwrap().split(')').next().unwrap().parse().unwrap();
        let known = CALLS.map(|call| shape(&OsError::new(call, 1, code).to_string()));
        assert!(known.contains(&shape(message)), "{message}\nis none of {known:#?}");
    }
}
