//! The test seam: it stands between every request and the system, keeps a record of them, and can refuse some.
//!
//! Everything is per thread, as tests run side by side. A refused request does not reach the system.

use std::cell::RefCell;

use super::{Call, NonNull, OsError, platform};

/// Which requests are refused, counted from 0 in the order they are made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refuse {
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
pub(crate) struct Record {
    pub(crate) asked: Vec<Call>,
    pub(crate) refused: Vec<Call>,
    pub(crate) leaked: usize,
}

/// From here on this thread's requests are refused as it says. No reservation is alive.
pub(crate) fn begin(refuse: Refuse, code: i32) {
    SEAM.with_borrow_mut(|seam| {
        (seam.refuse, seam.code) = (refuse, code);
        seam.asked.clear();
        seam.refused.clear();
        assert!(seam.live.is_empty());
    });
}

/// What was asked since [`begin`].
pub(crate) fn end() -> Record {
    SEAM.with_borrow_mut(|seam| Record {
        asked: std::mem::take(&mut seam.asked),
        refused: std::mem::take(&mut seam.refused),
        leaked: std::mem::take(&mut seam.live).len(),
    })
}

/// From here on others are refused; the record goes on.
pub(crate) fn refuse(refuse: Refuse) {
    SEAM.with_borrow_mut(|seam| seam.refuse = refuse);
}

pub(crate) fn asked_so_far() -> usize {
    SEAM.with_borrow(|seam| seam.asked.len())
}

pub(crate) fn refused_so_far() -> usize {
    SEAM.with_borrow(|seam| seam.refused.len())
}

/// The code of the usual refusal.
pub(crate) const OUT_OF_MEMORY: i32 = platform::OUT_OF_MEMORY;

/// The name of a call, as errors have it.
pub(crate) fn name_of(call: Call) -> &'static str {
    platform::name_of(call)
}

/// The code of a refusal as something else is there.
pub(crate) const TAKEN: i32 = platform::TAKEN;

/// Whether a call that was refused with this code may be granted a moment later.
pub(crate) fn may_pass(code: i32) -> bool {
    platform::may_pass(code)
}

/// A release that nobody is told of.
///
/// # Safety
/// As for [`release`](super::release).
pub(crate) unsafe fn release_unseen(start: NonNull<u8>, len: usize) -> Result<(), OsError> {
    // SAFETY: handed on.
    unsafe { platform::release(start, len) }
}

/// Which call was refused.
pub(crate) const fn call_of(error: OsError) -> Call {
    error.call
}
