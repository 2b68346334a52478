//! `docs/what-can-fail.md` against the code. `src/os/documented.rs` has what is about calls to the system.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use mallocator::{Error, Mallocator, Protection};

const PAGE: &str = include_str!("../docs/what-can-fail.md");

/// The words of the page that are code, in running text and tables.
fn codes() -> impl Iterator<Item = &'static str> {
    let mut listing = false;
    let text = PAGE.lines().filter(move |line| {
        listing ^= line.starts_with("```");
        !listing && !line.starts_with("```")
    });
    text.flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn every_cause_of_an_error_is_named() {
    let source = include_str!("../src/error.rs");
    let (_, variants) = source.split_once("pub enum Error {").unwrap();
    let (variants, _) = variants.split_once("\n}").unwrap();
    let names = variants.lines().filter_map(|line| {
        let name = line.strip_prefix("    ")?.split([' ', '(', ',']).next()?;
        name.starts_with(char::is_uppercase).then_some(name)
    });
    let mut count = 0;
    for name in names {
        assert!(codes().any(|code| code == name), "{name}");
        count += 1;
    }
    assert_eq!(count, 27, "the variants are found");
}

/// Everything in `folder` that is Rust.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            writeln!(text, "{}", fs::read_to_string(path).unwrap()).unwrap();
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let mut text = String::new();
    for folder in ["tests", "src"] {
        sources(Path::new(folder), &mut text);
    }
    let text = text.replace("\r\n", "\n").replace("\n    ", "\n");
    let text = text.replace("#[cfg(target_os = \"linux\")]\n", "");
    let invariants = include_str!("../docs/invariants.md").split('`').skip(1).step_by(2);
    let tests = codes().chain(invariants).filter(|code| {
        let of_a_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        code.matches('_').count() > 3 && code.chars().all(of_a_name)
    });
    let mut count = 0;
    for test in tests {
        // A program that must not compile is a test too.
        if Path::new("tests/compile_fail").join(test).with_extension("rs").exists() {
            count += 1;
            continue;
        }
        let attributed = format!("#[test]\nfn {test}() {{");
        assert!(text.contains(&attributed), "{test}");
        count += 1;
    }
    assert!(count > 80, "{count} are found");
}

/// Digits, and the processor, are not compared.
fn shape(message: &str) -> String {
    let message = message.replace(std::env::consts::ARCH, "ARCH").replace("x86_64", "ARCH");
    let message = message.replace(std::env::consts::OS, "OS").replace("linux", "OS");
    let words = message.split(' ').map(|word| {
        let digits = word.starts_with(|c: char| c.is_ascii_digit());
        if digits { "#" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_the_arena_refuses_is_quoted_as_it_is_said() {
    let arena = Mallocator::new().unwrap();
    let base = arena.base();
    let read_only = Mallocator::builder().protection(Protection::READ).build().unwrap();
    let mut said = vec![
        arena.try_alloc_bytes(&[0; 100_000]).unwrap_err(),
        Mallocator::builder().at(1).build().unwrap_err(),
        Mallocator::builder().at(base.addr().get()).build().unwrap_err(),
        Mallocator::builder().size(1 << 20).near(base.as_ptr(), 1000).build().unwrap_err(),
        read_only.try_alloc(1).unwrap_err(),
    ];
    if !cfg!(windows) {
        let guarded = Mallocator::builder().protection(Protection::READ_WRITE | Protection::GUARD);
        said.push(guarded.build().unwrap_err());
    }
    said.push(Error::from(arena.seal(Protection::READ_WRITE).unwrap_err()));
    said.push(Error::Heap { size: 264 });
    said.push(Error::TooSmall { size: 100, needed: 271 });
    said.push(Error::NotItsOwn { call: "protect" });
    let quoted: Vec<_> = PAGE.lines().map(shape).collect();
    for error in said {
        assert!(quoted.contains(&shape(&error.to_string())), "{error}");
    }
}
