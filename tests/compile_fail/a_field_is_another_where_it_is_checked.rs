//! A type may depend on what a name means: here on what functions return that are named as those of the macro may be.
use std::cell::Cell;

struct Pick<const PLAIN: bool>;
trait Type {
    type Type;
}
impl Type for Pick<false> {
    type Type = Cell<u32>;
}
impl Type for Pick<true> {
    type Type = u32;
}

trait Plain {
    const PLAIN: bool;
}
impl Plain for Cell<u32> {
    const PLAIN: bool = false;
}
impl Plain for () {
    const PLAIN: bool = true;
}
const fn plain<R: Plain>(_: fn() -> R) -> bool {
    R::PLAIN
}

fn check<T: ?Sized>() -> Cell<u32> {
    Cell::new(0)
}
fn every_field_is_read_only() -> Cell<u32> {
    Cell::new(0)
}

mallocator::read_only! {
    struct One {
        counted: <Pick<{ plain(check::<u8>) }> as Type>::Type,
    }
}
mallocator::read_only! {
    enum Other {
        Counted(<Pick<{ plain(every_field_is_read_only) }> as Type>::Type),
    }
}

fn main() {}
