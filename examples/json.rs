//! Reads a JSON document into an arena and says what is in it, and what the arena made of it.
//!
//! ```sh
//! cargo run --release --example json                                  # a small document
//! cargo run --release --example json -- "$(scripts/fetch-json.sh)"    # 50 MB of it
//! cargo run --release --example json -- --copy FILE                   # with copies of all text in the arena
//! ```

use std::env;
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use mallocator::Mallocator;
use reader::{Options, Value};
use summary::Summary;

#[path = "json/reader.rs"]
mod reader;
#[path = "json/summary.rs"]
mod summary;

/// What is read when no file is named.
const SMALL: &str = r#"{
    "name": "Bumblebee \ud83d\udc1d",
    "legs": 6,
    "wings": [{"side": "left", "mm": 13.5}, {"side": "right", "mm": 13.5}],
    "visits": [["clover", true], ["thistle", false], ["caf\u00e9", null]],
    "eggs": 4e2
}"#;

fn main() -> ExitCode {
    run(env::args_os().skip(1))
}

/// Here and in the tests.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut options = Options::default();
    let mut file = None;
    for argument in arguments {
        if argument == "--copy" {
            options.copy_text = true;
        } else if file.is_none() && !argument.to_string_lossy().starts_with("--") {
            file = Some(argument);
        } else {
            eprintln!("json: unexpected argument {argument:?}\nusage: json [--copy] [FILE]");
            return ExitCode::from(2);
        }
    }
    let (name, input) = match &file {
        None => ("(a small document)".into(), SMALL.as_bytes().to_vec()),
        Some(path) => match fs::read(path) {
            Ok(input) => (path.to_string_lossy(), input),
            Err(error) => {
                eprintln!("json: {} cannot be read: {error}", path.to_string_lossy());
                return ExitCode::FAILURE;
            }
        },
    };

    let arena = Mallocator::growing();
    let start = Instant::now();
    let read = reader::read(&input, &arena, options);
    let seconds = start.elapsed().as_secs_f64();
    match read {
        Ok(value) => {
            report(&name, &input, &value, &arena, seconds);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("json: {name}: {error}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn report(name: &str, input: &[u8], value: &Value<'_>, arena: &Mallocator, seconds: f64) {
    if input.len() < 1000 {
        println!("{}\n\nis, in short,\n\n{value}\n", String::from_utf8_lossy(input));
    }
    println!("document    {name}");
    println!("{}", Summary::of(value));
    println!("{}", arena.report());
    let megabytes = input.len() as f64 / 1e6;
    println!("read        {megabytes:.3} MB in {:.3} ms: {:.0} MB/s", seconds * 1e3, megabytes / seconds);
}
