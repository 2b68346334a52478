//! What iterators yield.

use crate::alloc::slice_builder::SliceBuilder;
use crate::arena::Mallocator;
use crate::error::{Error, unwrap_or_panic};

impl Mallocator {
    /// Collects any iterator into a slice. It grows in place as long as nothing else is allocated meanwhile, and what it
    /// reserved too much is given back. The iterator may itself allocate from the arena.
    ///
    /// # Panics
    /// When [`try_alloc_iter`](Self::try_alloc_iter) would return an error,
    /// or when the iterator panics: then the elements made so far are dropped and the memory is given back.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let even = arena.alloc_iter((0..10).filter(|number| number % 2 == 0));
    /// assert_eq!(even, [0, 2, 4, 6, 8]);
    /// assert_eq!(arena.used(), 20);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_iter<I: IntoIterator>(&self, elements: I) -> &mut [I::Item] {
        unwrap_or_panic(self.try_alloc_iter(elements))
    }

    /// [`alloc_iter`](Self::alloc_iter) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert!(arena.try_alloc_iter(0_u64..).is_err()); // without an end: exhausted
    /// assert_eq!(arena.used(), 0);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_alloc_iter<I: IntoIterator>(&self, elements: I) -> Result<&mut [I::Item], Error> {
        let elements = elements.into_iter();
        // A hint, not a promise: what is too much for the arena was perhaps not meant.
        let hint = elements.size_hint().0;
        let mut builder = match hint {
            0 => SliceBuilder::new(self)?,
            _ => SliceBuilder::with_capacity(self, hint).or_else(|_| SliceBuilder::new(self))?,
        };
        for element in elements {
            builder.push(element)?;
        }
        Ok(builder.finish())
    }

    /// Collects an iterator that knows its length. If there are fewer elements than it said, the slice is shorter; more are
    /// not asked for.
    ///
    /// # Panics
    /// When [`try_alloc_slice_fill_iter`](Self::try_alloc_slice_fill_iter) would return an error,
    /// or when the iterator panics: then the elements made so far are dropped and the memory is given back.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.alloc_slice_fill_iter([1, 2, 3].iter().map(|number| number * 2)), [2, 4, 6]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_slice_fill_iter<I>(&self, elements: I) -> &mut [I::Item]
    where
        I: IntoIterator<IntoIter: ExactSizeIterator>,
    {
        unwrap_or_panic(self.try_alloc_slice_fill_iter(elements))
    }

    /// [`alloc_slice_fill_iter`](Self::alloc_slice_fill_iter) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_slice_fill_iter(["a", "b"])?, ["a", "b"]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_alloc_slice_fill_iter<I>(&self, elements: I) -> Result<&mut [I::Item], Error>
    where
        I: IntoIterator<IntoIter: ExactSizeIterator>,
    {
        let elements = elements.into_iter();
        let len = elements.len();
        let mut builder = SliceBuilder::with_capacity(self, len)?;
        for element in elements.take(len) {
            builder.push(element)?;
        }
        Ok(builder.finish())
    }
}
