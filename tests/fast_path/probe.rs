//! Callers of the fast path, for `scripts/check-fast-path.sh` to count their instructions.

use mallocator::Mallocator;

/// What a caller of `alloc` runs.
#[unsafe(no_mangle)]
pub extern "Rust" fn probe_alloc(arena: &Mallocator, value: u64) -> &mut u64 {
    arena.alloc(value)
}

/// What a caller of `try_alloc` runs.
#[unsafe(no_mangle)]
pub extern "Rust" fn probe_try_alloc(arena: &Mallocator, value: u64) -> &mut u64 {
    match arena.try_alloc(value) {
        Ok(reference) => reference,
        Err(_) => std::process::abort(),
    }
}
