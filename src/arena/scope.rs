//! Going back: scopes, which do it by themselves, and marks, for doing it by hand.

use core::mem::ManuallyDrop;

use crate::arena::Mallocator;

/// Closes a view when the scope ends, also by a panic.
struct Close<'a> {
    parent: &'a Mallocator,
    view: &'a Mallocator,
}

impl Drop for Close<'_> {
    #[inline]
    fn drop(&mut self) {
        self.parent.close(self.view);
    }
}

/// Where the cursor of an arena was. Made by [`Mallocator::mark`], used by [`Mallocator::rewind`].
///
/// ```
/// let arena = mallocator::Mallocator::new()?;
/// let (before, _, after) = (arena.mark(), arena.alloc(1), arena.mark());
/// assert!(before < after);
/// # Ok::<(), mallocator::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    address: usize,
}

impl Mallocator {
    /// Calls `f` with an arena for temporary things, and takes back what it handed out when `f` ends, by returning or by
    /// a panic.
    ///
    /// The arena that `f` is given is a view of this one: everything that takes a `&Mallocator` works with it, and
    /// nothing that it hands out can leave `f`. Scopes nest to any depth.
    ///
    /// What was allocated before stays usable inside, and this arena can be used inside too: a vector in it may grow.
    /// That is never refused, and never moves what the scope holds; but what the scope took until then stays taken when
    /// it ends, until this arena is rewound or reset, and each such allocation goes the slow way.
    ///
    /// A scope is a closure, so it cannot span an `.await` or a `break` of a loop around it: return a `Result` or a
    /// [`ControlFlow`](std::ops::ControlFlow) from it.
    ///
    /// # Aborts
    /// Scopes must end in the reverse order of their beginning, as closures do. Where stackful coroutines suspend one
    /// scope, open another on the same arena, and end the first before the second, the process is aborted.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let kept = arena.alloc(1);
    /// let sum = arena.scope(|scratch| {
    ///     let many = scratch.alloc_slice_fill_with(1000, |index| index);
    ///     many.iter().sum::<usize>()
    /// });
    /// assert_eq!((*kept, sum, arena.used()), (1, 499_500, 4));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    ///
    /// Nothing can leave:
    ///
    /// ```compile_fail
    /// let arena = mallocator::Mallocator::growing();
    /// let text: &str = arena.scope(|scratch| &*scratch.alloc_str("gone"));
    /// ```
    #[inline]
    pub fn scope<R>(&self, f: impl FnOnce(&Self) -> R) -> R {
        let parent = self.innermost();
        // A view owns nothing.
        let view = ManuallyDrop::new(parent.view());
        // SAFETY: the view stays in this frame, and is closed before the frame ends, however it ends.
        unsafe { parent.open(&view) };
        let _close = Close { parent, view: &view };
        f(&view)
    }

    /// Remembers how much is in use, for [`rewind`](Self::rewind). [`scope`](Self::scope) does both by itself, safely.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let before = arena.mark();
    /// arena.alloc(1);
    /// assert!(arena.mark() > before);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn mark(&self) -> Mark {
        Mark { address: self.settled() }
    }

    /// Takes back everything that was handed out since `mark`. When less is in use than then, or while a scope is open on
    /// the arena, nothing happens; in a scope, nothing is taken back that an outer arena took.
    ///
    /// # Safety
    /// - `mark` was made by this arena.
    /// - Nothing that was allocated from this arena since is used again, whether by a reference, a collection (also one made
    ///   before, which has grown since), a [`Batch`](crate::Batch) (also one made before, which has taken a block since),
    ///   a [`Lent`](crate::Lent) arena in it (whose drop reads its bookkeeping), or
    ///   an allocation that a closure or an iterator is still making.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let kept = arena.alloc(1);
    /// let mark = arena.mark();
    /// arena.alloc_bytes(&[0; 1000]);
    /// // SAFETY: the thousand bytes are not used again.
    /// unsafe { arena.rewind(mark) };
    /// assert_eq!((arena.used(), *kept), (4, 1));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub unsafe fn rewind(&self, mark: Mark) {
        if !self.has_view() {
            self.lower(mark.address);
        }
    }
}
