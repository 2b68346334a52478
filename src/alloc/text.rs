//! Text as Rust has it, UTF-8, and as C and the operating system do.

use core::ffi::CStr;
use core::fmt::{self, Write};
use std::ffi::OsStr;

use crate::alloc::slice_builder::SliceBuilder;
use crate::arena::Mallocator;
use crate::error::{Error, unwrap_or_panic};

impl Mallocator {
    /// Copies a string into the arena, as UTF-8, with no NUL.
    ///
    /// # Panics
    /// When [`try_alloc_str`](Self::try_alloc_str) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let name = arena.alloc_str("main");
    /// name.make_ascii_uppercase();
    /// assert_eq!(name, "MAIN");
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn alloc_str(&self, text: &str) -> &mut str {
        let copy = self.alloc_slice_copy(text.as_bytes());
        // SAFETY: a copy of valid UTF-8.
        unsafe { core::str::from_utf8_unchecked_mut(copy) }
    }

    /// [`alloc_str`](Self::alloc_str) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_str("naïve")?.len(), 6);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_alloc_str(&self, text: &str) -> Result<&mut str, Error> {
        let copy = self.try_alloc_slice_copy(text.as_bytes())?;
        // SAFETY: a copy of valid UTF-8.
        Ok(unsafe { core::str::from_utf8_unchecked_mut(copy) })
    }

    /// Writes formatted text into the arena, piece by piece, with no copy elsewhere.
    ///
    /// # Panics
    /// When [`try_alloc_fmt`](Self::try_alloc_fmt) would return an error,
    /// or when a `Display` implementation panics.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// let name = arena.alloc_fmt(format_args!("v{}.{}", 1, 2));
    /// assert_eq!((&*name, arena.used()), ("v1.2", 4));
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_fmt(&self, text: fmt::Arguments<'_>) -> &mut str {
        unwrap_or_panic(self.try_alloc_fmt(text))
    }

    /// [`alloc_fmt`](Self::alloc_fmt) that returns the error.
    ///
    /// # Errors
    /// [`Error::Formatting`] when an implementation of `Display` or its like fails; [`Error::NotWritable`],
    /// [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_fmt(format_args!("{:04}", 7))?, "0007");
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_alloc_fmt(&self, text: fmt::Arguments<'_>) -> Result<&mut str, Error> {
        if let Some(whole) = text.as_str() {
            return self.try_alloc_str(whole);
        }
        let mut writing = Writing { builder: SliceBuilder::new(self)?, error: Error::Formatting };
        match writing.write_fmt(text) {
            // SAFETY: whole strings were written, one after the other.
            Ok(()) => Ok(unsafe { core::str::from_utf8_unchecked_mut(writing.builder.finish()) }),
            Err(fmt::Error) => Err(writing.error),
        }
    }

    /// Copies a C string into the arena, with its NUL.
    ///
    /// # Panics
    /// When [`try_alloc_c_str`](Self::try_alloc_c_str) would return an error.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.alloc_c_str(c"main"), c"main");
    /// assert_eq!(arena.used(), 5);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_c_str(&self, text: &CStr) -> &CStr {
        unwrap_or_panic(self.try_alloc_c_str(text))
    }

    /// [`alloc_c_str`](Self::alloc_c_str) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_c_str(c"")?.count_bytes(), 0);
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_alloc_c_str(&self, text: &CStr) -> Result<&CStr, Error> {
        let bytes = self.try_alloc_slice_copy(text.to_bytes_with_nul())?;
        // SAFETY: a copy of a C string.
        Ok(unsafe { CStr::from_bytes_with_nul_unchecked(bytes) })
    }

    /// Copies a string into the arena and puts a NUL behind it, for C.
    ///
    /// # Errors
    /// [`Error::InteriorNul`] when there is a NUL in it, which would end it early; [`Error::NotWritable`],
    /// [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not moved.
    ///
    /// ```
    /// use mallocator::{Error, Mallocator};
    ///
    /// let arena = Mallocator::new()?;
    /// assert_eq!(arena.alloc_c_str_from("main")?, c"main");
    /// assert_eq!(arena.alloc_c_str_from("a\0b"), Err(Error::InteriorNul { index: 1 }));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn alloc_c_str_from(&self, text: &str) -> Result<&CStr, Error> {
        if let Some(index) = text.bytes().position(|byte| byte == 0) {
            return Err(Error::InteriorNul { index });
        }
        let mut builder = SliceBuilder::with_capacity(self, text.len() + 1)?;
        builder.extend(text.as_bytes())?;
        builder.push(0)?;
        // SAFETY: the only NUL is the last byte.
        Ok(unsafe { CStr::from_bytes_with_nul_unchecked(builder.finish()) })
    }

    /// Copies a string of the operating system, or the text of a path, into the arena.
    ///
    /// # Panics
    /// When [`try_alloc_os_str`](Self::try_alloc_os_str) would return an error.
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// let arena = mallocator::Mallocator::new()?;
    /// let path = Path::new(arena.alloc_os_str(Path::new("src/lib.rs").as_os_str()));
    /// assert_eq!(path.extension().unwrap(), "rs");
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn alloc_os_str(&self, text: &OsStr) -> &OsStr {
        unwrap_or_panic(self.try_alloc_os_str(text))
    }

    /// [`alloc_os_str`](Self::alloc_os_str) that returns the error.
    ///
    /// # Errors
    /// [`Error::NotWritable`], [`Error::Exhausted`], or [`Error::Os`] when the system refuses memory. The cursor has not
    /// moved.
    ///
    /// ```
    /// use std::ffi::OsStr;
    ///
    /// let arena = mallocator::Mallocator::new()?;
    /// assert_eq!(arena.try_alloc_os_str(OsStr::new("a"))?, "a");
    /// # Ok::<(), mallocator::Error>(())
    /// ```
    #[inline]
    pub fn try_alloc_os_str(&self, text: &OsStr) -> Result<&OsStr, Error> {
        let bytes = self.try_alloc_slice_copy(text.as_encoded_bytes())?;
        // SAFETY: a copy of what an `OsStr` of this platform holds.
        Ok(unsafe { OsStr::from_encoded_bytes_unchecked(bytes) })
    }
}

/// Text that is being formatted into the arena, and why it failed.
struct Writing<'a> {
    builder: SliceBuilder<'a, u8>,
    error: Error,
}

impl Write for Writing<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.builder.extend(text.as_bytes()).map_err(|error| {
            self.error = error;
            fmt::Error
        })
    }
}
