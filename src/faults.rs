//! Refusals by the system, one by one and in every sequence of calls: what the error says, and that nothing is lost. The seam
//! that refuses is `os/faulty.rs`.

use crate::arena::release_kept;
use crate::os::Call;
use crate::os::faulty::{self, OUT_OF_MEMORY, Record, Refuse, name_of, refused_so_far};

/// Runs with nothing kept from before, and keeps nothing.
fn with_faults(refuse: Refuse, code: i32, run: impl FnOnce()) -> Record {
    release_kept();
    faulty::begin(refuse, code);
    run();
    release_kept();
    faulty::end()
}

mod sequences;
mod tests;
mod torn;
