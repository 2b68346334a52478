//! Reads a JSON file with the reader of the example, into one of two arenas, and prints what that took.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use bumpalo::{AllocErr, Bump};
use mallocator::Mallocator;
use measure::{Run, peak_kib, timed};
use reader::{Arena, Options};

#[path = "../../parser/src/measure.rs"]
mod measure;
#[path = "../../../examples/json/reader.rs"]
mod reader;

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let all = arguments.len();
    arguments.retain(|argument| argument != "--copy");
    let options = Options { copy_text: arguments.len() < all, ..Options::default() };
    let [kind, path] = &arguments[..] else { return usage() };
    let measure: fn(&[u8], Options) -> Result<Run, reader::Error> = match kind.to_str() {
        Some("mallocator") => measure::<Mallocator>,
        Some("bumpalo") => measure::<Peer>,
        _ => return usage(),
    };
    let input = fs::read(path).map_err(|error| error.to_string());
    match input.and_then(|input| measure(&input, options).map_err(|error| error.to_string())) {
        Ok(run) => {
            run.print();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("json: {}: {error}", path.to_string_lossy());
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: json mallocator|bumpalo [--copy] FILE");
    ExitCode::from(2)
}

fn measure<A: Measured>(input: &[u8], options: Options) -> Result<Run, reader::Error> {
    let (mut arena, create) = timed(A::create);
    let (value, read) = timed(|| reader::read(input, &arena, options));
    let peak_kib = peak_kib();
    let hash = measure::hash(&value?);
    let used = arena.used();
    let mut again = [Duration::ZERO; 4];
    for time in &mut again {
        arena.reset();
        let (value, read) = timed(|| reader::read(input, &arena, options));
        value?;
        *time = read;
    }
    let ((), release) = timed(|| drop(arena));
    Ok(Run { cold: create + read, again, release, peak_kib, used, hash })
}

/// An arena, and what has to be known to measure it.
trait Measured: Arena {
    fn create() -> Self;
    fn reset(&mut self);
    /// Bytes handed out. Bumpalo asks for a `&mut` to tell.
    fn used(&mut self) -> usize;
}

impl Measured for Mallocator {
    fn create() -> Self {
        Self::growing()
    }

    fn reset(&mut self) {
        self.reset();
    }

    fn used(&mut self) -> usize {
        Self::used(self)
    }
}

/// Bumpalo's arena.
struct Peer(Bump);

impl Arena for Peer {
    type Refusal = AllocErr;

    #[inline]
    fn slice<T: Copy>(&self, elements: &[T]) -> Result<&[T], AllocErr> {
        self.0.try_alloc_slice_copy(elements).map(|copy| &*copy)
    }

    #[inline]
    fn text(&self, text: &str) -> Result<&str, AllocErr> {
        self.0.try_alloc_str(text).map(|copy| &*copy)
    }
}

impl Measured for Peer {
    fn create() -> Self {
        Self(Bump::new())
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    fn used(&mut self) -> usize {
        self.0.iter_allocated_chunks().map(<[_]>::len).sum()
    }
}
