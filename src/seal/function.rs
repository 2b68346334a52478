//! Code in sealed arenas, called as functions that cannot outlive it.

use std::fmt;
use std::marker::PhantomData;

use crate::error::{Error, unwrap_or_panic};
use crate::protection::Protection;
use crate::seal::sealed::Sealed;

impl Sealed {
    /// The code at `offset`, in bytes from the base, as a function of type `F`: an `extern "C" fn` of up to six arguments
    /// to [`call`](Function::call), or any other function pointer by way of [`pointer`](Function::pointer).
    ///
    /// It borrows the sealed arena, so it is gone before the pages are.
    ///
    /// # Panics
    /// When the offset was not handed out, or the pages may not be executed.
    /// [`try_function`](Self::try_function) returns the error instead.
    ///
    /// # Safety
    /// - `F` is a type of function pointers.
    /// - At `offset` there is code of this processor, that follows the calling convention of `F`, and that is sound to call
    ///   with all arguments that `F` takes, on any thread and on many at once; where `F` is an `unsafe fn`, as the caller
    ///   will call it.
    /// - What the code refers to outside of the arena is there when it is called.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// let arena = Mallocator::new()?;
    /// # #[cfg(target_arch = "x86_64")] {
    /// arena.alloc_byte_string("b8 2a 00 00 00 c3")?; // mov eax, 42; ret
    /// let code = arena.seal(Protection::READ_EXECUTE)?;
    /// // SAFETY: that is a function without arguments that returns a number in eax.
    /// let answer = unsafe { code.function::<extern "C" fn() -> i32>(0) };
    /// assert_eq!(answer.call(), 42);
    /// # }
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    ///
    /// ```compile_fail,E0505
    /// # let arena = mallocator::Mallocator::growing();
    /// # arena.alloc_byte_string("b8 2a 00 00 00 c3").unwrap();
    /// let code = arena.seal(mallocator::Protection::READ_EXECUTE).unwrap();
    /// let answer = unsafe { code.function::<extern "C" fn() -> i32>(0) };
    /// drop(code);
    /// answer.call();
    /// ```
    #[track_caller]
    pub unsafe fn function<F: Copy>(&self, offset: usize) -> Function<'_, F> {
        // SAFETY: the caller's promise.
        unwrap_or_panic(unsafe { self.try_function(offset) })
    }

    /// [`function`](Self::function) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotHandedOut`], [`Error::NotExecutable`].
    ///
    /// # Safety
    /// That of [`function`](Self::function).
    ///
    /// ```
    /// use mallocator::{Error, Mallocator, Protection};
    ///
    /// let arena = Mallocator::new()?;
    /// arena.alloc_byte_string("b8 2a 00 00 00 c3")?;
    /// let data = arena.seal(Protection::READ)?;
    /// // SAFETY: nothing is called.
    /// let refused = unsafe { data.try_function::<extern "C" fn() -> i32>(0) };
    /// assert!(matches!(refused, Err(Error::NotExecutable { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub unsafe fn try_function<F: Copy>(&self, offset: usize) -> Result<Function<'_, F>, Error> {
        const { assert!(size_of::<F>() == size_of::<fn()>(), "F must be a type of function pointers") };
        if !self.protection().is_executable() || self.protection().contains(Protection::GUARD) {
            return Err(Error::NotExecutable { protection: self.protection() });
        }
        let code = self.handed_out(offset, 1)?.as_ptr();
        // SAFETY: a function pointer is as large as a pointer, and the caller promises that `F` is one that this may be.
        let pointer = unsafe { std::mem::transmute_copy::<*mut u8, F>(&code) };
        Ok(Function { pointer, _pages: PhantomData })
    }
}

/// Code in a sealed arena, from [`Sealed::function`]: it cannot outlive the pages it is in.
///
/// ```
/// use mallocator::{Mallocator, Protection};
///
/// # #[cfg(target_arch = "x86_64")] {
/// let arena = Mallocator::new()?;
/// // lea eax, [arguments added]; ret
/// arena.alloc_byte_string(if cfg!(windows) { "8d 04 11 c3" } else { "8d 04 37 c3" })?;
/// let code = arena.seal(Protection::READ_EXECUTE)?;
/// // SAFETY: that is a function of two numbers that returns one.
/// let sum = unsafe { code.function::<extern "C" fn(i32, i32) -> i32>(0) };
/// assert_eq!(sum.call(2, 3), 5);
/// # }
/// # Ok::<(), mallocator::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Function<'s, F> {
    pointer: F,
    _pages: PhantomData<&'s Sealed>,
}

impl<F: Copy> Function<'_, F> {
    /// The function pointer itself, for types that [`call`](Self::call) does not know.
    ///
    /// # Safety
    /// It is not called after the sealed arena has been unsealed, freed or dropped.
    ///
    /// ```
    /// use mallocator::{Mallocator, Protection};
    ///
    /// # #[cfg(target_arch = "x86_64")] {
    /// let arena = Mallocator::new()?;
    /// arena.alloc_byte_string("b8 2a 00 00 00 c3")?; // mov eax, 42; ret
    /// let code = arena.seal(Protection::READ_EXECUTE)?;
    /// // SAFETY: that is a function of these types, and it is called while the arena is there.
    /// let answer = unsafe { code.function::<extern "sysv64" fn() -> i32>(0).pointer() };
    /// assert_eq!(answer(), 42);
    /// # }
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub const unsafe fn pointer(&self) -> F {
        self.pointer
    }
}

impl<F> fmt::Debug for Function<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: it was made of a pointer of the same size.
        let address = unsafe { std::mem::transmute_copy::<F, *const u8>(&self.pointer) };
        f.debug_tuple("Function").field(&address).finish()
    }
}

macro_rules! callable {
    ($($argument:ident: $type:ident),*) => {
        impl<$($type,)* R> Function<'_, extern "C" fn($($type),*) -> R> {
            /// Calls the code.
            #[inline]
            pub fn call(&self, $($argument: $type),*) -> R {
                (self.pointer)($($argument),*)
            }
        }

        impl<$($type,)* R> Function<'_, unsafe extern "C" fn($($type),*) -> R> {
            /// Calls the code.
            ///
            /// # Safety
            /// What the code requires of its arguments.
            #[inline]
            pub unsafe fn call(&self, $($argument: $type),*) -> R {
                // SAFETY: the caller's promise.
                unsafe { (self.pointer)($($argument),*) }
            }
        }
    };
}

callable!();
callable!(a: A);
callable!(a: A, b: B);
callable!(a: A, b: B, c: C);
callable!(a: A, b: B, c: C, d: D);
callable!(a: A, b: B, c: C, d: D, e: E);
callable!(a: A, b: B, c: C, d: D, e: E, f: F);
