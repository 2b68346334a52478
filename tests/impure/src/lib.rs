//! A macro that does not expand to the same twice, for the tests of what looks at tokens and means types.

use std::sync::atomic::{AtomicBool, Ordering};

use proc_macro::TokenStream;

/// A type: a cell where it is expanded for the first time in a crate, a number from then on.
#[proc_macro]
pub fn cell_then_number(_: TokenStream) -> TokenStream {
    static EXPANDED: AtomicBool = AtomicBool::new(false);
    let expanded = EXPANDED.swap(true, Ordering::Relaxed);
    let field = if expanded { "u32" } else { "::std::cell::Cell<u32>" };
    field.parse().unwrap_or_default() // both are types
}
