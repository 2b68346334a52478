//! Code is gone with the arena it is in.
use mallocator::{Mallocator, Protection};

fn main() {
    let code = Mallocator::new().unwrap().seal(Protection::READ_EXECUTE).unwrap();
    // SAFETY: nothing is called: this does not compile.
    let function = unsafe { code.function::<extern "C" fn()>(0) };
    code.unseal().unwrap();
    function.call();
}
