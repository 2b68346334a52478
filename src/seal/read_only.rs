//! Types that are only read through a shared reference: what a sealed arena may hold.

use std::ffi::{CStr, OsStr};
use std::marker::PhantomData;
use std::num::NonZero;
use std::path::Path;

/// A type that is only read through a shared reference, and so is whatever it leads to: it has no `Cell`, no atomic, no
/// lock and no `&mut`. The root of an arena must be of such a type to be [sealed](crate::Rooted::seal) with the arena, as a
/// write to sealed pages is a fault.
///
/// Structures and enumerations of one's own are made such types by [`read_only!`](crate::read_only!), which needs no
/// `unsafe`.
///
/// # Safety
/// Nothing that can be reached from a `&Self` by safe code, through fields and references, is ever written: not by a method,
/// not by a drop, not by another thread.
///
/// ```
/// use mallocator::ReadOnly;
///
/// fn is_read_only<T: ReadOnly + ?Sized>() {}
/// is_read_only::<Option<(&str, &[u32])>>();
/// ```
///
/// ```compile_fail,E0277
/// fn is_read_only<T: mallocator::ReadOnly>() {}
/// is_read_only::<&std::cell::Cell<u32>>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` may be written through a shared reference, or is not known to be only read",
    note = "a sealed arena cannot be written: wrap the definition of a type of your own in \
            `mallocator::read_only! {{ ... }}`, and use no `Cell`, atomic, lock or `&mut` in it",
    note = "in place of a `Vec`, `String` or `Box` have a slice, a `&str` or a reference in the arena"
)]
pub unsafe trait ReadOnly {
    /// Where [`read_only!`](crate::read_only) looks at every field. Nobody calls it.
    #[doc(hidden)]
    fn every_field_is_read_only(&self)
    where
        Self: Sized,
    {
    }
}

/// What [`read_only!`](crate::read_only!) uses, under a name that nobody can give another meaning.
#[doc(hidden)]
pub mod for_read_only {
    pub use std::prelude::v1::derive;
}

macro_rules! plain {
    ($($type:ty),*) => {
        $(
            // SAFETY: plain data.
            unsafe impl ReadOnly for $type {}
        )*
    };
}
plain!((), bool, char, str, CStr, OsStr, Path);
plain!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);
plain!(NonZero<u8>, NonZero<u16>, NonZero<u32>, NonZero<u64>, NonZero<u128>, NonZero<usize>);
plain!(NonZero<i8>, NonZero<i16>, NonZero<i32>, NonZero<i64>, NonZero<i128>, NonZero<isize>);

// SAFETY: it leads to a `T` and no further.
unsafe impl<T: ReadOnly + ?Sized> ReadOnly for &T {}
// SAFETY: there is nothing in it.
unsafe impl<T: ?Sized> ReadOnly for PhantomData<T> {}
// SAFETY: it is made of these.
unsafe impl<T: ReadOnly> ReadOnly for [T] {}
// SAFETY: as above.
unsafe impl<T: ReadOnly, const N: usize> ReadOnly for [T; N] {}
// SAFETY: as above.
unsafe impl<T: ReadOnly> ReadOnly for Option<T> {}
// SAFETY: as above.
unsafe impl<T: ReadOnly, E: ReadOnly> ReadOnly for Result<T, E> {}

macro_rules! tuple {
    ($($type:ident),*) => {
        // SAFETY: it is made of these.
        unsafe impl<$($type: ReadOnly),*> ReadOnly for ($($type,)*) {}
    };
}
tuple!(A);
tuple!(A, B);
tuple!(A, B, C);
tuple!(A, B, C, D);
tuple!(A, B, C, D, E);
tuple!(A, B, C, D, E, F);
tuple!(A, B, C, D, E, F, G);
tuple!(A, B, C, D, E, F, G, H);

/// Defines a structure or an enumeration that is [`ReadOnly`], if all its fields are.
///
/// It takes one definition, with named fields or variants; with lifetimes and without other parameters; with documentation,
/// then one `#[derive(...)]`, and without other attributes, which could change what is checked here.
///
/// ```
/// mallocator::read_only! {
///     /// A tree of sums.
///     #[derive(Debug, PartialEq)]
///     pub enum Tree<'a> {
///         /// A number.
///         Leaf(i64),
///         /// The sum of these.
///         Sum { terms: &'a [Tree<'a>] },
///         /// Nothing.
///         Zero,
///     }
/// }
/// mallocator::read_only! {
///     struct Named<'a> {
///         name: &'a str,
///         tree: &'a Tree<'a>,
///     }
/// }
///
/// let arena = mallocator::Mallocator::new()?;
/// let tree = arena.alloc(Tree::Sum { terms: arena.alloc_slice_fill_with(3, |n| Tree::Leaf(n as i64)) });
/// let named = arena.alloc(Named { name: "three", tree });
/// assert!(matches!(named.tree, Tree::Sum { terms: [Tree::Leaf(0), ..] }));
/// # Ok::<(), mallocator::Error>(())
/// ```
///
/// ```compile_fail,E0277
/// mallocator::read_only! {
///     struct Counted<'a> {
///         name: &'a str,
///         uses: std::cell::Cell<u32>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! read_only {
    (
        $(#[doc = $($doc:tt)*])*
        $(#[derive($($derive:path),* $(,)?)])?
        $visibility:vis struct $name:ident $(<$($lifetime:lifetime),* $(,)?>)? {
            $($(#[doc = $($field_doc:tt)*])* $field_visibility:vis $field:ident: $type:ty),* $(,)?
        }
    ) => {
        $(#[doc = $($doc)*])*
        $(#[$crate::for_read_only::derive($($derive),*)])?
        $visibility struct $name $(<$($lifetime),*>)? {
            $($(#[doc = $($field_doc)*])* $field_visibility $field: $type),*
        }
        // SAFETY: every field is, which is checked inside on the fields that there are, whatever their types were written as.
        unsafe impl<$($($lifetime),*)?> $crate::ReadOnly for $name<$($($lifetime),*)?> {
            fn every_field_is_read_only(&self) {
                let Self { $($field: _),* } = *self;
                $($crate::check_field_for_read_only!($field, &self.$field);)*
            }
        }
    };
    (
        $(#[doc = $($doc:tt)*])*
        $(#[derive($($derive:path),* $(,)?)])?
        $visibility:vis enum $name:ident $(<$($lifetime:lifetime),* $(,)?>)? {
            $(
                $(#[doc = $($variant_doc:tt)*])*
                $variant:ident
                $(($($(#[doc = $($item_doc:tt)*])* $item:ty),* $(,)?))?
                $({ $($(#[doc = $($field_doc:tt)*])* $field:ident: $type:ty),* $(,)? })?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $($doc)*])*
        $(#[$crate::for_read_only::derive($($derive),*)])?
        $visibility enum $name $(<$($lifetime),*>)? {
            $(
                $(#[doc = $($variant_doc)*])*
                $variant
                $(($($(#[doc = $($item_doc)*])* $item),*))?
                $({ $($(#[doc = $($field_doc)*])* $field: $type),* })?
            ),*
        }
        // SAFETY: as above, with every field of every variant.
        unsafe impl<$($($lifetime),*)?> $crate::ReadOnly for $name<$($($lifetime),*)?> {
            fn every_field_is_read_only(&self) {
                match *self {
                    $(Self::$variant { .. } => {})*
                }
                $(
                    $($crate::check_items_for_read_only!(self $variant [] $($item),*);)?
                    $(
                        if let Self::$variant { $($field: _),* } = *self {}
                        $(
                            if let Self::$variant { $field: ref field_for_read_only, .. } = *self {
                                $crate::check_field_for_read_only!($field, field_for_read_only);
                            }
                        )*
                    )?
                )*
            }
        }
    };
}

/// Compiles for a field that is only read. The type is that of the field there is: the tokens that it was written as stand
/// in the definition and nowhere else, as a macro among them may expand to another type each time.
#[doc(hidden)]
#[macro_export]
macro_rules! check_field_for_read_only {
    ($name:ident, $field:expr) => {
        // The function has the caller's name, so that an error points at it. Its argument stands outside, where that name
        // means nothing else.
        ({
            #[allow(non_snake_case)]
            fn $name<T: $crate::ReadOnly + ?Sized>(_: &T) {}
            $name
        })($field)
    };
}

/// The same for every field of a variant whose fields have no names.
#[doc(hidden)]
#[macro_export]
macro_rules! check_items_for_read_only {
    // Of the type it only counts that there is one. The name is another in each expansion, though always written the same. It
    // is a long one, as it must not be that of a constant of the caller.
    ($value:ident $variant:ident [$($field:ident)*] $item:ty $(, $rest:ty)*) => {
        $crate::check_items_for_read_only!($value $variant [$($field)* field_for_read_only] $($rest),*)
    };
    ($value:ident $variant:ident [$($field:ident)*]) => {
        if let Self::$variant($(ref $field),*) = *$value {
            $($crate::check_field_for_read_only!($variant, $field);)*
        }
    };
}
