//! The test seam: it stands between every request and the system, keeps a record of them, and can refuse some.
//!
//! Everything is per thread, as tests run side by side. A refused request does not reach the system.

use std::cell::RefCell;

use super::{Call, NonNull, OsError, platform};
use crate::vm::reuse;

/// Which requests are refused, counted from 0 in the order they are made.
#[derive(Clone, Copy, Debug)]
enum Refuse {
    Nothing,
    /// The k-th, once.
    Only(usize),
    /// The k-th and all that follow, but for releases: a system that is out of everything still takes things back.
    From(usize),
    /// All of these kinds.
    Every(&'static [Call]),
}

struct Seam {
    refuse: Refuse,
    code: i32,
    asked: Vec<Call>,
    refused: Vec<Call>,
    /// Start and size of every reservation not yet released.
    live: Vec<(NonNull<u8>, usize)>,
}

thread_local! {
    static SEAM: RefCell<Seam> = const {
        RefCell::new(Seam {
            refuse: Refuse::Nothing,
            code: platform::OUT_OF_MEMORY,
            asked: Vec::new(),
            refused: Vec::new(),
            live: Vec::new(),
        })
    };
}

pub(super) fn ask(call: Call, size: usize) -> Result<(), OsError> {
    // At the end of a thread, when what it kept is released, the seam may be gone before.
    let asked = SEAM.try_with(|seam| {
        let mut seam = seam.borrow_mut();
        let index = seam.asked.len();
        seam.asked.push(call);
        let refused = match seam.refuse {
            Refuse::Nothing => false,
            Refuse::Only(k) => index == k,
            Refuse::From(k) => index >= k && call != Call::Release,
            Refuse::Every(kinds) => kinds.contains(&call),
        };
        if refused {
            seam.refused.push(call);
            return Err(OsError::new(call, size, seam.code));
        }
        Ok(())
    });
    asked.unwrap_or(Ok(()))
}

pub(super) fn granted(call: Call, start: NonNull<u8>, size: usize) {
    let _ = SEAM.try_with(|seam| {
        let Seam { live, asked, .. } = &mut *seam.borrow_mut();
        match call {
            Call::Reserve => live.push((start, size)),
            Call::Release => {
                let known = live.iter().position(|&range| range == (start, size));
                // Where thread-locals are keys, one that is gone comes back empty.
                let reborn = matches!(asked[..], [Call::Release]);
                assert!(known.is_some() || reborn, "what is released was reserved, as a whole");
                known.map(|known| live.swap_remove(known));
            }
            _ => unreachable!("only what makes or ends a reservation is told"),
        }
    });
}

/// What happened to the requests of one run.
struct Record {
    asked: Vec<Call>,
    refused: Vec<Call>,
    leaked: usize,
}

fn with_faults(refuse: Refuse, code: i32, run: impl FnOnce()) -> Record {
    reuse::clear();
    SEAM.with_borrow_mut(|seam| {
        (seam.refuse, seam.code) = (refuse, code);
        seam.asked.clear();
        seam.refused.clear();
        assert!(seam.live.is_empty());
    });
    run();
    reuse::clear();
    SEAM.with_borrow_mut(|seam| Record {
        asked: std::mem::take(&mut seam.asked),
        refused: std::mem::take(&mut seam.refused),
        leaked: std::mem::take(&mut seam.live).len(),
    })
}

fn refused_so_far() -> usize {
    SEAM.with_borrow(|seam| seam.refused.len())
}

mod sequences;
mod tests;
