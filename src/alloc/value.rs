//! Values.

use core::convert::Infallible;
use core::mem::MaybeUninit;

use crate::arena::{Mallocator, Taken};
use crate::collections::Box;
use crate::error::{Error, unwrap_or_panic};

impl Mallocator {
    /// Moves `value` into the arena. It is not dropped when the arena takes its memory back;
    /// [`alloc_boxed`](Self::alloc_boxed) does that.
    ///
    /// # Panics
    /// When [`try_alloc`](Self::try_alloc) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let point = arena.alloc([1, 2]);
    /// point[1] = 3;
    /// assert_eq!(point, &[1, 3]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc<T>(&self, value: T) -> &mut T {
        let mut slot = self.take_or_panic::<T>();
        // SAFETY: the slot is aligned, writable and nobody else's for as long as the arena is borrowed.
        unsafe {
            slot.write(value);
            slot.as_mut()
        }
    }

    /// [`alloc`](Self::alloc) that returns the error. The value is dropped then.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let arena = Mallocator::new()?;
    /// assert_eq!(arena.try_alloc(7)?, &7);
    /// assert!(matches!(arena.try_alloc([0_u8; 100_000]), Err(Error::Exhausted { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc<T>(&self, value: T) -> Result<&mut T, Error> {
        let mut slot = self.take::<T>()?;
        // SAFETY: the slot is aligned, writable and nobody else's for as long as the arena is borrowed.
        unsafe {
            slot.write(value);
            Ok(slot.as_mut())
        }
    }

    /// Finds a place for a value and then calls `make` for it, so that a large one need not be moved. `make` may
    /// itself allocate from the arena.
    ///
    /// # Panics
    /// When [`try_alloc_with`](Self::try_alloc_with) would return an error. When `make` panics, the place is given
    /// back if it is still the last.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let outer = arena.alloc_with(|| Some(arena.alloc(5)));
    /// assert_eq!(outer.as_deref(), Some(&5));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_with<T>(&self, make: impl FnOnce() -> T) -> &mut T {
        unwrap_or_panic(self.try_alloc_with(make))
    }

    /// [`alloc_with`](Self::alloc_with) that returns the error. `make` is not called then.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// use mallocator::Mallocator;
    ///
    /// let arena = Mallocator::new()?;
    /// assert!(arena.try_alloc_with(|| [1_u8; 100_000]).is_err());
    /// assert_eq!(arena.try_alloc_with(|| [1_u8; 1_000])?.len(), 1_000);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_with<T>(&self, make: impl FnOnce() -> T) -> Result<&mut T, Error> {
        let Ok(value) = self.try_alloc_try_with(|| Ok::<T, Infallible>(make()))?;
        Ok(value)
    }

    /// Finds a place for a value and then calls `make` for it, which may fail: then the place is given back, if it is
    /// still the last, and the error is returned.
    ///
    /// # Errors
    /// That of `make`.
    ///
    /// # Panics
    /// When [`try_alloc_try_with`](Self::try_alloc_try_with) would return an error of the arena.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let number = arena.alloc_try_with(|| "17".parse::<u32>());
    /// assert_eq!(number, Ok(&mut 17));
    /// assert!(arena.alloc_try_with(|| "x".parse::<u32>()).is_err());
    /// assert_eq!(arena.used(), 4);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_try_with<T, E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&mut T, E> {
        unwrap_or_panic(self.try_alloc_try_with(make))
    }

    /// [`alloc_try_with`](Self::alloc_try_with) that returns the error of the arena. `make` is not called then.
    ///
    /// # Errors
    /// Outside, that of the arena: [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses
    /// memory. Inside, that of `make`. The cursor has not moved, but by what `make` itself allocated and kept.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_try_with(|| "17".parse::<u32>())?, Ok(&mut 17));
    /// assert!(arena.try_alloc_try_with(|| Ok::<_, ()>([0_u8; 100_000])).is_err());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_try_with<T, E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<&mut T, E>, Error> {
        let taken = Taken::value::<T>(self)?;
        Ok(match make() {
            Ok(value) => {
                let mut slot = taken.keep().cast::<T>();
                // SAFETY: the slot is aligned, writable and nobody else's for as long as the arena is borrowed; what
                // `make` allocated lies elsewhere.
                unsafe {
                    slot.write(value);
                    Ok(slot.as_mut())
                }
            }
            Err(error) => Err(error),
        })
    }

    /// Puts the default value of `T` into the arena.
    ///
    /// # Panics
    /// When [`try_alloc_default`](Self::try_alloc_default) would return an error, or when `default` panics.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.alloc_default::<u64>(), &0);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_default<T: Default>(&self) -> &mut T {
        unwrap_or_panic(self.try_alloc_default())
    }

    /// [`alloc_default`](Self::alloc_default) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_default::<Option<u8>>()?, &None);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_default<T: Default>(&self) -> Result<&mut T, Error> {
        self.try_alloc_with(T::default)
    }

    /// A place for a value that is built there, piece by piece: for what is too large for the stack, or is filled by other
    /// code. [`MaybeUninit::write`] puts a whole value in.
    ///
    /// # Panics
    /// When [`try_alloc_uninit`](Self::try_alloc_uninit) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::with_size(1 << 22)?;
    /// let table = arena.alloc_uninit::<[u64; 100_000]>(); // 800 kB that never were on the stack
    /// let table = table.as_mut_ptr().cast::<u64>();
    /// // SAFETY: all of the place is written before it is read.
    /// let table = unsafe {
    ///     (0..100_000).for_each(|index| table.add(index).write(index as u64));
    ///     &*table.cast::<[u64; 100_000]>()
    /// };
    /// assert_eq!(table[99_999], 99_999);
    ///
    /// assert_eq!(arena.alloc_uninit().write(5), &5);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_uninit<T>(&self) -> &mut MaybeUninit<T> {
        unwrap_or_panic(self.try_alloc_uninit())
    }

    /// [`alloc_uninit`](Self::alloc_uninit) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_uninit()?.write("text"), &"text");
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_uninit<T>(&self) -> Result<&mut MaybeUninit<T>, Error> {
        let slot = self.take::<T>()?;
        // SAFETY: the slot is aligned, writable and nobody else's for as long as the arena is borrowed; it may hold
        // anything.
        Ok(unsafe { slot.cast().as_mut() })
    }

    /// Moves `value` into the arena, in a box that drops it.
    ///
    /// [`Box`] shows how to make a box of a trait object, a closure or a future of it.
    ///
    /// # Panics
    /// When [`try_alloc_boxed`](Self::try_alloc_boxed) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let names = arena.alloc_boxed(vec![String::from("on the heap")]);
    /// assert_eq!(names.len(), 1);
    /// drop(names); // the vector and the string too
    /// assert_eq!(arena.used(), 0); // it was the last
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_boxed<T>(&self, value: T) -> Box<'_, T> {
        unwrap_or_panic(self.try_alloc_boxed(value))
    }

    /// [`alloc_boxed`](Self::alloc_boxed) that returns the error. The value is dropped then.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(*arena.try_alloc_boxed(3)?, 3);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_alloc_boxed<T>(&self, value: T) -> Result<Box<'_, T>, Error> {
        let value: *mut T = self.try_alloc(value)?;
        // SAFETY: the value lies in a block of this arena for its layout, and is nobody else's.
        Ok(unsafe { Box::from_raw_in(value, self) })
    }
}
