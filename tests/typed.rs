//! Every typed method, fallible and not: what it makes, where, and what it does when there is no room.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

use std::ffi::{CString, OsStr};

use mallocator::{Error, Mallocator};

type Method = fn(&Mallocator, usize) -> Result<usize, Error>;

/// Each method that makes something of a size, packed: it says what size it made.
const EACH: [(&str, Method); 16] = [
    ("bytes", |arena, size| arena.try_alloc_bytes(&vec![7; size]).map(|made| made.len())),
    ("slice_copy", |arena, size| arena.try_alloc_slice_copy(&vec![7_u8; size]).map(|made| made.len())),
    ("slice_clone", |arena, size| arena.try_alloc_slice_clone(&vec![7_u8; size]).map(|made| made.len())),
    ("fill_with", |arena, size| arena.try_alloc_slice_fill_with(size, |_| 7_u8).map(|made| made.len())),
    ("fill_copy", |arena, size| arena.try_alloc_slice_fill_copy(size, 7_u8).map(|made| made.len())),
    ("fill_clone", |arena, size| arena.try_alloc_slice_fill_clone(size, &7_u8).map(|made| made.len())),
    ("fill_default", |arena, size| arena.try_alloc_slice_fill_default::<u8>(size).map(|made| made.len())),
    ("fill_iter", |arena, size| arena.try_alloc_slice_fill_iter(vec![7_u8; size]).map(|made| made.len())),
    ("iter", |arena, size| {
        arena.try_alloc_iter(vec![7_u8; size].into_iter().filter(|_| true)).map(|made| made.len())
    }),
    ("uninit_slice", |arena, size| arena.try_alloc_uninit_slice::<u8>(size).map(|made| made.len())),
    ("zeroed_bytes", |arena, size| arena.try_alloc_zeroed_bytes(size, 1).map(|made| made.len())),
    ("str", |arena, size| arena.try_alloc_str(&"x".repeat(size)).map(|made| made.len())),
    ("fmt", |arena, size| {
        let text = "x".repeat(size);
        let (begin, end) = text.split_at(size / 3 * 2);
        arena.try_alloc_fmt(format_args!("{begin}{end}")).map(|made| made.len())
    }),
    ("os_str", |arena, size| arena.try_alloc_os_str(OsStr::new(&"x".repeat(size))).map(OsStr::len)),
    // These two have a NUL behind what they were given.
    ("c_str", |arena, size| {
        let text = CString::new("x".repeat(size.saturating_sub(1))).unwrap();
        arena.try_alloc_c_str(&text).map(|made| made.to_bytes_with_nul().len())
    }),
    ("c_str_from", |arena, size| {
        let text = "x".repeat(size.saturating_sub(1));
        arena.alloc_c_str_from(&text).map(|made| made.to_bytes_with_nul().len())
    }),
];

#[test]
fn every_method_makes_what_it_was_asked_for() {
    let arena = Mallocator::with_size(1 << 20).unwrap();
    for (name, method) in EACH {
        for size in [1, 7, 100, 5000] {
            let used = arena.used();
            assert_eq!(method(&arena, size), Ok(size), "{name}");
            assert_eq!(arena.used(), used + size, "{name}");
        }
    }
}

#[test]
fn every_method_fills_the_arena_to_the_last_byte_and_no_more() {
    // Of three pages, so that what grows by doubling has to stop doubling.
    let size = 3 * mallocator::page_size();
    for (name, method) in EACH {
        let arena = Mallocator::with_size(size).unwrap();
        let refused = method(&arena, size + 1);
        assert!(matches!(refused, Err(Error::Exhausted { .. })), "{name}: {refused:?}");
        assert_eq!(arena.used(), 0, "{name}");
        assert_eq!(method(&arena, size), Ok(size), "{name}");
        assert_eq!(arena.available(), 0, "{name}");
        assert!(method(&arena, 1).is_err(), "{name}");
    }
}

/// What grows begins with more than it may need, where there is that much.
#[test]
fn every_method_takes_the_few_bytes_that_are_left() {
    for (name, method) in EACH {
        for left in [1, 3, 20, 63, 64, 65] {
            let arena = Mallocator::new().unwrap();
            arena.alloc_raw(arena.size() - left, 1).unwrap();
            assert!(matches!(method(&arena, left + 1), Err(Error::Exhausted { .. })), "{name} of {left}");
            assert_eq!(arena.available(), left, "{name}");
            assert_eq!(method(&arena, left), Ok(left), "{name}");
            assert_eq!(arena.available(), 0, "{name}");
        }
    }
}

#[test]
fn every_method_refuses_a_region_that_is_not_writable() {
    let protection = mallocator::Protection::READ;
    let arena = Mallocator::builder().protection(protection).build().unwrap();
    for (name, method) in EACH {
        for size in [0, 10] {
            assert_eq!(method(&arena, size), Err(Error::NotWritable { protection }), "{name}");
        }
    }
    assert_eq!(arena.used(), 0);
}

#[test]
fn values_are_where_they_should_be() {
    #[repr(align(256))]
    struct Wide(u8);
    let arena = Mallocator::new().unwrap();
    assert_eq!(arena.alloc_default::<[u64; 3]>(), &[0; 3]);
    assert_eq!(arena.try_alloc_default::<String>().unwrap(), "");
    assert_eq!(arena.alloc_uninit::<u32>().write(5), &5);
    assert_eq!(arena.alloc_with(|| "made"), &"made");
    assert_eq!(arena.alloc_try_with(|| Ok::<_, ()>(6)), Ok(&mut 6));
    assert_eq!(arena.try_alloc_try_with(|| Err::<u8, _>(7)), Ok(Err(7)));
    let wide = arena.alloc(Wide(9));
    assert_eq!((std::ptr::from_ref(wide).addr() % 256, wide.0), (0, 9));
    let zeroes = arena.alloc_zeroed_bytes(10, 1024);
    assert_eq!((zeroes.as_ptr().addr() % 1024, &*zeroes), (0, &[0; 10][..]));
    for align in [0, 3, usize::MAX] {
        assert_eq!(arena.try_alloc_zeroed_bytes(1, align), Err(Error::InvalidAlignment { align }));
    }
    let huge = isize::MAX as usize;
    assert!(matches!(arena.try_alloc_zeroed_bytes(huge, 2), Err(Error::Exhausted { .. })));
    assert!(matches!(
        arena.try_alloc_uninit_slice::<u64>(huge),
        Err(Error::Exhausted { size: usize::MAX, .. })
    ));
    assert!(matches!(
        arena.try_alloc_slice_fill_copy(huge, 1_u64),
        Err(Error::Exhausted { size: usize::MAX, .. })
    ));
    let places = arena.alloc_uninit_slice::<u16>(3);
    assert_eq!((places.len(), places.as_ptr().addr() % 2), (3, 0));
}

#[test]
fn slices_hold_what_they_were_given() {
    let arena = Mallocator::new().unwrap();
    assert_eq!(arena.alloc_slice_clone(&[vec![1], vec![2, 3]]), [vec![1], vec![2, 3]]);
    assert_eq!(arena.alloc_slice_fill_with(5, |index| index * index), [0, 1, 4, 9, 16]);
    assert_eq!(arena.alloc_slice_fill_copy(3, 'x'), ['x'; 3]);
    assert_eq!(arena.alloc_slice_fill_clone(2, &String::from("y")), ["y", "y"]);
    assert_eq!(arena.alloc_slice_fill_default::<Option<u8>>(2), [None, None]);
    assert_eq!(arena.alloc_slice_fill_iter([1_u128, 2, 3]), [1, 2, 3]);
    assert_eq!(arena.alloc_iter("a b c".split(' ')), ["a", "b", "c"]);
    let long = arena.alloc_iter((0..9000_u32).filter(|number| number % 2 == 1));
    assert!(long.iter().copied().eq((1..9000).step_by(2)));
    assert_eq!(
        arena.offset_of(long).map(|offset| offset + 18_000),
        Some(arena.used()),
        "nothing is left over"
    );
    assert_eq!(arena.alloc_iter([0_u8; 0]), [0_u8; 0]);
}

#[test]
fn text_is_written_as_it_is() {
    let arena = Mallocator::new().unwrap();
    assert_eq!(arena.alloc_fmt(format_args!("{}-{:?}-{:05.1}", "a", "é", 1.25)), "a-\"é\"-001.2");
    assert_eq!(arena.alloc_fmt(format_args!("")), "");
    let used = arena.used();
    assert_eq!((&*arena.alloc_fmt(format_args!("whole")), arena.used()), ("whole", used + 5));
    assert_eq!(arena.alloc_c_str(c"name").to_bytes_with_nul(), b"name\0");
    assert_eq!(arena.alloc_c_str_from("naïve").unwrap().to_str(), Ok("naïve"));
    let before = arena.used();
    let refused = arena.alloc_c_str_from("ab\0c").unwrap_err();
    assert_eq!((refused, arena.used()), (Error::InteriorNul { index: 2 }, before));
    assert!(refused.to_string().contains("byte 2") && Error::Formatting.to_string().contains("formatting"));
    assert_eq!(arena.alloc_os_str(OsStr::new("päth")), "päth");
    assert_eq!(arena.try_alloc_os_str(OsStr::new("")).unwrap(), "");
}

#[test]
fn boxes_drop_what_they_hold() {
    use std::rc::Rc;
    let arena = Mallocator::new().unwrap();
    let shared = Rc::new(5);
    let boxed = arena.alloc_boxed(Rc::clone(&shared));
    assert_eq!((Rc::strong_count(&shared), **boxed), (2, 5));
    drop(boxed);
    assert_eq!((Rc::strong_count(&shared), arena.used()), (1, 0));
    let large = (Rc::clone(&shared), [0_u8; 100_000]);
    assert!(arena.try_alloc_boxed(large).is_err());
    assert_eq!(Rc::strong_count(&shared), 1, "a refused value is dropped");
    let add_one = arena.alloc_boxed(move || *shared + 1);
    #[cfg(not(feature = "nightly"))]
    let object: mallocator::Box<'_, dyn Fn() -> i32> = allocator_api2::unsize_box!(add_one);
    #[cfg(feature = "nightly")]
    let object: mallocator::Box<'_, dyn Fn() -> i32> = add_one;
    assert_eq!(object(), 6);
}
