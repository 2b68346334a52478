//! Every typed method, called on whatever has it.

/// What is to be seen of each value for as long as it is held.
pub(crate) type Checks<'a> = Vec<Box<dyn Fn() -> bool + 'a>>;

/// Calls every method that puts something into an arena on `$arena`, with values that depend on `$tag`, and pushes a check of
/// each onto `$checks`.
macro_rules! call_each {
    ($arena:expr, $tag:expr, $checks:expr) => {{
        let (arena, tag, checks) = ($arena, u8::from($tag), $checks);
        let wide = u64::from(tag) * 0x0101_0101_0101;
        let text = format!("text of {tag}");
        let length = text.len();
        macro_rules! hold {
            ($value:expr, $expected:expr) => {{
                let (value, expected) = (&*$value, $expected);
                assert!(*value == *expected);
                checks.push(Box::new(move || *value == *expected));
            }};
        }
        hold!(arena.alloc(wide), Box::new(wide));
        hold!(arena.try_alloc(tag)?, Box::new(tag));
        hold!(arena.alloc_with(|| [wide; 20]), Box::new([wide; 20]));
        hold!(arena.try_alloc_with(|| (tag, wide))?, Box::new((tag, wide)));
        hold!(arena.alloc_default::<[u32; 5]>(), Box::new([0; 5]));
        hold!(arena.try_alloc_default::<u128>()?, Box::new(0));
        hold!(arena.alloc_uninit::<u64>().write(wide), Box::new(wide));
        hold!(arena.try_alloc_uninit::<u8>()?.write(tag), Box::new(tag));
        hold!(arena.alloc_try_with(|| Ok::<_, ()>(wide)).unwrap(), Box::new(wide));
        hold!(arena.try_alloc_try_with(|| Ok::<_, ()>(tag))?.unwrap(), Box::new(tag));
        assert_eq!(arena.try_alloc_try_with(|| Err::<[u8; 77], _>(tag))?, Err(tag));
        hold!(arena.alloc_slice_copy(&[wide; 9]), vec![wide; 9]);
        hold!(arena.try_alloc_slice_copy(&[tag; 99])?, vec![tag; 99]);
        hold!(arena.alloc_slice_clone(&vec![text.clone(); 2]), vec![text.clone(); 2]);
        hold!(arena.try_alloc_slice_clone(&[Some(tag); 3])?, vec![Some(tag); 3]);
        hold!(
            arena.alloc_slice_fill_with(30, |index| wide + index as u64),
            (wide..wide + 30).collect::<Vec<_>>()
        );
        hold!(arena.try_alloc_slice_fill_with(3, |_| tag)?, vec![tag; 3]);
        hold!(arena.alloc_slice_fill_copy(40, wide), vec![wide; 40]);
        hold!(arena.try_alloc_slice_fill_copy(1001, tag)?, vec![tag; 1001]);
        hold!(arena.alloc_slice_fill_clone(2, &text), vec![text.clone(); 2]);
        hold!(arena.try_alloc_slice_fill_clone(7, &tag)?, vec![tag; 7]);
        hold!(arena.alloc_slice_fill_default::<u16>(21), vec![0; 21]);
        hold!(arena.try_alloc_slice_fill_default::<u8>(3)?, vec![0; 3]);
        hold!(arena.alloc_slice_fill_iter([wide, 1, 2]), vec![wide, 1, 2]);
        hold!(arena.try_alloc_slice_fill_iter(vec![tag; 5])?, vec![tag; 5]);
        let odd = |number: &u64| number % 2 == 1;
        hold!(
            arena.alloc_iter((wide..wide + 500).filter(odd)),
            (wide..wide + 500).filter(odd).collect::<Vec<_>>()
        );
        hold!(arena.try_alloc_iter(text.bytes())?, text.clone().into_bytes());
        let uninit = arena.alloc_uninit_slice::<u32>(11);
        for place in &mut *uninit {
            place.write(tag.into());
        }
        // SAFETY: all of it was just written.
        hold!(unsafe { &*(std::ptr::from_ref(uninit) as *const [u32]) }, vec![u32::from(tag); 11]);
        assert_eq!(arena.try_alloc_uninit_slice::<u8>(3)?.len(), 3);
        hold!(arena.alloc_zeroed_bytes(300, 16), vec![0; 300]);
        hold!(arena.try_alloc_zeroed_bytes(3, 64)?, vec![0; 3]);
        hold!(arena.alloc_bytes(text.as_bytes()), text.clone().into_bytes());
        hold!(arena.try_alloc_bytes(&[tag])?, vec![tag]);
        hold!(arena.alloc_str(&text), text.clone());
        hold!(arena.try_alloc_str(&text)?, text.clone());
        hold!(arena.alloc_fmt(format_args!("{tag}:{wide}")), format!("{tag}:{wide}"));
        hold!(arena.try_alloc_fmt(format_args!("{text}"))?, text.clone());
        let c_text = std::ffi::CString::new(text.clone()).unwrap();
        hold!(arena.alloc_c_str(&c_text), c_text.clone());
        hold!(arena.try_alloc_c_str(&c_text)?, c_text.clone());
        hold!(arena.alloc_c_str_from(&text)?, c_text.clone());
        let os_text = std::ffi::OsString::from(text.clone());
        hold!(arena.alloc_os_str(&os_text), os_text.clone());
        hold!(arena.try_alloc_os_str(&os_text)?, os_text.clone());
        assert_eq!(arena.alloc_string::<u16>(&text)?.len(), length + 1);
        hold!(arena.alloc_string::<u8>(&text)?, c_text.into_bytes_with_nul());
        assert_eq!(arena.alloc_string_raw(&text, 4)?.len(), 4 * (length + 1));
        hold!(arena.alloc_byte_string(&format!("{tag:02x} ff"))?, vec![tag, 0xff]);
        assert_eq!(arena.alloc_raw(10, 64)?.cast::<u8>().addr().get() % 64, 0);
        let layout = std::alloc::Layout::from_size_align(33, 32).unwrap();
        assert_eq!(arena.alloc_layout(layout).addr().get() % 32, 0);
        assert_eq!(arena.try_alloc_layout(layout)?.addr().get() % 32, 0);
        let boxed = (arena.alloc_boxed(text.clone()), arena.try_alloc_boxed(wide)?);
        assert_eq!((&**boxed.0, *boxed.1), (&*text, wide));
    }};
}
pub(crate) use call_each;
