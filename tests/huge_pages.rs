//! Huge pages: when they are asked for, what they cost, and what is said when there are none.

mod common;

use common::{alone, check_pages, resident};
use mallocator::{Error, HugePages, Mallocator};

/// Held by the tests that use the pool of huge pages, which belongs to the machine.
static POOL: std::sync::Mutex<()> = std::sync::Mutex::new(());

const MIB: usize = 1 << 20;
const SMALL_PART: usize = 128 << 10;

#[test]
fn transparent_ones_are_asked_for_once_behind_the_small_part() {
    let arena = Mallocator::with_size(1 << 30).unwrap();
    arena.alloc_bytes(&[1; SMALL_PART]);
    let report = arena.report();
    assert_eq!((report.huge_pages(), report.huge_asked()), (HugePages::Transparent, None));
    let Some(from) = report.huge_from() else {
        assert!(!cfg!(target_os = "linux") || mallocator::page_size() != 4096);
        return;
    };
    assert_eq!(from, SMALL_PART);
    assert_eq!((arena.base().addr().get() + from) % (2 * MIB), 0, "on a boundary of huge pages");
    assert!(report.to_string().contains("not asked for yet"), "{report}");
    arena.alloc(1_u8);
    let report = arena.report();
    assert!(report.huge_asked().is_some());
    check_pages(&arena);
    if report.huge_asked() == Some(Ok(())) {
        assert!(report.to_string().contains("behind the first 131072 bytes, asked for"), "{report}");
        // At most one, and none if the system is set to give none.
        let on = report.on_huge_pages().unwrap();
        assert!(on == 0 || on == 2 * MIB, "{on}");
    } else {
        assert!(report.to_string().contains("refused"), "{report}");
    }
}

#[test]
fn never_means_none_and_a_small_range_wants_none() {
    let never = Mallocator::builder().size(1 << 30).huge_pages(HugePages::Never).build().unwrap();
    never.alloc_bytes(&vec![1; 8 * MIB]);
    let report = never.report();
    assert_eq!((report.huge_pages(), report.huge_asked()), (HugePages::Never, None));
    assert_eq!(report.on_huge_pages().unwrap_or(0), 0);
    assert!(report.to_string().contains("never"));
    check_pages(&never);
    let small = Mallocator::with_size(2 * MIB).unwrap();
    small.alloc_bytes(&vec![1; 2 * MIB]);
    assert_eq!((small.report().huge_from(), small.report().huge_asked()), (None, None));
    check_pages(&small);
}

/// Linux allows a process 65,530: the part on small pages, the part on huge ones, and what is not committed yet.
#[cfg(target_os = "linux")]
#[test]
fn an_arena_is_three_mappings_at_most() {
    alone("an_arena_is_three_mappings_at_most", || {
        const ARENAS: usize = 100;
        let bytes = vec![1_u8; 5 * MIB];
        // Some for what the test itself allocates, and a checker that it runs under.
        let before = common::mappings() + 16;
        let mut arenas: Vec<_> = (0..ARENAS).map(|_| Mallocator::with_size(1 << 30).unwrap()).collect();
        assert!(common::mappings() <= before + 2 * ARENAS, "{} when fresh", common::mappings() - before);
        for round in 0..3 {
            for arena in &mut arenas {
                arena.reset();
                arena.trim();
                arena.alloc_bytes(&bytes[..[100, 300_000, 5 * MIB][round]]);
            }
            let now = common::mappings();
            assert!(now <= before + [2, 3, 3][round] * ARENAS, "{} in round {round}", now - before);
        }
    });
}

/// n bytes cost n and a page in the small part, and n and a huge page behind it.
#[test]
fn an_arena_costs_little_more_than_it_holds() {
    alone("an_arena_costs_little_more_than_it_holds", || {
        let bytes = vec![1_u8; 64 * MIB];
        drop(Mallocator::with_size(1 << 30));
        for size in [1, 4096, 10_000, 100_000, SMALL_PART, SMALL_PART + 1, MIB, 5 * MIB, 64 * MIB] {
            let arena = Mallocator::builder().size(1 << 30).reuse(false).build().unwrap();
            let before = resident();
            arena.alloc_bytes(&bytes[..size]);
            let more = if size <= SMALL_PART { mallocator::page_size() } else { 2 * MIB };
            #[cfg(target_os = "linux")]
            {
                let in_memory = common::resident_in(common::range_of(&arena));
                assert!(in_memory >= size && in_memory <= size + more, "{size} bytes cost {in_memory}");
            }
            // The whole process: the system counts in batches of pages, and page tables are counted here.
            let cost = resident().saturating_sub(before);
            assert!(cost <= size + more + (64 << 10) + size / 256, "{size} bytes cost {cost}");
            arena.free().unwrap();
        }
    });
}

#[test]
fn required_ones_are_all_there_or_an_error_says_what_is_missing() {
    let _pool = POOL.lock();
    alone("required_ones_are_all_there_or_an_error_says_what_is_missing", || {
        match Mallocator::builder().size(5 * MIB).huge_pages(HugePages::Required).build() {
            Ok(arena) => whole(arena),
            Err(Error::Unsupported { option }) => {
                assert_eq!(option, "HugePages::Required");
                assert_ne!(std::env::consts::OS, "linux");
            }
            Err(Error::Os(refusal)) => {
                let text = refusal.to_string();
                let (call, cause) = if cfg!(windows) {
                    ("VirtualAlloc(MEM_LARGE_PAGES)", "")
                } else {
                    ("mmap(MAP_HUGETLB)", "vm.nr_hugepages")
                };
                assert!(text.contains(call) && text.contains(cause), "{text}");
            }
            Err(error) => panic!("{error}"),
        }
        assert!(matches!(
            Mallocator::builder().size(0).huge_pages(HugePages::Required).build(),
            Err(Error::InvalidSize { size: 0 } | Error::Unsupported { .. })
        ));
    });
}

fn whole(mut arena: Mallocator) {
    let huge = 2 * MIB;
    assert!(arena.size() % huge == 0 && arena.size() >= 5 * MIB);
    assert_eq!(arena.committed(), arena.size());
    assert_eq!(arena.report().on_huge_pages().unwrap_or(arena.size()), arena.size());
    check_pages(&arena);
    arena.alloc_slice_fill_copy(arena.size(), 7_u8);
    assert_eq!(arena.available(), 0);
    arena.reset();
    arena.trim();
    assert_eq!(arena.committed(), arena.size(), "never given back");
    assert!(arena.alloc_zeroed_bytes(arena.size(), 1).iter().all(|&byte| byte == 0));
    arena.free().unwrap();
}

/// With a pool, where this process may fill one.
#[cfg(target_os = "linux")]
#[test]
fn required_ones_come_from_the_pool_and_go_back_to_it() {
    let _pool = POOL.lock();
    alone("required_ones_come_from_the_pool_and_go_back_to_it", || {
        let setting = "/proc/sys/vm/nr_hugepages";
        let free = || {
            let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
            let line = meminfo.lines().find(|line| line.starts_with("HugePages_Free:")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
        };
        let before = std::fs::read_to_string(setting).unwrap();
        if std::fs::write(setting, "8").is_err() || free() < 8 {
            println!("no pool of huge pages can be made here");
            std::fs::write(setting, before.trim()).ok();
            return;
        }
        let build =
            |mib: usize| Mallocator::builder().size(mib * MIB).huge_pages(HugePages::Required).build();
        let outcome = std::panic::catch_unwind(|| {
            let arena = build(9).unwrap();
            assert_eq!((arena.size(), free()), (10 * MIB, 3), "taken by build, not by the first touch");
            let refused = build(10).unwrap_err();
            assert!(matches!(refused, Error::Os(error) if error.to_string().contains("vm.nr_hugepages")));
            assert_eq!(free(), 3, "nothing is lost");
            let here = arena.base().addr().get();
            let taken = Mallocator::builder().size(MIB).huge_pages(HugePages::Required).at(here).build();
            assert!(matches!(taken, Err(Error::AddressInUse { .. })), "{taken:?}");
            let odd = Mallocator::builder().size(MIB).huge_pages(HugePages::Required).at(here + 4096).build();
            assert!(matches!(odd, Err(Error::InvalidAddress { granularity: 0x20_0000, .. })), "{odd:?}");
            let near = Mallocator::builder().size(MIB).huge_pages(HugePages::Required);
            let near = near.near(arena.base().as_ptr(), 1 << 32).build().unwrap();
            assert_eq!(near.base().addr().get() % (2 * MIB), 0);
            assert_eq!(free(), 2);
            drop(near);
            let guarded = Mallocator::builder().size(MIB).huge_pages(HugePages::Required).guard_pages(true);
            let guarded = guarded.build().unwrap();
            let base = guarded.base().addr().get();
            assert_eq!((base % (2 * MIB), common::page_at(base - 1)), (0, common::Page::Inaccessible));
            drop(guarded);
            assert_eq!(
                (free(), common::page_at(base - 1)),
                (3, common::Page::Free),
                "given back, guards and all"
            );
            // SAFETY: nothing is in the arena.
            unsafe { arena.protect(0..1, mallocator::Protection::READ).unwrap() };
            // SAFETY: as above.
            unsafe { arena.protect(0..1, mallocator::Protection::READ_WRITE).unwrap() };
            whole(arena);
            assert_eq!(free(), 8);
        });
        std::fs::write(setting, before.trim()).unwrap();
        outcome.unwrap();
    });
}
