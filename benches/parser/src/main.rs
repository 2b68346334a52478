//! Parses a JavaScript file with oxc, whose tree lives in the arena of the crate `bumpalo`, and prints what that took.
//!
//! Built as it is, the crate is the real one; built in `patched`, it is the one in `bumpalo` beside this.

use std::env;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use measure::{Run, peak_kib, timed};
use oxc_allocator::Allocator;
use oxc_parser::{Parser, ParserReturn};
use oxc_span::SourceType;

mod measure;

fn main() -> ExitCode {
    let Some(path) = env::args_os().nth(1) else {
        eprintln!("usage: parser FILE.js");
        return ExitCode::from(2);
    };
    match fs::read_to_string(&path).map_err(|error| error.to_string()).and_then(|source| measure(&source)) {
        Ok(run) => {
            run.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("parser: {}: {error}", path.to_string_lossy());
            ExitCode::FAILURE
        }
    }
}

fn measure(source: &str) -> Result<Run, String> {
    let ((mut arena, hash, peak_kib, used), cold) = {
        let (arena, create) = timed(Allocator::new);
        let (parsed, parse) = timed(|| parse(&arena, source));
        let (peak_kib, used) = (peak_kib(), arena.used_bytes());
        // The whole tree, with the place of every node in the source.
        let hash = measure::hash(&checked(parsed)?.program.to_estree_js_json(true));
        ((arena, hash, peak_kib, used), create + parse)
    };
    let mut again = [Duration::ZERO; 4];
    for time in &mut again {
        arena.reset();
        let (parsed, parse) = timed(|| parse(&arena, source));
        checked(parsed)?;
        *time = parse;
    }
    let ((), release) = timed(|| drop(arena));
    Ok(Run { cold, again, release, peak_kib, used, hash })
}

fn parse<'a>(arena: &'a Allocator, source: &'a str) -> ParserReturn<'a> {
    Parser::new(arena, source, SourceType::cjs()).parse()
}

fn checked(parsed: ParserReturn<'_>) -> Result<ParserReturn<'_>, String> {
    match parsed.errors.first() {
        Some(error) => Err(error.to_string()),
        None => Ok(parsed),
    }
}
