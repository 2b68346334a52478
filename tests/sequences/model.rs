//! What an arena was asked to be, and what is known of the blocks in it.

use std::ptr::NonNull;

use mallocator::{Error, HugePages, Mallocator, OnFork, Protection};

use super::random::Random;

/// Which protections a platform has.
const PROTECTIONS: &[Protection] = &[
    Protection::READ_WRITE,
    Protection::READ,
    Protection::NO_ACCESS,
    Protection::EXECUTE,
    Protection::READ_EXECUTE,
    Protection::READ_WRITE_EXECUTE,
    #[cfg(windows)]
    Protection::READ_WRITE.union(Protection::GUARD),
    #[cfg(windows)]
    Protection::READ.union(Protection::NO_CACHE),
];

/// Where all protections and secrets are to be had.
const USUAL: bool = cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")));

/// A block that is handed out: its first and last byte hold its pattern.
struct Block {
    offset: usize,
    len: usize,
    pattern: u8,
    /// The number of scopes around the arena that it was taken from.
    depth: usize,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a question with two answers")]
pub(super) struct Model {
    pub(super) random: Random,
    pub(super) protection: Protection,
    pub(super) lock: bool,
    zero: bool,
    /// Whether a scope was forgotten that nothing has closed since.
    pub(super) forgotten: bool,
    /// Whether what is being called has a scope open on it: what it gives back is pinned then all the same, where it was.
    pub(super) outer: bool,
    /// The base of an arena that is gone.
    gone: usize,
    blocks: Vec<Block>,
    next: u8,
}

impl Model {
    pub(super) fn new(random: Random) -> Self {
        Self {
            random,
            protection: Protection::READ_WRITE,
            lock: false,
            zero: false,
            forgotten: false,
            outer: false,
            gone: 0,
            blocks: Vec::new(),
            next: 0,
        }
    }

    pub(super) fn any_protection(&mut self) -> Protection {
        self.random.one_of(PROTECTIONS)
    }

    /// An arena with nothing in it, or `None` where the system refuses what it may refuse.
    pub(super) fn build(&mut self) -> Option<Mallocator> {
        self.blocks.clear();
        (self.protection, self.lock, self.zero) = (Protection::READ_WRITE, false, false);
        self.forgotten = false;
        let random = &mut self.random;
        let size = match random.below(8) {
            0 => 1 + random.below(4 << 20),
            1 => random.one_of(&[1 << 20, 4 << 20]),
            _ => random.one_of(&[1, 4096, 4097, 10_000, 65_536, 65_536, 65_536, 100_000, 262_144]),
        };
        if random.rarely(3) {
            return Some(Mallocator::with_size(size).unwrap());
        }
        let mut builder = Mallocator::builder().size(size);
        let (mut placed, mut advised) = (false, false);
        if random.rarely(6) {
            self.protection = random.one_of(PROTECTIONS);
            builder = builder.protection(self.protection);
        }
        if random.rarely(4) {
            builder = builder.guard_pages(true);
        }
        if random.rarely(8) && size <= 256 << 10 {
            self.lock = true;
            builder = builder.lock(true);
        }
        if random.rarely(8) {
            advised = true;
            builder = builder.exclude_from_dumps(true);
        }
        if random.rarely(4) {
            self.zero = true;
            builder = builder.zero_on_release(true);
        }
        if random.rarely(6) {
            advised = true;
            builder = builder.on_fork(random.one_of(&[OnFork::Wipe, OnFork::Omit]));
        }
        if random.rarely(4) {
            builder = builder.debug_fill(random.rarely(2));
        }
        if random.rarely(4) {
            builder = builder.reuse(false);
        }
        if random.rarely(8) {
            builder = builder.name("a name");
        }
        if random.rarely(8) {
            builder = builder.huge_pages(HugePages::Never);
        }
        if random.rarely(32) {
            placed = true;
            let code = super::run as fn(u64) as *const ();
            builder = match random.below(3) {
                0 => builder.at(self.gone),
                1 => builder.near(code, i32::MAX.unsigned_abs() as usize),
                _ => builder.near(std::ptr::without_provenance::<u8>(self.gone), usize::MAX),
            };
        }
        match builder.build() {
            Ok(arena) => {
                let report = random.rarely(2048).then(|| arena.report());
                if let Some(report) = report {
                    assert_eq!((report.locked(), report.zero_on_release()), (self.lock, self.zero));
                }
                assert_eq!((arena.used(), arena.protection()), (0, self.protection));
                Some(arena)
            }
            Err(error) => {
                let has_cause = match error {
                    Error::Os(_) => self.lock || placed || !USUAL,
                    Error::AddressInUse { .. } | Error::OutOfReach { .. } | Error::InvalidAddress { .. } => {
                        placed
                    }
                    Error::Unsupported { .. } => advised || self.protection.is_executable() || cfg!(windows),
                    _ => false,
                };
                assert!(has_cause, "{error:?} {builder:?}");
                None
            }
        }
    }

    pub(super) fn writable(&self) -> bool {
        self.protection.is_writable()
    }

    /// Something was handed out: it is where it may be, and is marked from now on.
    pub(super) fn took(
        &mut self,
        arena: &Mallocator,
        start: NonNull<u8>,
        len: usize,
        align: usize,
        depth: usize,
    ) {
        assert_eq!(start.addr().get() % align, 0);
        if len == 0 {
            return;
        }
        let offset = arena.offset_of(start.as_ptr()).expect("in the arena");
        assert!(offset.checked_add(len).is_some_and(|end| end <= arena.committed()), "{offset} {len}");
        assert!(self.writable());
        self.next = self.next.wrapping_add(1).max(1);
        let pattern = self.next;
        // SAFETY: the bytes were just handed out, are writable, and nobody else uses them.
        unsafe {
            start.write(pattern);
            start.add(len - 1).write(pattern);
        }
        self.blocks.push(Block { offset, len, pattern, depth });
    }

    /// Every block is as it was left. They can be read.
    pub(super) fn check(&self, base: NonNull<u8>) {
        for &Block { offset, len, pattern, depth } in &self.blocks {
            // SAFETY: the block is handed out, and so its pages are there.
            let ends = unsafe { [base.add(offset).read(), base.add(offset + len - 1).read()] };
            assert_eq!(ends, [pattern; 2], "{len} bytes at {offset}, {depth} scopes deep");
        }
    }

    /// How far the blocks reach.
    pub(super) fn end(&self) -> usize {
        self.blocks.iter().map(|block| block.offset + block.len).max().unwrap_or(0)
    }

    /// Everything deeper than `depth` was just taken back, and what is free begins where `arena` says.
    pub(super) fn took_back(&mut self, arena: &Mallocator, depth: Option<usize>) {
        let (base, committed) = (arena.base(), arena.committed());
        // Where a scope was forgotten, what is free begins in that.
        let free = arena.size() - arena.available();
        let zero = self.zero;
        self.blocks.retain(|block| {
            let stays = depth.is_some_and(|depth| block.depth <= depth);
            for offset in [block.offset, block.offset + block.len - 1] {
                if zero && !stays && (free..committed).contains(&offset) {
                    // SAFETY: the byte is committed, and nobody has it.
                    assert_eq!(unsafe { base.add(offset).read() }, 0, "a secret at {offset}");
                }
            }
            stays
        });
    }

    /// The arena is at its end.
    pub(super) fn left(&mut self, base: NonNull<u8>) {
        self.gone = base.addr().get();
        self.blocks.clear();
    }

    /// `outcome` is refused for a cause, and nothing is in use that was not `before`. `needed` is what would have been enough
    /// for sure.
    pub(super) fn refused(&self, arena: &Mallocator, error: &Error, before: usize, needed: usize) {
        self.gave_back(arena, before, needed == usize::MAX);
        match error {
            Error::NotWritable { protection } => assert!(*protection == self.protection && !self.writable()),
            Error::Exhausted { available, .. } => {
                assert!(needed > *available && *available <= arena.size(), "{needed} {error:?}");
            }
            Error::Os(_) => assert!(self.lock, "{error:?}"),
            _ => panic!("{error:?}"),
        }
    }

    /// Nothing is in use that was not `before`; something may have been `taken` meanwhile.
    pub(super) fn gave_back(&self, arena: &Mallocator, before: usize, taken: bool) {
        let used = arena.used();
        assert!(used == before || self.outer && taken && used > before, "{before} in use, then {used}");
    }
}
