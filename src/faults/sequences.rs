//! Every sequence of a few calls of the public API that ask the system for something, each with every request of it refused
//! in turn: an error changes nothing but what it says, and the arena goes on.

use super::{OUT_OF_MEMORY, Refuse, refused_so_far, with_faults};
use crate::{Builder, Error, Mallocator, Protection, Vec as ArenaVec};
use owner::Owner;

mod owner;

/// How many calls a sequence has: three, or what `MALLOCATOR_DEPTH` says. Four are run with optimisation, see `.ci/run`.
fn depth() -> u32 {
    std::env::var("MALLOCATOR_DEPTH").map_or(3, |depth| depth.parse().unwrap())
}

/// How many sequences there are.
fn sequences() -> usize {
    CALLS.len().pow(depth())
}

/// How much of a block is written at each end, and looked at.
const END: usize = 32;

/// The size of an arena that is committed in many small steps, as locked memory is, or all memory on Windows.
const SMALL: usize = 3 << 17;

/// The size of one that is committed in several steps elsewhere too.
const LARGE: usize = 5 << 20;

/// The calls. Those that change something change it back, if they are let.
const CALLS: [Step; 10] = [
    |run| run.keep(100),
    |run| run.keep(run.arena().size() / 4),
    |run| {
        // Less in the scope than behind it: the outer arena takes from where the scope is.
        let arena = run.arena();
        let len = arena.size() / 5;
        let outer = arena.scope(|scratch| {
            scratch.try_alloc_bytes(&[1; 50])?;
            let outer = arena.try_alloc_uninit_slice::<u8>(len)?.as_mut_ptr().cast::<u8>();
            scratch.try_alloc_uninit_slice::<u8>(len)?;
            Ok::<_, Error>(outer)
        });
        // What an outer arena takes in a scope stays when the scope is refused something else.
        run.forget_use();
        run.remember(outer?, len);
        Ok(())
    },
    Run::reset,
    Run::trim,
    Run::protect,
    Run::seal,
    |run| {
        let arena = run.arena();
        let mut vec = ArenaVec::new_in(arena);
        for _ in 0..3 {
            // The trait of allocators does not say why it refuses.
            if vec.try_reserve_exact(arena.size() / 10).is_err() {
                break;
            }
            vec.extend_from_slice(&[run.next; 10]);
        }
        assert!(vec.iter().all(|&byte| byte == run.next));
        drop(vec);
        run.forget_use();
        Ok(())
    },
    Run::replace,
    |run| {
        let mut batch = run.arena().batch(run.arena().size() / 8);
        let blocks = [0; 3].map(|_| batch.try_alloc_with(|| [0_u8; 1000]).map(|block| block.as_mut_ptr()));
        drop(batch);
        run.forget_use();
        for block in blocks {
            run.remember(block?, 1000);
        }
        Ok(())
    },
];

type Step = fn(&mut Run) -> Result<(), Error>;

/// What makes an arena of a kind.
type Build = fn(&Builder) -> Result<Owner, Error>;

/// One arena, and what is known of it.
struct Run {
    builder: Builder,
    build: Build,
    owner: Option<Owner>,
    /// Offset and pattern of the ends of what was kept.
    kept: Vec<(usize, u8)>,
    used: usize,
    /// Whether pages may have a protection that nobody asked for, as a change could not be taken back.
    lost: bool,
    next: u8,
}

impl Run {
    fn arena(&self) -> &Mallocator {
        self.owner.as_ref().unwrap().arena()
    }

    /// What was used by a call that was refused in the middle is not known.
    fn forget_use(&mut self) {
        self.used = self.arena().used();
    }

    fn keep(&mut self, len: usize) -> Result<(), Error> {
        let block = self.arena().try_alloc_uninit_slice::<u8>(len)?.as_mut_ptr().cast();
        self.remember(block, len);
        Ok(())
    }

    /// Writes to those ends of a block that lie on small pages: a huge one takes as long as a hundred calls.
    fn remember(&mut self, block: *mut u8, len: usize) {
        let start = self.arena().offset_of(block).unwrap();
        let small = self.arena().huge_from().unwrap_or(usize::MAX);
        for offset in [start, start + len - END].into_iter().filter(|offset| offset + END <= small) {
            // SAFETY: the block was handed out, and nobody has a reference to it.
            unsafe { self.arena().base().add(offset).write_bytes(self.next, END) };
            self.kept.push((offset, self.next));
        }
    }

    fn forget_all(&mut self) {
        self.kept.clear();
        self.used = 0;
    }

    fn replace(&mut self) -> Result<(), Error> {
        drop(self.owner.take());
        self.forget_all();
        self.build()
    }

    fn build(&mut self) -> Result<(), Error> {
        // At the second attempt at the latest, unless everything is refused.
        let owner = (self.build)(&self.builder).or_else(|_| (self.build)(&self.builder))?;
        self.owner = Some(owner);
        self.lost = false;
        self.forget_use();
        Ok(())
    }

    fn check(&self) {
        let arena = self.arena();
        assert!(arena.used() <= arena.committed() && arena.committed() <= arena.size());
        if arena.protection().is_readable() && !self.lost {
            for &(offset, pattern) in &self.kept {
                // SAFETY: the bytes were written, and nobody has a reference to them.
                let bytes = unsafe { arena.base().add(offset).cast::<[u8; END]>().read() };
                assert_eq!(bytes, [pattern; END], "contents changed");
            }
        }
    }
}

/// Runs a sequence, and says how many errors there were.
fn run(builder: &Builder, build: Build, sequence: usize) -> usize {
    let mut errors = 0;
    let (builder, kept) = (builder.clone(), Vec::new());
    let mut run = Run { builder, build, owner: None, kept, used: 0, lost: false, next: 1 };
    if run.build().is_err() {
        return 1;
    }
    for index in 0..depth() {
        let call = sequence / CALLS.len().pow(index) % CALLS.len();
        run.next += 1;
        run.used = run.arena().used();
        let refused = refused_so_far();
        if let Err(error) = CALLS[call](&mut run) {
            errors += 1;
            if run.owner.is_none() {
                return errors;
            }
            match error {
                Error::Os(_) => assert!(refused_so_far() > refused, "{error}"),
                Error::Exhausted { .. } => {}
                // The pages could be neither changed nor changed back.
                Error::NotWritable { protection } => assert_eq!(protection, Protection::NO_ACCESS),
                _ => panic!("{error}"),
            }
            assert_eq!(run.arena().used(), run.used, "an error moves nothing");
        }
        run.check();
        if run.lost {
            // What was promised about the pages cannot be kept.
            return errors;
        }
    }
    errors
}

/// Every sequence, or one of `step`, with each request refused in turn. There are more than `least` runs of a sequence, on average.
fn every_sequence(builder: &Builder, build: Build, step: usize, least: usize) {
    let (mut runs, mut longest, mut errors) = (0, 0, 0);
    let chosen = (0..sequences()).step_by(step);
    let count = chosen.len();
    for sequence in chosen {
        for k in 0.. {
            let record =
                with_faults(Refuse::Only(k), OUT_OF_MEMORY, || errors += run(builder, build, sequence));
            assert_eq!(record.leaked, 0, "sequence {sequence}, request {k}");
            runs += 1;
            if record.refused.is_empty() {
                longest = longest.max(k);
                break;
            }
        }
    }
    println!("{runs} runs, of up to {longest} requests, with {errors} errors");
    assert!(runs > least * count && errors >= count / 5, "{runs} runs, {errors} errors");
}

fn large() -> Builder {
    Mallocator::builder().size(LARGE)
}

fn secrets() -> Builder {
    Mallocator::builder().size(SMALL).lock(true).zero_on_release(true).guard_pages(true)
}

#[test]
fn every_sequence_of_calls_survives_each_refusal() {
    every_sequence(&large(), Owner::own, 1, 6);
}

#[test]
fn every_sequence_of_calls_on_secrets_survives_each_refusal() {
    every_sequence(&secrets(), Owner::own, 1, 6);
}

#[test]
fn every_sequence_of_calls_on_a_share_survives_each_refusal() {
    every_sequence(&large(), Owner::share, 1, 6);
}

#[test]
fn every_third_sequence_of_calls_on_a_share_of_secrets_survives_each_refusal() {
    every_sequence(&secrets(), Owner::share, 3, 6);
}

#[test]
fn every_sequence_of_calls_on_lent_memory_survives_each_refusal() {
    every_sequence(&large(), Owner::lent, 1, 6);
}

/// From some request on, for a part of the sequences.
#[test]
fn when_all_that_follows_is_refused_nothing_is_lost_either() {
    let builds: [(Builder, Build); 5] = [
        (large(), Owner::own),
        (secrets(), Owner::own),
        (large(), Owner::share),
        (secrets(), Owner::share),
        (large(), Owner::lent),
    ];
    for (builder, build) in builds {
        for sequence in (0..sequences()).step_by(17) {
            for k in 0.. {
                let record =
                    with_faults(Refuse::From(k), OUT_OF_MEMORY, || _ = run(&builder, build, sequence));
                assert_eq!(record.leaked, 0, "sequence {sequence}, from request {k}");
                if record.refused.is_empty() {
                    break;
                }
            }
        }
    }
}
