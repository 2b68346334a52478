//! An arena over memory that lives long is exchanged for one over memory that does not.

use mallocator::Lent;

fn exchange<'long: 'short, 'short>(long: &mut Lent<'long>, short: &mut Lent<'short>) {
    std::mem::swap(long, short);
}

fn main() {
    let _ = exchange;
}
