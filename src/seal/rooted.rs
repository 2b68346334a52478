//! An arena together with what was built in it, so that both can be returned, stored and sealed as one.
//!
//! The rules are those of `self_cell` and `yoke`: the owner stays where it is, what borrows from it is dropped first, and is
//! seen from outside only under a lifetime that nobody can name.

use std::fmt;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;

use crate::arena::Mallocator;
use crate::error::Error;
use crate::protection::Protection;
use crate::seal::read_only::ReadOnly;
use crate::seal::sealed::SealError;

/// What is built in an arena, for a [`Rooted`]: a type that borrows from an arena, for each lifetime of it.
///
/// ```
/// use mallocator::Root;
///
/// struct Words;
/// impl Root for Words {
///     type In<'a> = &'a [&'a str];
/// }
/// ```
pub trait Root {
    /// The root, in an arena that lives for `'a`.
    type In<'a>;
}

/// An arena that owns what was built in it: the two are returned, stored and sent to another thread as one.
///
/// A function that parses into an arena cannot return the tree, which borrows from the arena, and cannot return the arena,
/// which is borrowed. It can return this. Whatever `R` has in the arena is its root; it is dropped before the arena is.
///
/// ```
/// use mallocator::{Mallocator, Root, Rooted};
///
/// struct Words;
/// impl Root for Words {
///     type In<'a> = &'a [&'a str];
/// }
///
/// fn split(text: &str) -> Rooted<Words> {
///     Rooted::new(Mallocator::growing(), |arena| {
///         let text: &str = arena.alloc_str(text); // a copy: the words outlive what they were made of
///         &*arena.alloc_iter(text.split(' '))
///     })
/// }
///
/// let words = split("a bee sees");
/// let sent = std::thread::spawn(move || words.with(|_, words| words.len()));
/// assert_eq!(sent.join().unwrap(), 3);
/// ```
///
/// It can be sent if its root can. A root with a collection that grows cannot, as it has a `&Mallocator` in it, which is for
/// one thread: such a `Rooted` cannot be held across an `.await` of a future that moves between threads.
///
/// ```compile_fail,E0277
/// use mallocator::{Mallocator, Root, Rooted, Vec};
///
/// struct Numbers;
/// impl Root for Numbers {
///     type In<'a> = Vec<'a, u32>;
/// }
/// let numbers = Rooted::<Numbers>::new(Mallocator::growing(), |arena| Vec::new_in(arena));
/// std::thread::spawn(move || numbers.with(|_, numbers| numbers.len()));
/// ```
///
/// Such futures use a [`SyncMallocator`](crate::SyncMallocator), as a reference to one may be anywhere:
///
/// ```
/// use allocator_api2::vec::Vec;
/// use mallocator::{Mallocator, SyncMallocator};
///
/// async fn count(shared: &SyncMallocator) -> usize {
///     let mut numbers = Vec::new_in(shared);
///     numbers.push(1);
///     std::future::ready(()).await; // and goes on elsewhere
///     numbers.push(2);
///     numbers.len()
/// }
///
/// fn moves_between_threads<F: Future + Send>(_: F) {}
/// let shared = Mallocator::builder().build_sync()?;
/// moves_between_threads(count(&shared));
/// # Ok::<(), mallocator::Error>(())
/// ```
pub struct Rooted<R: Root> {
    /// Borrows from the arena, under a lifetime that is not true: it is handed out under others only.
    ///
    /// It is there until the drop, and `MaybeUninit` all the same: a reference in an argument must hold until the call ends,
    /// and in a call that is passed the whole by value and drops it, its arena does not. What is in a `MaybeUninit` is no
    /// reference to the compiler. What is in a `ManuallyDrop` is.
    root: MaybeUninit<R::In<'static>>,
    /// A box, whose contents the root may borrow, and which therefore is not held as one.
    arena: NonNull<Mallocator>,
    /// After a change that the system refused half way, and refused to change back: the protection that the root was built
    /// for, and which it does not have until a later change of the whole is granted.
    torn_from: Option<Protection>,
    _owned: PhantomData<Mallocator>,
}

// SAFETY: the arena may be sent, and with it the root, if what it is made of may be.
unsafe impl<R: Root> Send for Rooted<R> where for<'a> R::In<'a>: Send {}

impl<R: Root> Rooted<R> {
    /// Builds a root in `arena`, which is put on the heap, so that it can be moved while the root borrows it.
    ///
    /// # Aborts
    /// When the heap refuses those 64 bytes, as a `Box` does.
    ///
    /// ```
    /// use mallocator::{Mallocator, Root, Rooted};
    ///
    /// struct Number;
    /// impl Root for Number {
    ///     type In<'a> = &'a mut u32;
    /// }
    /// let mut number = Rooted::<Number>::new(Mallocator::growing(), |arena| arena.alloc(41));
    /// number.with_mut(|_, number| **number += 1);
    /// assert_eq!(number.with(|_, number| **number), 42);
    /// ```
    pub fn new(arena: Mallocator, build: impl for<'a> FnOnce(&'a Mallocator) -> R::In<'a>) -> Self {
        enum Never {}
        match Self::try_new(arena, |arena| Ok::<_, Never>(build(arena))) {
            Ok(rooted) => rooted,
            Err((_, never)) => match never {},
        }
    }

    /// The same where building can fail.
    ///
    /// # Errors
    /// That of `build`, with the arena, in which is what it has built until then.
    ///
    /// # Aborts
    /// As [`new`](Self::new), when the heap refuses the 64 bytes that the arena is kept in.
    ///
    /// ```
    /// use mallocator::{Mallocator, Root, Rooted};
    ///
    /// struct Numbers;
    /// impl Root for Numbers {
    ///     type In<'a> = &'a [u8];
    /// }
    /// let numbers = |text: &str| {
    ///     Rooted::<Numbers>::try_new(Mallocator::growing(), |arena| {
    ///         let bytes = arena.alloc_byte_string(text)?;
    ///         Ok::<&[u8], mallocator::Error>(bytes)
    ///     })
    /// };
    /// assert!(numbers("01 02").is_ok());
    /// let (arena, error) = numbers("01 0x").unwrap_err();
    /// println!("{error}"); // and the arena can be used for another attempt
    /// # drop(arena);
    /// ```
    pub fn try_new<E>(
        arena: Mallocator,
        build: impl for<'a> FnOnce(&'a Mallocator) -> Result<R::In<'a>, E>,
    ) -> Result<Self, (Mallocator, E)> {
        let owner = Arena(NonNull::from(Box::leak(Box::new(arena))));
        // SAFETY: the arena is there until the owner or what is made of it is dropped, and stays where it is.
        match build(unsafe { owner.0.as_ref() }) {
            Ok(root) => {
                // SAFETY: nothing but the lifetime differs, which nobody outside gets to see.
                let root = MaybeUninit::new(unsafe { lengthen::<R>(root) });
                let arena = ManuallyDrop::new(owner).0;
                Ok(Self { root, arena, torn_from: None, _owned: PhantomData })
            }
            Err(error) => {
                // The error does not borrow from the arena, as it is of one type for every lifetime.
                Err((owner.into_inner(), error))
            }
        }
    }

    fn arena(&self) -> &Mallocator {
        // SAFETY: the box is this one's, and only shared references to what is in it were ever made.
        unsafe { self.arena.as_ref() }
    }

    fn check(&self) {
        assert!(
            self.torn_from.is_none(),
            "the system changed some pages of the arena, refused the rest, and refused to change them back"
        );
    }

    /// Drops the root, where the pages can be used as it may expect.
    fn drop_root(&mut self) {
        if self.torn_from.is_none() {
            // SAFETY: it is there from the beginning on, and whoever calls this does not use it again.
            unsafe { self.root.assume_init_drop() };
        }
    }

    /// Calls `f` with the arena and the root.
    ///
    /// # Panics
    /// After a [`seal`](Self::seal) that was refused and could not be taken back, so that the pages cannot be read.
    ///
    /// ```
    /// # use mallocator::{Mallocator, Root, Rooted};
    /// # struct Words;
    /// # impl Root for Words {
    /// #     type In<'a> = &'a [&'a str];
    /// # }
    /// let words = Rooted::<Words>::new(Mallocator::growing(), |arena| &*arena.alloc_iter("a b".split(' ')));
    /// let (count, used) = words.with(|arena, words| (words.len(), arena.used()));
    /// assert_eq!(count, 2);
    /// # assert!(used > 0);
    /// ```
    ///
    /// Nothing of the root can leave:
    ///
    /// ```compile_fail
    /// # use mallocator::{Mallocator, Root, Rooted};
    /// # struct Words;
    /// # impl Root for Words {
    /// #     type In<'a> = &'a [&'a str];
    /// # }
    /// # let words = Rooted::<Words>::new(Mallocator::growing(), |arena| &*arena.alloc_iter("a b".split(' ')));
    /// let first: &'static str = words.with(|_, words| words[0]);
    /// ```
    pub fn with<'s, T>(&'s self, f: impl for<'a> FnOnce(&'a Mallocator, &'s R::In<'a>) -> T) -> T {
        self.check();
        // SAFETY: it is there; `f` cannot tell the lifetime from the true one, which ends with the call at the earliest.
        let root = unsafe { &*self.root.as_ptr().cast::<R::In<'_>>() };
        f(self.arena(), root)
    }

    /// Calls `f` with the arena and the root, which it may change or replace by another in the same arena.
    ///
    /// # Panics
    /// As [`with`](Self::with).
    ///
    /// ```
    /// use mallocator::{Mallocator, Root, Rooted, Vec};
    ///
    /// struct Numbers;
    /// impl Root for Numbers {
    ///     type In<'a> = Vec<'a, u32>;
    /// }
    /// let mut numbers = Rooted::<Numbers>::new(Mallocator::growing(), |arena| Vec::new_in(arena));
    /// numbers.with_mut(|_, numbers| numbers.push(1)); // it grows in the arena that it is rooted in
    /// assert_eq!(numbers.with(|_, numbers| numbers.len()), 1);
    /// ```
    pub fn with_mut<T>(&mut self, f: impl for<'a> FnOnce(&'a Mallocator, &mut R::In<'a>) -> T) -> T {
        self.check();
        // SAFETY: as in `with`; what `f` may put there borrows from the same arena, or from nothing that ends.
        let root = unsafe { &mut *self.root.as_mut_ptr().cast::<R::In<'_>>() };
        // SAFETY: as in `arena`, which would borrow the root too.
        f(unsafe { self.arena.as_ref() }, root)
    }

    /// Drops the root, and returns the arena, in which everything still is: [reset](Mallocator::reset) it to begin anew.
    ///
    /// ```
    /// # use mallocator::{Mallocator, Root, Rooted};
    /// # struct Words;
    /// # impl Root for Words {
    /// #     type In<'a> = &'a [&'a str];
    /// # }
    /// let words = Rooted::<Words>::new(Mallocator::growing(), |arena| &*arena.alloc_iter("a b".split(' ')));
    /// let mut arena = words.into_arena();
    /// arena.reset();
    /// ```
    pub fn into_arena(self) -> Mallocator {
        let mut rooted = ManuallyDrop::new(self);
        let owner = Arena(rooted.arena);
        rooted.drop_root();
        owner.into_inner()
    }

    /// Makes the root and everything else in the arena read-only, or read-only and executable.
    ///
    /// # Errors
    /// Those of [`Mallocator::seal`], and [`Error::NotReadable`] for a protection under which the root could not be
    /// read. The error [gives back](SealError::into_parts) the arena with its root; when its pages could be neither changed
    /// nor changed back, the root is out of reach, and is not dropped, unless a later seal is granted.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection, Root, Rooted};
    ///
    /// struct Words;
    /// impl Root for Words {
    ///     type In<'a> = &'a [&'a str];
    /// }
    /// let words = Rooted::<Words>::new(Mallocator::growing(), |arena| &*arena.alloc_iter("a bee".split(' ')));
    /// let words = words.seal(Protection::READ)?; // a `&[&str]` is only read, so that it can be
    /// std::thread::scope(|threads| {
    ///     for _ in 0..2 {
    ///         threads.spawn(|| assert_eq!(words.with(|words| words[1]), "bee"));
    ///     }
    /// });
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn seal(mut self, protection: Protection) -> Result<SealedRoot<R>, SealError<Self>>
    where
        for<'a> R::In<'a>: ReadOnly,
    {
        if !protection.is_readable() {
            return Err(SealError::new(self, Error::NotReadable { protection }));
        }
        let before = self.torn_from.unwrap_or(self.arena().protection());
        match self.arena().seal_pages(protection) {
            Ok(()) => {
                self.torn_from = None;
                Ok(SealedRoot { rooted: self, protection, before })
            }
            Err(error) => {
                self.torn_from = (self.arena().protection() != before).then_some(before);
                Err(SealError::new(self, error))
            }
        }
    }
}

/// A boxed arena whose box is not borrowed from any more, or will not be when this ends.
struct Arena(NonNull<Mallocator>);

impl Arena {
    fn into_inner(self) -> Mallocator {
        let arena = ManuallyDrop::new(self).0;
        // SAFETY: it was made of a box.
        *unsafe { Box::from_raw(arena.as_ptr()) }
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: it was made of a box.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl<R: Root> Drop for Rooted<R> {
    /// The root, then the arena, also when the root's drop panics.
    fn drop(&mut self) {
        let _arena = Arena(self.arena);
        self.drop_root();
    }
}

impl<R: Root> fmt::Debug for Rooted<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooted").field("arena", self.arena()).finish_non_exhaustive()
    }
}

/// The root under a lifetime that is not true.
///
/// # Safety
/// Nobody uses it under that lifetime.
unsafe fn lengthen<R: Root>(root: R::In<'_>) -> R::In<'static> {
    let root = ManuallyDrop::new(root);
    // SAFETY: one type but for a lifetime, and lifetimes have no layout.
    unsafe { mem::transmute_copy(&root) }
}

/// A [`Rooted`] that was sealed: threads may share it, and nobody can write what it holds.
///
/// ```
/// use mallocator::{Mallocator, Protection, Root, Rooted};
///
/// mallocator::read_only! {
///     enum Tree<'a> {
///         Leaf(u32),
///         Both(&'a Tree<'a>, &'a Tree<'a>),
///     }
/// }
/// impl Root for Tree<'_> {
///     type In<'a> = &'a Tree<'a>;
/// }
/// impl Tree<'_> {
///     fn sum(&self) -> u32 {
///         match self {
///             Self::Leaf(number) => *number,
///             Self::Both(left, right) => left.sum() + right.sum(),
///         }
///     }
/// }
///
/// let tree = Rooted::<Tree>::new(Mallocator::growing(), |arena| {
///     &*arena.alloc(Tree::Both(arena.alloc(Tree::Leaf(1)), arena.alloc(Tree::Leaf(2))))
/// });
/// let tree = tree.seal(Protection::READ)?;
/// let sum = std::thread::scope(|threads| threads.spawn(|| tree.with(|tree| tree.sum())).join().unwrap());
/// assert_eq!(sum, 3);
/// # Ok::<(), mallocator::Error>(())
/// ```
pub struct SealedRoot<R: Root> {
    rooted: Rooted<R>,
    protection: Protection,
    before: Protection,
}

// SAFETY: what is shared is the root, in memory that nothing writes to, and which does not lead to the arena itself, whose
// cells are not read-only.
unsafe impl<R: Root> Sync for SealedRoot<R> where for<'a> R::In<'a>: Sync {}

impl<R: Root> SealedRoot<R> {
    /// Calls `f` with the root.
    ///
    /// # Panics
    /// After an [`unseal`](Self::unseal) that was refused and could not be taken back, so that the pages cannot be read.
    ///
    /// ```
    /// # use mallocator::{Mallocator, Protection, Root, Rooted};
    /// # struct Words;
    /// # impl Root for Words {
    /// #     type In<'a> = &'a [&'a str];
    /// # }
    /// # let words = Rooted::<Words>::new(Mallocator::growing(), |arena| &*arena.alloc_iter("a bee".split(' ')));
    /// let words = words.seal(Protection::READ)?;
    /// assert_eq!(words.with(|words| words.concat()), "abee");
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn with<'s, T>(&'s self, f: impl for<'a> FnOnce(&'s R::In<'a>) -> T) -> T {
        self.rooted.with(|_, root| f(root))
    }

    /// What the pages may be used for.
    ///
    /// ```
    /// # use mallocator::{Mallocator, Protection, Root, Rooted};
    /// # struct Words;
    /// # impl Root for Words {
    /// #     type In<'a> = &'a [&'a str];
    /// # }
    /// # let words = Rooted::<Words>::new(Mallocator::growing(), |arena| &*arena.alloc_iter("a bee".split(' ')));
    /// assert_eq!(words.seal(Protection::READ)?.protection(), Protection::READ);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const fn protection(&self) -> Protection {
        self.protection
    }

    /// Makes it a [`Rooted`] again, which can be changed.
    ///
    /// # Errors
    /// [`Error::Os`] when the system refuses; the error [gives back](SealError::into_parts) what is still sealed. When its pages
    /// could be neither changed nor changed back, the root is out of reach, and is not dropped, unless a later call is granted.
    ///
    /// ```
    /// # use mallocator::{Mallocator, Protection, Root, Rooted};
    /// # struct Words;
    /// # impl Root for Words {
    /// #     type In<'a> = &'a [&'a str];
    /// # }
    /// # let words = Rooted::<Words>::new(Mallocator::growing(), |arena| &*arena.alloc_iter("a bee".split(' ')));
    /// let sealed = words.seal(Protection::READ)?;
    /// let mut words = sealed.unseal()?;
    /// words.with_mut(|arena, words| *words = arena.alloc_iter("a wasp".split(' ')));
    /// assert_eq!(words.with(|_, words| words[1]), "wasp");
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn unseal(mut self) -> Result<Rooted<R>, SealError<Self>> {
        match self.rooted.arena().unseal_pages(self.before) {
            Ok(()) => {
                self.rooted.torn_from = None;
                Ok(self.rooted)
            }
            Err(error) => {
                // It is now what it was, or `NO_ACCESS`.
                let protection = self.rooted.arena().protection();
                if protection != self.protection {
                    (self.protection, self.rooted.torn_from) = (protection, Some(self.before));
                }
                Err(SealError::new(self, error))
            }
        }
    }
}

impl<R: Root> fmt::Debug for SealedRoot<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedRoot").field("protection", &self.protection).finish_non_exhaustive()
    }
}
