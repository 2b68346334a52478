//! What an arena was asked to be, and what is known of the blocks in it.

use std::ops::Range;
use std::ptr::NonNull;

use mallocator::{Builder, Error, HugePages, Mallocator, OnFork, Protection, SyncMallocator};

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
    /// What the arena is a share of, if it is one.
    pub(super) shared: Option<&'static SyncMallocator>,
    /// How much of that was taken before the present call.
    shared_before: usize,
    blocks: Vec<Block>,
    next: u8,
}

/// What was asked for that may be refused.
struct Wishes {
    builder: Builder,
    placed: bool,
    advised: bool,
}

/// A share that takes a block is not given more than what the others have left, at a multiple of this.
const SHARE_ALIGN: usize = 128;

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
            shared: None,
            shared_before: 0,
            blocks: Vec::new(),
            next: 0,
        }
    }

    pub(super) fn any_protection(&mut self) -> Protection {
        self.random.one_of(PROTECTIONS)
    }

    /// From here on it is about another arena, with nothing in it and no wishes.
    pub(super) fn begin(&mut self) {
        self.blocks.clear();
        (self.protection, self.lock, self.zero) = (Protection::READ_WRITE, false, false);
        self.forgotten = false;
    }

    /// An arena with nothing in it, or `None` where the system refuses what it may refuse.
    pub(super) fn build(&mut self) -> Option<Mallocator> {
        let wishes = self.wish();
        let arena = self.granted(&wishes, wishes.builder.build())?;
        let report = self.random.rarely(2048).then(|| arena.report());
        if let Some(report) = report {
            assert_eq!((report.locked(), report.zero_on_release()), (self.lock, self.zero));
        }
        assert_eq!((arena.used(), arena.protection()), (0, self.protection));
        Some(arena)
    }

    /// The same of one that threads share.
    pub(super) fn build_sync(&mut self) -> Option<SyncMallocator> {
        let wishes = self.wish();
        let shared = self.granted(&wishes, wishes.builder.build_sync())?;
        assert_eq!(shared.used(), 0);
        Some(shared)
    }

    /// Random options.
    fn wish(&mut self) -> Wishes {
        self.begin();
        let random = &mut self.random;
        let size = match random.below(8) {
            0 => 1 + random.below(4 << 20),
            1 => random.one_of(&[1 << 20, 4 << 20]),
            _ => random.one_of(&[1, 4096, 4097, 10_000, 65_536, 65_536, 65_536, 100_000, 262_144]),
        };
        let mut builder = Mallocator::builder().size(size);
        let (mut placed, mut advised) = (false, false);
        if random.rarely(3) {
            return Wishes { builder, placed, advised };
        }
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
        Wishes { builder, placed, advised }
    }

    /// What was wished for, or `None` if it was refused for a cause.
    fn granted<T>(&self, wishes: &Wishes, outcome: Result<T, Error>) -> Option<T> {
        let &Wishes { ref builder, placed, advised } = wishes;
        let error = match outcome {
            Ok(granted) => return Some(granted),
            Err(error) => error,
        };
        let has_cause = match error {
            Error::Os(_) => self.lock || placed || !USUAL,
            Error::AddressInUse { .. } | Error::OutOfReach { .. } | Error::InvalidAddress { .. } => placed,
            Error::Unsupported { .. } => advised || self.protection.is_executable() || cfg!(windows),
            _ => false,
        };
        assert!(has_cause, "{error:?} {builder:?}");
        None
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
        let free = match self.shared {
            // Below it are blocks that the share has had before; what is left there is nobody's until all are reset.
            Some(_) => arena.ptr().addr().get() - base.addr().get(),
            None => arena.size() - arena.available(),
        };
        self.took_back_from(base, free..committed, depth);
    }

    /// The same, where `free` are the offsets that are free now, and committed.
    pub(super) fn took_back_from(&mut self, base: NonNull<u8>, free: Range<usize>, depth: Option<usize>) {
        let zero = self.zero;
        self.blocks.retain(|block| {
            let stays = depth.is_some_and(|depth| block.depth <= depth);
            for offset in [block.offset, block.offset + block.len - 1] {
                if zero && !stays && free.contains(&offset) {
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
                // What is left to a share is in two places.
                let room =
                    self.shared.map_or(*available, |shared| shared.available().saturating_sub(SHARE_ALIGN));
                assert!(needed > room && *available <= arena.size(), "{needed} {error:?}");
            }
            Error::Os(_) => assert!(self.lock, "{error:?}"),
            _ => panic!("{error:?}"),
        }
    }

    /// Nothing is in use that was not `before`; something may have been `taken` meanwhile.
    pub(super) fn gave_back(&self, arena: &Mallocator, before: usize, taken: bool) {
        let used = arena.used();
        // A share may have taken another block meanwhile; what it left of the one before stays taken.
        let moved = self.shared.is_some_and(|shared| shared.used() > self.shared_before);
        let more = self.outer && taken || moved;
        assert!(used == before || more && used > before, "{before} in use, then {used}");
    }

    /// Somebody else takes something of what the arena is a share of, now and then.
    pub(super) fn neighbour(&mut self, arena: &Mallocator) {
        let Some(shared) = self.shared else { return };
        if self.random.rarely(3) {
            let len = self.random.size();
            let taken = match self.random.below(4) {
                0 => shared.try_alloc_slice_fill_copy(len, 0_u8),
                1 => shared.try_alloc_zeroed_bytes(len, 8),
                2 => shared.try_local(64).and_then(|other| other.try_alloc_bytes(&vec![0; len])),
                _ => shared.try_alloc_iter((0..len).map(|_| 0_u8)),
            };
            if let Ok(bytes) = taken {
                assert!(bytes.iter().all(|&byte| byte == 0));
                let len = bytes.len();
                self.took(arena, NonNull::from(bytes).cast(), len, 1, 0);
            }
        }
        self.shared_before = shared.used();
    }
}
