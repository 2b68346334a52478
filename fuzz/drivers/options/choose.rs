//! The options, and the values that are chosen for them.

use mallocator::{Builder, HugePages, OnFork, PAGE_GRANULARITY, Protection, page_size};

use super::{Addr, Asked, Input, MOST, Place, Run};

/// Chooses a value, tells the builder, and writes down what was asked.
type Choose = fn(&mut Input<'_>, &Run, &mut Asked, Builder) -> Builder;

/// The bits of the first two bytes of an attempt say which of them are chosen, so that one that is added at the end leaves
/// the meaning of the corpus as it is.
pub(super) const OPTIONS: [Choose; 13] = [
    size,
    protection,
    at,
    near,
    huge_pages,
    reuse,
    name,
    guard_pages,
    lock,
    exclude_from_dumps,
    on_fork,
    zero_on_release,
    debug_fill,
];

fn size(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    let page = page_size();
    let most = usize::MAX >> 1;
    asked.size = match input.byte() {
        0..=15 => 0,
        16..=79 => usize::from(input.byte()),
        80..=159 => input.one_of(&[1, page - 1, page, page + 1, PAGE_GRANULARITY, MOST - 1, MOST]),
        160..=199 => input.one_of(&[2 << 20, (3 << 20) + 1, 5 << 20, 1 << 30, 64 << 30, 1 << 40]),
        200..=223 => input.one_of(&[1 << 46, 1 << 47, 1 << 48, 1 << 60, 1 << 62]),
        224..=247 => {
            let ends = [0, 1, page - 1, page, page + 1, 2 * page, 3 * page].map(|less| most - less);
            input.one_of(&ends)
        }
        248..=251 => usize::MAX - input.size(),
        _ => input.word(),
    };
    builder.size(asked.size)
}

fn protection(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    asked.protection = any_protection(input);
    builder.protection(asked.protection)
}

pub(super) fn any_protection(input: &mut Input<'_>) -> Protection {
    let byte = input.byte();
    // Half of them plain, the rest any bits at all.
    Protection::from_bits_retain(if byte < 128 { byte % 8 } else { input.byte() })
}

fn at(input: &mut Input<'_>, run: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    let place = run.place(input);
    asked.place = Place::At(place);
    builder.at(place)
}

fn near(input: &mut Input<'_>, run: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    let address = run.place(input);
    let page = page_size();
    let mut distances = vec![0, 1, page - 1, page, 2 * page, PAGE_GRANULARITY, MOST, 4 << 20];
    // Where all is taken, a hundred thousand places take a while: so far away only where something near is free.
    if asked.size <= MOST && run.others.iter().any(|other| other.addr().abs_diff(address) <= MOST) {
        distances.extend([usize::MAX >> 33, 1 << 40, usize::MAX]);
    }
    let distance = input.one_of(&distances);
    asked.place = Place::Near { address, distance };
    builder.near(std::ptr::without_provenance::<u8>(address), distance)
}

fn huge_pages(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    let choice = input.one_of(&[HugePages::Never, HugePages::Transparent, HugePages::Required]);
    // What is required is had at once: few, or more than there are.
    if choice != HugePages::Required || asked.size <= 4 << 20 || asked.size > 1 << 46 {
        asked.huge_pages = choice;
    }
    builder.huge_pages(asked.huge_pages)
}

fn reuse(input: &mut Input<'_>, _: &Run, _: &mut Asked, builder: Builder) -> Builder {
    builder.reuse(input.byte() % 2 == 0)
}

fn name(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    let len = usize::from(input.byte() % 32);
    let name = String::from_utf8_lossy(input.take(len)).into_owned();
    let builder = builder.name(&name);
    asked.name = Some(name);
    builder
}

fn guard_pages(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    asked.guard_pages = input.byte() % 4 > 0;
    builder.guard_pages(asked.guard_pages)
}

fn lock(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    asked.lock = input.byte() % 4 > 0;
    builder.lock(asked.lock)
}

fn exclude_from_dumps(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    asked.exclude_from_dumps = input.byte() % 4 > 0;
    builder.exclude_from_dumps(asked.exclude_from_dumps)
}

fn on_fork(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    asked.on_fork = input.one_of(&[OnFork::Copy, OnFork::Wipe, OnFork::Omit]);
    builder.on_fork(asked.on_fork)
}

fn zero_on_release(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    asked.zero_on_release = input.byte() % 4 > 0;
    builder.zero_on_release(asked.zero_on_release)
}

fn debug_fill(input: &mut Input<'_>, _: &Run, asked: &mut Asked, builder: Builder) -> Builder {
    asked.debug_fill = input.byte() % 2 == 0;
    builder.debug_fill(asked.debug_fill)
}
