//! Whose an arena is, and the calls that are made of its owner: of the arena itself, of the range that it is a share of, or of
//! the arena that it is a block of.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::{END, Run};
use crate::{Builder, Error, Lent, Mallocator, Protection, SyncMallocator};

pub(super) enum Owner {
    Own(Mallocator),
    /// A share, and what it is one of, which stays where it is.
    Share(NonNull<Mallocator>, Box<SyncMallocator>),
    /// An arena over a block of another, which ends after it.
    Lent(Lent<'static>, Mallocator),
}

/// How much a share takes at a time, in bytes.
const BLOCK: usize = 10_000;

/// What is asked of another arena's owner can be refused so only.
fn not_its_own(arena: &Mallocator) {
    // SAFETY: it is refused.
    let refused = unsafe { arena.protect(0..1, Protection::READ) };
    assert!(matches!(refused, Err(Error::NotItsOwn { .. })));
}

/// Over a block of three quarters of `outer`, which is for as long as the arena that is returned: the caller sees to that.
fn over_a_block(outer: &Mallocator) -> Result<Lent<'static>, Error> {
    let block: NonNull<[MaybeUninit<u8>]> = outer.try_alloc_uninit_slice(outer.size() / 4 * 3)?.into();
    // SAFETY: nobody else has the block, and `outer` ends later.
    Mallocator::from_slice(unsafe { &mut *block.as_ptr() })
}

impl Owner {
    pub(super) fn own(builder: &Builder) -> Result<Self, Error> {
        builder.build().map(Self::Own)
    }

    pub(super) fn share(builder: &Builder) -> Result<Self, Error> {
        let shared = Box::new(builder.build_sync()?);
        let share = NonNull::from(shared.try_local(BLOCK)?);
        Ok(Self::Share(share, shared))
    }

    pub(super) fn lent(builder: &Builder) -> Result<Self, Error> {
        let outer = builder.build()?;
        Ok(Self::Lent(over_a_block(&outer)?, outer))
    }

    pub(super) fn arena(&self) -> &Mallocator {
        match self {
            Self::Own(arena) => arena,
            // SAFETY: it is there until what it is a share of is reset or ends, before which it is replaced.
            Self::Share(share, _) => unsafe { share.as_ref() },
            Self::Lent(lent, _) => lent,
        }
    }
}

impl Run {
    /// What whoever owns the memory does between two rounds. A share or an arena in a block is then another.
    pub(super) fn reset(&mut self) -> Result<(), Error> {
        self.forget_all();
        let again = match self.owner.take().unwrap() {
            Owner::Own(mut arena) => {
                arena.reset();
                Ok(Owner::Own(arena))
            }
            Owner::Share(_, mut shared) => {
                shared.reset();
                shared.try_local(BLOCK).map(NonNull::from).map(|share| Owner::Share(share, shared))
            }
            Owner::Lent(mut lent, outer) => {
                lent.reset();
                Ok(Owner::Lent(lent, outer))
            }
        };
        self.owner = Some(again?);
        self.forget_use();
        Ok(())
    }

    /// The unused memory goes, and is wanted again by the next call, or at once.
    pub(super) fn trim(&mut self) -> Result<(), Error> {
        match self.owner.as_mut().unwrap() {
            Owner::Own(arena) => arena.try_trim(),
            Owner::Share(share, shared) => {
                // What the share has handed out is there all the same.
                let outcome = shared.try_trim();
                let again = shared.try_local(BLOCK).or_else(|_| shared.try_local(BLOCK)).map(NonNull::from);
                match again {
                    Ok(again) => *share = again,
                    Err(error) => {
                        self.owner = None;
                        return outcome.and(Err(error));
                    }
                }
                self.forget_use();
                outcome
            }
            Owner::Lent(..) => {
                let Some(Owner::Lent(lent, mut outer)) = self.owner.take() else { unreachable!() };
                drop(lent);
                self.forget_all();
                outer.reset();
                let outcome = outer.try_trim();
                let lent = over_a_block(&outer).or_else(|_| over_a_block(&outer))?;
                self.owner = Some(Owner::Lent(lent, outer));
                self.forget_use();
                outcome
            }
        }
    }

    /// Pages are something else for a while; of those that are not its own an arena has no say, and what is asked for is taken
    /// after it.
    pub(super) fn protect(&mut self) -> Result<(), Error> {
        let (block, len) = match self.owner.as_ref().unwrap() {
            Owner::Own(arena) => {
                let page = crate::page_size();
                // SAFETY: nobody has a reference into the arena, and what was taken away is given back below.
                let changed = unsafe { arena.protect(page..3 * page, Protection::READ_EXECUTE) };
                changed.map(drop)?;
                // SAFETY: as above.
                let changed = unsafe { arena.protect(page..3 * page, Protection::READ_WRITE) };
                return changed.map(drop).inspect_err(|_| self.lost = true);
            }
            Owner::Share(_, shared) => {
                not_its_own(self.arena());
                let len = shared.size() / 9;
                (shared.try_alloc_uninit_slice::<u8>(len)?.as_mut_ptr(), len)
            }
            Owner::Lent(_, outer) => {
                not_its_own(self.arena());
                outer.try_alloc_uninit_slice::<u8>(outer.size() / 16)?;
                return Ok(());
            }
        };
        self.remember(block.cast(), len);
        Ok(())
    }

    /// An arena of its own is sealed; instead of a share there is another, and over lent memory it begins anew.
    pub(super) fn seal(&mut self) -> Result<(), Error> {
        match self.owner.take().unwrap() {
            Owner::Own(arena) => self.seal_own(arena),
            Owner::Share(share, shared) => {
                let other = shared.try_local(BLOCK).map(NonNull::from);
                self.owner = Some(Owner::Share(*other.as_ref().unwrap_or(&share), shared));
                other?;
                self.forget_use();
                Ok(())
            }
            Owner::Lent(lent, outer) => {
                drop(lent);
                self.forget_all();
                drop(outer);
                self.build()
            }
        }
    }

    fn seal_own(&mut self, arena: Mallocator) -> Result<(), Error> {
        let sealed = match arena.seal(Protection::READ) {
            Ok(sealed) => sealed,
            Err(refused) => {
                let (arena, error) = refused.into_parts();
                self.owner = Some(Owner::Own(arena));
                return Err(error);
            }
        };
        for &(offset, pattern) in &self.kept {
            // SAFETY: the bytes were written.
            assert_eq!(unsafe { sealed.get::<[u8; END]>(offset) }, Ok(&[pattern; END]));
        }
        let unsealed = sealed.unseal().or_else(|refused| refused.into_parts().0.unseal());
        match unsealed {
            Ok(arena) => {
                self.owner = Some(Owner::Own(arena));
                Ok(())
            }
            // Twice: then it is given up.
            Err(refused) => {
                drop(refused);
                self.forget_all();
                self.build()
            }
        }
    }
}
