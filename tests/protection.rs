//! Page protection: the numbers of the Windows API, what each platform grants, and what the system says of the pages.

mod common;

use common::{Page, check_pages, page_at, range_of};
use mallocator::{Error, Mallocator, Protection, ProtectionError};

const PLAIN: [(Protection, u32, &str); 6] = [
    (Protection::NO_ACCESS, 0x01, "NO_ACCESS"),
    (Protection::READ, 0x02, "READ"),
    (Protection::READ_WRITE, 0x04, "READ_WRITE"),
    (Protection::EXECUTE, 0x10, "EXECUTE"),
    (Protection::READ_EXECUTE, 0x20, "READ_EXECUTE"),
    (Protection::READ_WRITE_EXECUTE, 0x40, "READ_WRITE_EXECUTE"),
];

const MODIFIERS: [(Protection, u32, &str); 4] = [
    (Protection::GUARD, 0x100, "GUARD"),
    (Protection::NO_CACHE, 0x200, "NO_CACHE"),
    (Protection::WRITE_COMBINE, 0x400, "WRITE_COMBINE"),
    (Protection::TARGETS_INVALID, 0x4000_0000, "TARGETS_INVALID"),
];

/// Every set of modifiers, with its number and the rule of the Windows API for it.
fn combinations() -> impl Iterator<Item = (Protection, u32, bool)> {
    PLAIN.into_iter().flat_map(|(access, number, _)| {
        (0..16_usize).map(move |set| {
            let chosen = MODIFIERS.iter().enumerate().filter(|(index, _)| set & 1 << index != 0);
            let (protection, number) = chosen
                .fold((access, number), |(protection, number), (_, modifier)| {
                    (protection | modifier.0, number | modifier.1)
                });
            let special = (set & 0b111).count_ones();
            let targets = set & 0b1000 != 0;
            let exists = special <= 1
                && (special == 0 || access != Protection::NO_ACCESS)
                && (!targets || access.is_executable());
            (protection, number, exists)
        })
    })
}

#[test]
fn every_combination_goes_to_its_win32_number_and_back() {
    let mut existing = 0;
    for (protection, number, exists) in combinations() {
        assert_eq!(protection.to_win32().ok(), exists.then_some(number), "{protection}");
        assert_eq!(Protection::from_win32(number).ok(), exists.then_some(protection), "{number:#x}");
        existing += usize::from(exists);
    }
    assert_eq!(existing, 33);
    assert_eq!(Protection::TARGETS_INVALID, Protection::TARGETS_NO_UPDATE);
}

#[test]
fn numbers_that_are_no_protection_are_refused_by_name() {
    assert_eq!(Protection::from_win32(0x08), Err(ProtectionError::WriteCopy));
    assert_eq!(Protection::from_win32(0x80), Err(ProtectionError::ExecuteWriteCopy));
    assert_eq!(Protection::from_win32(0x108), Err(ProtectionError::WriteCopy));
    for (number, name) in [(0x08, "PAGE_WRITECOPY"), (0x80, "PAGE_EXECUTE_WRITECOPY")] {
        let text = Protection::from_win32(number).unwrap_err().to_string();
        assert!(text.contains(name) && text.contains("VirtualAlloc"), "{text}");
    }
    for page in [0, 0x03, 0x06, 0x100, 0x800, 0x44, 0x8000_0004, u32::MAX] {
        assert_eq!(Protection::from_win32(page), Err(ProtectionError::Unknown { page }), "{page:#x}");
    }
}

#[test]
fn bits_that_mean_nothing_are_refused() {
    let protection = Protection::from_bits_retain(0x83);
    assert_eq!(protection.to_win32(), Err(ProtectionError::UnknownBits { bits: 0x80 }));
    let refused = Mallocator::builder().protection(protection).build();
    assert!(matches!(refused, Err(Error::InvalidProtection(ProtectionError::UnknownBits { .. }))));
}

#[test]
fn protections_have_readable_names() {
    for (protection, _, name) in PLAIN {
        assert_eq!(protection.to_string(), name);
        assert_eq!(format!("{protection:?}"), name);
    }
    let both = Protection::READ_EXECUTE | Protection::TARGETS_INVALID;
    assert_eq!(both.to_string(), "READ_EXECUTE | TARGETS_INVALID");
    assert_eq!((Protection::GUARD).to_string(), "NO_ACCESS | GUARD");
}

#[test]
fn writable_readable_and_executable_are_what_ordinary_access_needs() {
    for (protection, _, exists) in combinations().filter(|(_, _, exists)| *exists) {
        assert!(exists);
        let access = protection & Protection::READ_WRITE_EXECUTE;
        let ordinary =
            !protection.intersects(Protection::GUARD | Protection::NO_CACHE | Protection::WRITE_COMBINE);
        let writable = [Protection::READ_WRITE, Protection::READ_WRITE_EXECUTE].contains(&access);
        assert_eq!(protection.is_writable(), writable && ordinary, "{protection}");
        let readable = ![Protection::NO_ACCESS, Protection::EXECUTE].contains(&access);
        assert_eq!(
            protection.is_readable(),
            readable && !protection.contains(Protection::GUARD),
            "{protection}"
        );
        let executable =
            [Protection::EXECUTE, Protection::READ_EXECUTE, Protection::READ_WRITE_EXECUTE].contains(&access);
        assert_eq!(protection.is_executable(), executable, "{protection}");
    }
}

#[test]
fn write_without_read_exists_nowhere() {
    let write_only = Protection::READ_WRITE - Protection::READ;
    for protection in [write_only, write_only | Protection::EXECUTE] {
        assert_eq!(protection.to_win32(), Err(ProtectionError::WriteWithoutRead));
        let refused = Mallocator::builder().protection(protection).build().unwrap_err();
        assert_eq!(refused, Error::InvalidProtection(ProtectionError::WriteWithoutRead));
    }
}

#[test]
fn combinations_that_do_not_exist_are_refused_at_build() {
    for (protection, _, exists) in combinations() {
        if !exists {
            let refused = Mallocator::builder().protection(protection).build().unwrap_err();
            assert!(matches!(refused, Error::InvalidProtection(_)), "{protection}: {refused}");
            assert!(refused.to_string().contains(&protection.to_string()), "{refused}");
        }
    }
}

#[test]
fn every_plain_protection_is_what_the_system_says_of_the_pages() {
    for (protection, _, _) in PLAIN {
        let arena = Mallocator::builder().size(1 << 20).protection(protection).build().unwrap();
        assert_eq!(arena.protection(), protection);
        check_pages(&arena);
        let block = arena.alloc_raw(500_000, 64).unwrap();
        assert_eq!((arena.used(), block.addr().get() % 64), (500_000, 0));
        assert!(arena.committed() >= 500_000);
        check_pages(&arena);
    }
}

#[test]
fn modifiers_are_granted_where_they_exist_and_named_where_they_do_not() {
    for (protection, _, exists) in combinations() {
        let modified = MODIFIERS.into_iter().find(|(modifier, _, _)| protection.contains(*modifier));
        let (Some((_, _, name)), true) = (modified, exists) else { continue };
        let built = Mallocator::builder().protection(protection).build();
        if cfg!(windows) {
            let arena = built.unwrap();
            assert_eq!(arena.protection(), protection);
            arena.alloc_raw(100, 1).unwrap();
            let writable = protection.is_writable();
            assert_eq!(arena.try_alloc(1).is_ok(), writable, "{protection}");
        } else {
            let error = built.unwrap_err();
            assert!(matches!(error, Error::Unsupported { option } if option.ends_with(name)), "{error}");
            assert!(error.to_string().contains(std::env::consts::OS), "{error}");
        }
    }
}

#[test]
fn a_region_that_is_not_writable_hands_out_addresses_and_nothing_else() {
    let refusing = [Protection::NO_ACCESS, Protection::READ, Protection::EXECUTE, Protection::READ_EXECUTE];
    for protection in refusing {
        let arena = Mallocator::builder().protection(protection).build().unwrap();
        let refused = Error::NotWritable { protection };
        assert_eq!(arena.try_alloc(1), Err(refused));
        assert_eq!(arena.try_alloc(()), Err(refused));
        assert_eq!(arena.try_alloc_with(|| -> u8 { panic!("is not called") }), Err(refused));
        assert_eq!(arena.try_alloc_layout(std::alloc::Layout::new::<u8>()), Err(refused));
        assert_eq!(arena.try_alloc_layout(std::alloc::Layout::new::<()>()), Err(refused));
        assert_eq!(arena.try_alloc_bytes(&[1]), Err(refused));
        assert_eq!(arena.try_alloc_slice_copy::<u8>(&[]), Err(refused));
        assert_eq!(arena.try_alloc_str("a"), Err(refused));
        assert_eq!(arena.alloc_string::<u16>("a"), Err(refused));
        assert_eq!(arena.alloc_string_raw("a", 1), Err(refused));
        assert_eq!(arena.alloc_byte_string("00"), Err(refused));
        assert_eq!(arena.used(), 0);
        assert!(
            refused.to_string().contains(&protection.to_string())
                && refused.to_string().contains("alloc_raw")
        );
        // The addresses are as they would be anywhere.
        arena.alloc_raw(10, 1).unwrap();
        let block = arena.alloc_raw(100, 32).unwrap();
        assert_eq!(block.addr().get(), arena.base().addr().get() + 32);
        assert!(matches!(arena.alloc_raw(1 << 20, 1), Err(Error::Exhausted { .. })));
        assert_eq!(arena.used(), 132);
    }
}

#[test]
fn protect_changes_whole_pages_and_says_what_they_were() {
    let arena = Mallocator::with_size(1 << 20).unwrap();
    let page = mallocator::page_size();
    let base = arena.base().addr().get();
    arena.alloc_bytes(&vec![7; 8 * page]);
    let state = |index: usize| page_at(base + index * page);
    let protect = |range, protection| {
        // SAFETY: no reference into the arena is alive.
        unsafe { arena.protect(range, protection) }
    };
    assert_eq!(protect(page + 1..2 * page + 1, Protection::READ), Ok(Protection::READ_WRITE));
    let (rw, r, rx) = (
        Page::Accessible(Protection::READ_WRITE),
        Page::Accessible(Protection::READ),
        Page::Accessible(Protection::READ_EXECUTE),
    );
    assert_eq!([state(0), state(1), state(2), state(3)], [rw, r, r, rw]);
    assert_eq!(arena.protection(), Protection::READ_WRITE, "a part is not the whole");
    assert_eq!(protect(2 * page..4 * page, Protection::READ_EXECUTE), Ok(Protection::READ));
    assert_eq!([state(0), state(1), state(2), state(3), state(4)], [rw, r, rx, rx, rw]);
    assert_eq!(
        protect(4 * page..4 * page, Protection::READ),
        Ok(Protection::READ_WRITE),
        "empty: only asked"
    );
    assert_eq!(state(4), rw);
    assert_eq!(protect(0..5 * page, Protection::NO_ACCESS), Ok(Protection::READ_WRITE));
    assert_eq!([0, 3, 4].map(state), [Page::Inaccessible; 3]);
    assert_eq!(state(5), rw);
    assert_eq!(protect(page..2 * page, Protection::READ_WRITE), Ok(Protection::NO_ACCESS));
    // The contents are what they were.
    // SAFETY: the page can be read and nobody writes to it.
    assert_eq!(unsafe { arena.base().add(page).read() }, 7);
}

#[test]
fn protect_commits_what_it_covers() {
    let arena = Mallocator::with_size(8 << 20).unwrap();
    let committed = arena.committed();
    // SAFETY: no reference into the arena is alive.
    unsafe { arena.protect(committed + 1..committed + 2, Protection::READ).unwrap() };
    assert!(arena.committed() > committed);
    let base = arena.base().addr().get();
    assert_eq!(page_at(base + committed), Page::Accessible(Protection::READ));
    assert_eq!(page_at(base + committed - 1), Page::Accessible(Protection::READ_WRITE));
}

#[test]
fn protecting_the_whole_changes_what_the_arena_will_do() {
    let mut arena = Mallocator::with_size(1 << 20).unwrap();
    let text = std::ptr::from_ref(arena.alloc_str("kept"));
    let size = arena.size();
    // SAFETY: what is in the arena is only read from here on.
    let before = unsafe { arena.protect(0..size, Protection::READ_EXECUTE) };
    assert_eq!((before, arena.protection()), (Ok(Protection::READ_WRITE), Protection::READ_EXECUTE));
    check_pages(&arena);
    assert_eq!(arena.try_alloc(1), Err(Error::NotWritable { protection: Protection::READ_EXECUTE }));
    // What is committed from here on follows.
    arena.alloc_raw(500_000, 1).unwrap();
    check_pages(&arena);
    // SAFETY: as above.
    assert_eq!(unsafe { arena.protect(0..size, Protection::READ_WRITE) }, Ok(Protection::READ_EXECUTE));
    check_pages(&arena);
    *arena.alloc(1) += 1;
    // SAFETY: still handed out, and nobody writes to it.
    assert_eq!(unsafe { &*text }, "kept");
    arena.reset();
    arena.alloc_bytes(&vec![1; size]);
    check_pages(&arena);
}

#[test]
fn what_was_trimmed_comes_back_with_the_protection_of_the_region() {
    let mut arena = Mallocator::with_size(1 << 20).unwrap();
    let page = mallocator::page_size();
    // SAFETY: nothing is allocated.
    unsafe { arena.protect(page..2 * page, Protection::READ).unwrap() };
    arena.trim();
    arena.alloc_bytes(&vec![1; 4 * page]);
    check_pages(&arena);
    // SAFETY: no reference into the arena is alive.
    assert_eq!(unsafe { arena.protect(page..2 * page, Protection::READ_WRITE) }, Ok(Protection::READ_WRITE));
}

#[test]
fn ranges_and_protections_that_make_no_sense_change_nothing() {
    let arena = Mallocator::new().unwrap();
    let size = arena.size();
    let protect = |range, protection| {
        // SAFETY: no reference into the arena is alive.
        unsafe { arena.protect(range, protection) }
    };
    assert_eq!(protect(0..size + 1, Protection::READ), Err(Error::RangePastEnd { end: size + 1, size }));
    assert_eq!(protect(5..usize::MAX, Protection::READ), Err(Error::RangePastEnd { end: usize::MAX, size }));
    #[expect(clippy::reversed_empty_ranges, reason = "that is the mistake")]
    let reversed = protect(5..4, Protection::READ);
    assert_eq!(reversed, Err(Error::RangeReversed { start: 5, end: 4 }));
    assert_eq!(protect(size..size, Protection::READ), Ok(Protection::READ_WRITE));
    let invalid = protect(0..1, Protection::GUARD);
    assert!(matches!(invalid, Err(Error::InvalidProtection(ProtectionError::ModifierNeedsAccess { .. }))));
    if !cfg!(windows) {
        let unsupported = protect(0..1, Protection::READ | Protection::GUARD);
        assert_eq!(unsupported, Err(Error::Unsupported { option: "Protection::GUARD" }));
    }
    check_pages(&arena);
    assert_eq!(range_of(&arena).len(), size);
}

/// On Windows a guard page raises its exception once; safe methods never touch one.
#[cfg(windows)]
#[test]
fn guard_pages_are_not_writable_and_the_system_has_them() {
    let protection = Protection::READ_WRITE | Protection::GUARD;
    let arena = Mallocator::builder().protection(protection).build().unwrap();
    assert_eq!(page_at(arena.base().addr().get()), Page::Accessible(protection));
    assert_eq!(arena.try_alloc(1), Err(Error::NotWritable { protection }));
    assert_eq!(page_at(arena.base().addr().get()), Page::Accessible(protection));
}

#[test]
fn code_written_and_then_made_executable_runs() {
    type Add = unsafe extern "C" fn(i32, i32) -> i32;
    let code = if cfg!(target_arch = "aarch64") {
        "00 00 01 0b  c0 03 5f d6" // add w0, w0, w1; ret
    } else if cfg!(windows) {
        "8d 04 11  c3" // lea eax, [rcx + rdx]; ret
    } else {
        "8d 04 37  c3" // lea eax, [rdi + rsi]; ret
    };
    let arena = Mallocator::new().unwrap();
    for round in 0..100 {
        let entry = arena.alloc_byte_string(code).unwrap().as_ptr();
        for protection in [Protection::READ_EXECUTE, Protection::EXECUTE] {
            // SAFETY: no reference into the arena is used, and it is made writable again before it is written.
            unsafe { arena.protect(0..arena.size(), protection).unwrap() };
            // SAFETY: the bytes are such a function, and can be executed.
            let sum = unsafe { std::mem::transmute::<*const u8, Add>(entry)(round, 1000) };
            assert_eq!(sum, round + 1000);
        }
        // SAFETY: as above.
        unsafe { arena.protect(0..arena.size(), Protection::READ_WRITE).unwrap() };
        // The next code lands on the same bytes: stale instructions would show.
        let mark = arena.mark();
        // SAFETY: the code is not run again.
        unsafe { arena.rewind(mark) };
    }
}
