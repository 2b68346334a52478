//! Every typed method of a [`Mallocator`], for threads that share an arena: one list. Each row is carried out
//! by the method of that name on a [share](SyncMallocator::local) that takes just what it needs; values and copies, which are
//! known before, are put straight into what the common cursor gives.

use core::alloc::Layout;
use core::ffi::CStr;
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use std::ffi::OsStr;

use allocator_api2::boxed::Box;

use crate::alloc::CodeUnit;
use crate::alloc::slice::copied;
use crate::arena::{Mallocator, SyncMallocator};
use crate::error::{Error, unwrap_or_panic};

/// A row is an infallible method with its fallible twin, or one that returns a `Result` by itself; `example` is true of a new
/// arena `shared`.
macro_rules! typed {
    ($(
        $name:ident / $twin:ident
        $([$($generic:tt)*])? ($($argument:ident: $type:ty),*) -> $result:ty,
        |$shared:ident| $fallible:expr;
        $example:literal
    )*) => {
        impl SyncMallocator {
            $(
                #[doc = concat!("[`Mallocator::", stringify!($name), "`](crate::Mallocator::", stringify!($name), ")")]
                /// for threads that share an arena.
                ///
                /// # Panics
                #[doc = concat!("When [`", stringify!($twin), "`](Self::", stringify!($twin), ")")]
                /// would return an error, and when what the caller brings does.
                ///
                /// ```
                /// let shared = mallocator::Mallocator::builder().size(1 << 20).build_sync()?;
                #[doc = $example]
                /// # Ok::<(), mallocator::Error>(())
                /// ```
                #[track_caller]
                pub fn $name $(<$($generic)*>)? (&self, $($argument: $type),*) -> $result {
                    unwrap_or_panic(self.$twin($($argument),*))
                }

                #[doc = concat!("[`", stringify!($name), "`](Self::", stringify!($name), ")")]
                /// that returns the error.
                ///
                /// # Errors
                /// Those of the method of this name of a [`Mallocator`](crate::Mallocator). What was taken and grew meanwhile may
                /// stay taken.
                pub fn $twin $(<$($generic)*>)? (&self, $($argument: $type),*) -> Result<$result, Error> {
                    let $shared = self;
                    $fallible
                }
            )*
        }
    };
}

impl SyncMallocator {
    /// What `make` puts into a share of this arena, for as long as this arena is borrowed.
    fn put<T: ?Sized>(
        &self,
        make: impl FnOnce(&Mallocator) -> Result<&mut T, Error>,
    ) -> Result<&mut T, Error> {
        let value = self.with_share(|arena| make(arena).map(ptr::from_mut))?;
        // SAFETY: what was handed out is the caller's for as long as the arena is borrowed.
        Ok(unsafe { &mut *value })
    }

    /// The same of what is only read.
    fn put_to_read<T: ?Sized>(
        &self,
        make: impl FnOnce(&Mallocator) -> Result<&T, Error>,
    ) -> Result<&T, Error> {
        let value = self.with_share(|arena| make(arena).map(ptr::from_ref))?;
        // SAFETY: as above.
        Ok(unsafe { &*value })
    }

    fn put_value<T>(&self, value: T) -> Result<&mut T, Error> {
        let mut slot = self.try_alloc_layout(Layout::new::<T>())?.cast::<T>();
        // SAFETY: the slot is aligned, writable and nobody else's for as long as the arena is borrowed.
        unsafe {
            slot.write(value);
            Ok(slot.as_mut())
        }
    }

    fn put_copy<T: Copy>(&self, source: &[T]) -> Result<&mut [T], Error> {
        let copy = self.try_alloc_layout(Layout::for_value(source))?.cast::<T>();
        // SAFETY: the block has the layout of `source`, and is nobody else's for as long as the arena is borrowed.
        Ok(unsafe { copied(source, copy) })
    }

    fn put_str(&self, text: &str) -> Result<&mut str, Error> {
        let copy = self.put_copy(text.as_bytes())?;
        // SAFETY: a copy of valid UTF-8.
        Ok(unsafe { core::str::from_utf8_unchecked_mut(copy) })
    }
}

typed! {
    alloc / try_alloc [T] (value: T) -> &mut T,
    |shared| shared.put_value(value);
    "assert_eq!(shared.alloc(7), &7);"
    alloc_with / try_alloc_with [T] (make: impl FnOnce() -> T) -> &mut T,
    |shared| shared.put(|arena| arena.try_alloc_with(make));
    "assert_eq!(shared.alloc_with(|| 7), &7);"
    alloc_default / try_alloc_default [T: Default] () -> &mut T,
    |shared| shared.put(Mallocator::try_alloc_default);
    "assert_eq!(shared.alloc_default::<u64>(), &0);"
    alloc_uninit / try_alloc_uninit [T] () -> &mut MaybeUninit<T>,
    |shared| shared.put(Mallocator::try_alloc_uninit);
    "assert_eq!(shared.alloc_uninit().write(7), &7);"
    alloc_slice_copy / try_alloc_slice_copy [T: Copy] (source: &[T]) -> &mut [T],
    |shared| shared.put_copy(source);
    "assert_eq!(shared.alloc_slice_copy(&[2, 3, 5]), [2, 3, 5]);"
    alloc_slice_clone / try_alloc_slice_clone [T: Clone] (source: &[T]) -> &mut [T],
    |shared| shared.put(|arena| arena.try_alloc_slice_clone(source));
    "assert_eq!(shared.alloc_slice_clone(&[Some(2)]), [Some(2)]);"
    alloc_slice_fill_with / try_alloc_slice_fill_with [T] (len: usize, make: impl FnMut(usize) -> T) -> &mut [T],
    |shared| shared.put(|arena| arena.try_alloc_slice_fill_with(len, make));
    "assert_eq!(shared.alloc_slice_fill_with(3, |index| index), [0, 1, 2]);"
    alloc_slice_fill_copy / try_alloc_slice_fill_copy [T: Copy] (len: usize, value: T) -> &mut [T],
    |shared| shared.put(|arena| arena.try_alloc_slice_fill_copy(len, value));
    "assert_eq!(shared.alloc_slice_fill_copy(2, 7), [7, 7]);"
    alloc_slice_fill_clone / try_alloc_slice_fill_clone [T: Clone] (len: usize, value: &T) -> &mut [T],
    |shared| shared.put(|arena| arena.try_alloc_slice_fill_clone(len, value));
    "assert_eq!(shared.alloc_slice_fill_clone(2, &7), [7, 7]);"
    alloc_slice_fill_default / try_alloc_slice_fill_default [T: Default] (len: usize) -> &mut [T],
    |shared| shared.put(|arena| arena.try_alloc_slice_fill_default(len));
    "assert_eq!(shared.alloc_slice_fill_default::<u8>(2), [0, 0]);"
    alloc_slice_fill_iter / try_alloc_slice_fill_iter [I: IntoIterator<IntoIter: ExactSizeIterator>] (elements: I) -> &mut [I::Item],
    |shared| shared.put(|arena| arena.try_alloc_slice_fill_iter(elements));
    "assert_eq!(shared.alloc_slice_fill_iter([2, 3]), [2, 3]);"
    alloc_iter / try_alloc_iter [I: IntoIterator] (elements: I) -> &mut [I::Item],
    |shared| shared.put(|arena| arena.try_alloc_iter(elements));
    "assert_eq!(shared.alloc_iter((0..9).filter(|number| number % 4 == 0)), [0, 4, 8]);"
    alloc_uninit_slice / try_alloc_uninit_slice [T] (len: usize) -> &mut [MaybeUninit<T>],
    |shared| shared.put(|arena| arena.try_alloc_uninit_slice(len));
    "assert_eq!(shared.alloc_uninit_slice::<u64>(3).len(), 3);"
    alloc_zeroed_bytes / try_alloc_zeroed_bytes (len: usize, align: usize) -> &mut [u8],
    |shared| shared.put(|arena| arena.try_alloc_zeroed_bytes(len, align));
    "assert_eq!(shared.alloc_zeroed_bytes(2, 8), [0, 0]);"
    alloc_bytes / try_alloc_bytes (bytes: &[u8]) -> &mut [u8],
    |shared| shared.put_copy(bytes);
    "assert_eq!(shared.alloc_bytes(b\"abc\"), b\"abc\");"
    alloc_str / try_alloc_str (text: &str) -> &mut str,
    |shared| shared.put_str(text);
    "assert_eq!(shared.alloc_str(\"text\"), \"text\");"
    alloc_fmt / try_alloc_fmt (text: fmt::Arguments<'_>) -> &mut str,
    |shared| shared.put(|arena| arena.try_alloc_fmt(text));
    "assert_eq!(shared.alloc_fmt(format_args!(\"v{}\", 1)), \"v1\");"
    alloc_c_str / try_alloc_c_str (text: &CStr) -> &CStr,
    |shared| shared.put_to_read(|arena| arena.try_alloc_c_str(text));
    "assert_eq!(shared.alloc_c_str(c\"main\"), c\"main\");"
    alloc_os_str / try_alloc_os_str (text: &OsStr) -> &OsStr,
    |shared| shared.put_to_read(|arena| arena.try_alloc_os_str(text));
    "assert_eq!(shared.alloc_os_str(\"a\".as_ref()), \"a\");"
}

impl SyncMallocator {
    /// [`Mallocator::alloc_try_with`](crate::Mallocator::alloc_try_with) for threads that share an arena. The place of a value
    /// that could not be made stays taken.
    ///
    /// # Errors
    /// That of `make`.
    ///
    /// # Panics
    /// When [`try_alloc_try_with`](Self::try_alloc_try_with) would return an error of the arena.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert_eq!(shared.alloc_try_with(|| "17".parse::<u32>()), Ok(&mut 17));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[track_caller]
    pub fn alloc_try_with<T, E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&mut T, E> {
        unwrap_or_panic(self.try_alloc_try_with(make))
    }

    /// [`alloc_try_with`](Self::alloc_try_with) that returns the error of the arena. `make` is not called then.
    ///
    /// # Errors
    /// Outside, that of the arena; inside, that of `make`.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert!(shared.try_alloc_try_with(|| "x".parse::<u32>())?.is_err());
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn try_alloc_try_with<T, E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<&mut T, E>, Error> {
        let outcome =
            self.with_share(|arena| arena.try_alloc_try_with(make).map(|value| value.map(ptr::from_mut)))?;
        // SAFETY: what was handed out is the caller's for as long as the arena is borrowed.
        Ok(outcome.map(|value| unsafe { &mut *value }))
    }

    /// Moves `value` into the arena, in a box that drops it. It may be sent where a `&SyncMallocator` may, and `T`.
    ///
    /// # Panics
    /// When [`try_alloc_boxed`](Self::try_alloc_boxed) would return an error.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// let names = shared.alloc_boxed(vec![String::from("on the heap")]);
    /// std::thread::scope(|threads| threads.spawn(move || drop(names)).join()).unwrap();
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[track_caller]
    pub fn alloc_boxed<T>(&self, value: T) -> Box<T, &Self> {
        unwrap_or_panic(self.try_alloc_boxed(value))
    }

    /// [`alloc_boxed`](Self::alloc_boxed) that returns the error. The value is dropped then.
    ///
    /// # Errors
    /// Those of [`try_alloc`](Self::try_alloc).
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert_eq!(*shared.try_alloc_boxed(3)?, 3);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn try_alloc_boxed<T>(&self, value: T) -> Result<Box<T, &Self>, Error> {
        let value = ptr::from_mut(self.try_alloc(value)?);
        // SAFETY: the value lies in a block of this arena for its layout, and is nobody else's.
        Ok(unsafe { Box::from_raw_in(value, self) })
    }

    /// [`Mallocator::alloc_c_str_from`](crate::Mallocator::alloc_c_str_from) for threads that share an arena.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert_eq!(shared.alloc_c_str_from("main")?, c"main");
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn alloc_c_str_from(&self, text: &str) -> Result<&CStr, Error> {
        self.put_to_read(|arena| arena.alloc_c_str_from(text))
    }

    /// [`Mallocator::alloc_string`](crate::Mallocator::alloc_string) for threads that share an arena.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert_eq!(shared.alloc_string::<u16>("hi")?, [104, 105, 0]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn alloc_string<W: CodeUnit>(&self, text: &str) -> Result<&mut [W], Error> {
        self.put(|arena| arena.alloc_string::<W>(text))
    }

    /// [`Mallocator::alloc_string_raw`](crate::Mallocator::alloc_string_raw) for threads that share an arena.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert_eq!(shared.alloc_string_raw("hi", 2)?.len(), 6);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn alloc_string_raw(&self, text: &str, width: usize) -> Result<NonNull<[u8]>, Error> {
        self.with_share(|arena| arena.alloc_string_raw(text, width))
    }

    /// [`Mallocator::alloc_byte_string`](crate::Mallocator::alloc_byte_string) for threads that share an arena.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// let shared = mallocator::Mallocator::builder().build_sync()?;
    /// assert_eq!(shared.alloc_byte_string("00 ab")?, [0x00, 0xab]);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    pub fn alloc_byte_string(&self, text: &str) -> Result<&mut [u8], Error> {
        self.put(|arena| arena.alloc_byte_string(text))
    }
}
