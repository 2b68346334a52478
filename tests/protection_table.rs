//! `docs/protections.md`, walked row by row on the platform at hand.

mod common;

use std::collections::BTreeSet;

use common::{Page, page_at};
use mallocator::{Error, Mallocator, Protection, ProtectionError};

const TABLE: &str = include_str!("../docs/protections.md");

/// The columns, in order.
const COLUMNS: [&str; 11] = [
    "constant",
    "number",
    "here",
    "beside",
    "Windows",
    "Linux, Android, BSDs",
    "macOS, x86-64",
    "macOS, Apple silicon",
    "stores by safe methods",
    "`bytes` of a seal",
    "`function` of a seal",
];
const CONSTANT: usize = 0;
const NUMBER: usize = 1;
const HERE: usize = 2;
const BESIDE: usize = 3;
const WINDOWS: usize = 4;
const LINUX: usize = 5;
const MACOS: usize = 6;
const APPLE_SILICON: usize = 7;
const STORES: usize = 8;
const BYTES: usize = 9;
const FUNCTION: usize = 10;

const THIS_PLATFORM: usize = if cfg!(windows) {
    WINDOWS
} else if cfg!(all(target_vendor = "apple", target_arch = "aarch64")) {
    APPLE_SILICON
} else if cfg!(target_vendor = "apple") {
    MACOS
} else {
    LINUX
};

/// Every constant that the reference has for `VirtualAlloc` and `VirtualProtect`.
const CONSTANTS: [(&str, u32); 18] = [
    ("PAGE_NOACCESS", 0x01),
    ("PAGE_READONLY", 0x02),
    ("PAGE_READWRITE", 0x04),
    ("PAGE_WRITECOPY", 0x08),
    ("PAGE_EXECUTE", 0x10),
    ("PAGE_EXECUTE_READ", 0x20),
    ("PAGE_EXECUTE_READWRITE", 0x40),
    ("PAGE_EXECUTE_WRITECOPY", 0x80),
    ("PAGE_GUARD", 0x100),
    ("PAGE_NOCACHE", 0x200),
    ("PAGE_WRITECOMBINE", 0x400),
    ("PAGE_TARGETS_INVALID", 0x4000_0000),
    ("PAGE_TARGETS_NO_UPDATE", 0x4000_0000),
    ("PAGE_ENCLAVE_DECOMMIT", 0x1000_0000),
    ("PAGE_ENCLAVE_SS_FIRST", 0x1000_0001),
    ("PAGE_ENCLAVE_SS_REST", 0x1000_0002),
    ("PAGE_ENCLAVE_UNVALIDATED", 0x2000_0000),
    ("PAGE_ENCLAVE_THREAD_CONTROL", 0x8000_0000),
];

const PLAIN: [(Protection, u32); 6] = [
    (Protection::NO_ACCESS, 0x01),
    (Protection::READ, 0x02),
    (Protection::READ_WRITE, 0x04),
    (Protection::EXECUTE, 0x10),
    (Protection::READ_EXECUTE, 0x20),
    (Protection::READ_WRITE_EXECUTE, 0x40),
];

const MODIFIERS: [(Protection, u32); 3] =
    [(Protection::GUARD, 0x100), (Protection::NO_CACHE, 0x200), (Protection::WRITE_COMBINE, 0x400)];

type Row = Vec<String>;

/// The rows of the table, without the heading.
fn rows() -> Vec<Row> {
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let mut lines = TABLE.lines().filter(|line| line.starts_with('|')).map(cells);
    let heading: Row = lines.next().unwrap();
    assert_eq!(heading, COLUMNS);
    assert!(lines.next().unwrap().iter().all(|cell: &String| cell == "---"));
    lines.collect()
}

/// The words of a cell that are code.
fn codes(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn code(cell: &str) -> Option<&str> {
    let &[word] = codes(cell).as_slice() else { return None };
    (cell.len() == word.len() + 2).then_some(word)
}

/// `Err` with what is wrong, where something is.
fn expect<T: PartialEq + std::fmt::Debug>(what: &str, table: &T, seen: &T) -> Result<(), String> {
    if table == seen {
        Ok(())
    } else {
        Err(format!("{what}: the table has {table:?}, and what is seen is {seen:?}"))
    }
}

/// How the table names an answer.
fn named<T, E: Into<Error>>(outcome: Result<T, E>) -> String {
    match outcome.map_err(Into::into) {
        Ok(_) => "granted".to_owned(),
        Err(error) => format!("`{}`", first_word(&error)),
    }
}

/// The name of the variant.
fn first_word(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()
}

fn number_of(cell: &str) -> Result<u32, String> {
    let digits = code(cell).and_then(|word| word.strip_prefix("0x"));
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or_else(|| format!("no number: {cell}"))
}

/// The `PROT_` flags in a cell, as a protection.
fn flags(cell: &str) -> Result<Protection, String> {
    codes(cell).into_iter().try_fold(Protection::NO_ACCESS, |flags, flag| match flag {
        "PROT_NONE" => Ok(flags),
        "PROT_READ" => Ok(flags | Protection::READ),
        "PROT_WRITE" => Ok(flags | (Protection::READ_WRITE - Protection::READ)),
        "PROT_EXEC" => Ok(flags | Protection::EXECUTE),
        other => Err(format!("no flag: {other}")),
    })
}

/// What a cell about stores, or about a seal, says where a modifier changes nothing.
fn as_without(cell: &str, without: String) -> String {
    if cell == "as without" { without } else { cell.to_owned() }
}

fn check(row: &Row) -> Result<(), String> {
    if row.len() != COLUMNS.len() {
        return Err(format!("{} cells", row.len()));
    }
    let constant = code(&row[CONSTANT]).ok_or("no constant")?;
    let number = number_of(&row[NUMBER])?;
    expect(
        "the constant",
        &Some(&(constant, number)),
        &CONSTANTS.iter().find(|(name, _)| *name == constant),
    )?;
    let here = code(&row[HERE]).ok_or("no name")?;
    match Protection::from_name(here) {
        Some(protection)
            if (protection & Protection::READ_WRITE_EXECUTE).is_empty() && here != "NO_ACCESS" =>
        {
            check_modifier(row, here, protection, number)
        }
        Some(protection) => check_plain(row, protection, number),
        None => check_refused(row, here, number),
    }
}

fn check_refused(row: &Row, here: &str, number: u32) -> Result<(), String> {
    for number in [number, number | 0x100, number | 0x4000_0000] {
        let refused =
            Protection::from_win32(number).map_or_else(|error| first_word(&error), |_| "granted".into());
        expect("from_win32", &here.to_owned(), &refused)?;
        let error = named(Protection::from_win32(number));
        for platform in [WINDOWS, LINUX, MACOS, APPLE_SILICON] {
            expect(COLUMNS[platform], &row[platform], &error)?;
        }
    }
    for empty in [BESIDE, STORES, BYTES, FUNCTION] {
        expect(COLUMNS[empty], &row[empty], &String::new())?;
    }
    Ok(())
}

fn check_plain(row: &Row, protection: Protection, number: u32) -> Result<(), String> {
    expect("from_win32", &Ok(protection), &Protection::from_win32(number))?;
    expect("to_win32", &Ok(number), &protection.to_win32())?;
    expect("beside", &row[BESIDE], &String::new())?;
    expect(COLUMNS[WINDOWS], &row[WINDOWS], &"granted".to_owned())?;
    for unix in [LINUX, MACOS, APPLE_SILICON] {
        if unix == APPLE_SILICON && row[unix] == "`Unsupported`" {
            expect(COLUMNS[unix], &Protection::READ_WRITE_EXECUTE, &protection)?;
        } else {
            expect(COLUMNS[unix], &flags(&row[unix])?, &protection)?;
            let writable_code = protection == Protection::READ_WRITE_EXECUTE;
            expect(COLUMNS[unix], &false, &(unix == APPLE_SILICON && writable_code))?;
        }
    }
    check_region(row, protection, &row[STORES], &row[BYTES], &row[FUNCTION])
}

fn check_modifier(row: &Row, here: &str, modifier: Protection, number: u32) -> Result<(), String> {
    // Two constants are one bit, under two names.
    let letters = |name: &str| name.replace('_', "");
    let constant = code(&row[CONSTANT]).unwrap_or_default();
    expect("the name", &letters(constant), &format!("PAGE{}", letters(here)))?;
    let unknown = Err(ProtectionError::Unknown { page: number });
    expect("the modifier alone", &unknown, &Protection::from_win32(number))?;
    expect(COLUMNS[WINDOWS], &row[WINDOWS], &"granted".to_owned())?;
    for unix in [LINUX, MACOS, APPLE_SILICON] {
        expect(COLUMNS[unix], &row[unix], &"`Unsupported`".to_owned())?;
    }
    let beside = row[BESIDE].strip_prefix("not ").ok_or("nothing it is not beside")?;
    let excluded = codes(beside).into_iter().map(Protection::from_name).collect::<Option<Vec<_>>>();
    let excluded = excluded.ok_or("no protection")?;
    for (plain, plain_number) in PLAIN {
        let both = plain | modifier;
        let exists = !excluded.contains(&plain);
        expect("from_win32", &exists.then_some(both), &Protection::from_win32(plain_number | number).ok())?;
        expect("to_win32", &exists.then_some(plain_number | number), &both.to_win32().ok())?;
        if !exists {
            expect("build", &"`InvalidProtection`".to_owned(), &named(builder(both).build()))?;
            continue;
        }
        // A second modifier, on what may have either.
        for (second, second_number) in MODIFIERS {
            let with = Protection::from_win32(plain_number | number | second_number);
            expect("with another", &(second == modifier || !excluded.contains(&second)), &with.is_ok())?;
        }
        if cfg!(windows) {
            let stores = as_without(&row[STORES], named(builder(plain).build().unwrap().try_alloc(1)));
            let bytes = as_without(&row[BYTES], bytes_of_a_seal(plain));
            let function = as_without(&row[FUNCTION], function_of_a_seal(plain));
            let writable = plain.contains(Protection::READ_WRITE);
            let sealed = |answer: String| if writable { "`SealWritable`".to_owned() } else { answer };
            check_region(row, both, &stores, &sealed(bytes), &sealed(function))?;
        } else {
            let option = format!("Protection::{}", here.replace("NO_UPDATE", "INVALID"));
            let refused = builder(both).build().map_err(|error| error.to_string());
            let said = refused.err().is_some_and(|text| text.starts_with(&option));
            expect("the option that is named", &true, &said)?;
        }
        // What does not take the system is as the table says everywhere.
        let stores = both.is_writable();
        expect(COLUMNS[STORES], &(row[STORES] == "as without" && plain.is_writable()), &stores)?;
        expect(COLUMNS[BYTES], &(row[BYTES] == "as without" && plain.is_readable()), &both.is_readable())?;
        let runs = plain.is_executable() && modifier != Protection::GUARD;
        expect(COLUMNS[FUNCTION], &(row[FUNCTION] == "as without" && plain.is_executable()), &runs)?;
    }
    for column in [STORES, BYTES, FUNCTION] {
        let words = ["as without", "`NotWritable`", "`NotReadable`", "`NotExecutable`"];
        let own = [words[0], words[column - STORES + 1]];
        expect(COLUMNS[column], &true, &own.contains(&row[column].as_str()))?;
    }
    Ok(())
}

fn builder(protection: Protection) -> mallocator::Builder {
    Mallocator::builder().protection(protection)
}

/// An arena with an allocation, sealed.
fn sealing(protection: Protection) -> Result<mallocator::Sealed, Error> {
    let arena = Mallocator::new().unwrap();
    arena.alloc_str("text");
    arena.seal(protection).map_err(Error::from)
}

fn bytes_of_a_seal(protection: Protection) -> String {
    // SAFETY: four bytes were written.
    sealing(protection)
        .map_or_else(|error| named::<(), _>(Err(error)), |sealed| named(unsafe { sealed.bytes(0..4) }))
}

fn function_of_a_seal(protection: Protection) -> String {
    sealing(protection).map_or_else(
        |error| named::<(), _>(Err(error)),
        // SAFETY: nothing is called.
        |sealed| named(unsafe { sealed.try_function::<extern "C" fn()>(0) }),
    )
}

/// Builds a region with the protection, and asks the system and the methods what it is.
fn check_region(
    row: &Row,
    protection: Protection,
    stores: &str,
    bytes: &str,
    function: &str,
) -> Result<(), String> {
    let expected = &row[THIS_PLATFORM];
    let built = builder(protection).build();
    if expected == "`Unsupported`" {
        return expect("build", expected, &named(built));
    }
    let arena = built.map_err(|error| format!("{protection}: {error}"))?;
    expect("protection()", &protection, &arena.protection())?;
    let raw = arena.alloc_raw(100, 1).map_err(|error| format!("alloc_raw: {error}"))?;
    let seen = page_at(raw.addr().get());
    let flags = if cfg!(windows) { protection } else { flags(expected)? };
    let page = if flags.is_empty() { Page::Inaccessible } else { Page::Accessible(flags) };
    // Wine keeps no caching, and Windows does not say what the targets are.
    let unsaid = Protection::NO_CACHE | Protection::WRITE_COMBINE | Protection::TARGETS_INVALID;
    if seen != Page::Accessible(flags - unsaid) {
        expect("the page", &page, &seen)?;
    }
    expect("a safe method", &stores.to_owned(), &named(arena.try_alloc(1)))?;
    expect(COLUMNS[BYTES], &bytes.to_owned(), &bytes_of_a_seal(protection))?;
    expect(COLUMNS[FUNCTION], &function.to_owned(), &function_of_a_seal(protection))
}

#[test]
fn every_row_of_the_table_is_what_is_seen() {
    let rows = rows();
    for row in &rows {
        check(row).unwrap_or_else(|wrong| panic!("{}: {wrong}", row[CONSTANT]));
    }
    let listed: Vec<_> = rows.iter().map(|row| code(&row[CONSTANT]).unwrap()).collect();
    assert_eq!(listed, CONSTANTS.map(|(name, _)| name), "each has one row");
}

/// A table of which any cell could be changed unnoticed would say nothing.
#[test]
fn every_cell_of_the_table_can_be_wrong() {
    let rows = rows();
    for row in &rows {
        for column in 0..COLUMNS.len() {
            let others: BTreeSet<_> = rows.iter().map(|other| &other[column]).collect();
            for other in others.into_iter().filter(|other| **other != row[column]) {
                let mut changed = row.clone();
                changed[column].clone_from(other);
                let noticed = check(&changed).is_err();
                assert!(noticed, "{}: {} is {other}", row[CONSTANT], COLUMNS[column]);
            }
        }
    }
}

/// The numbers are those of Microsoft's own metadata.
#[cfg(windows)]
#[test]
fn the_constants_are_those_of_the_system_s_headers() {
    use windows_sys::Win32::System::Memory as m;
    let theirs = [
        m::PAGE_NOACCESS,
        m::PAGE_READONLY,
        m::PAGE_READWRITE,
        m::PAGE_WRITECOPY,
        m::PAGE_EXECUTE,
        m::PAGE_EXECUTE_READ,
        m::PAGE_EXECUTE_READWRITE,
        m::PAGE_EXECUTE_WRITECOPY,
        m::PAGE_GUARD,
        m::PAGE_NOCACHE,
        m::PAGE_WRITECOMBINE,
        m::PAGE_TARGETS_INVALID,
        m::PAGE_TARGETS_NO_UPDATE,
        m::PAGE_ENCLAVE_DECOMMIT,
        m::PAGE_ENCLAVE_SS_FIRST,
        m::PAGE_ENCLAVE_SS_REST,
        m::PAGE_ENCLAVE_UNVALIDATED,
        m::PAGE_ENCLAVE_THREAD_CONTROL,
    ];
    assert_eq!(theirs, CONSTANTS.map(|(_, number)| number));
}
