//! Refusals by the system itself, for real.

mod common;

use mallocator::{Error, Mallocator};

#[test]
fn a_reservation_larger_than_the_address_space_is_refused_with_the_cause() {
    let error = Mallocator::with_size(1 << 60).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Os(_)));
    let call = if cfg!(windows) { "VirtualAlloc(MEM_RESERVE)" } else { "mmap" };
    for part in ["reserve", "11529215046", call, "os error", "usually", "address"] {
        assert!(text.contains(part), "{text}");
    }
    // The process goes on as before.
    Mallocator::new().unwrap().alloc_str("fine");
}

/// Windows has no such limit; a job's limit is on what is committed.
#[cfg(unix)]
#[test]
fn a_limit_on_the_address_space_is_named_and_what_fits_is_granted() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    common::alone("a_limit_on_the_address_space_is_named_and_what_fits_is_granted", || {
        let maximum = getrlimit(Resource::As).maximum;
        setrlimit(Resource::As, Rlimit { current: Some(1 << 30), maximum }).unwrap();
        let error = Mallocator::with_size(2 << 30).unwrap_err();
        assert!(matches!(error, Error::Os(refusal) if refusal.call() == "mmap" && refusal.size() > 2 << 30));
        assert!(error.to_string().contains("RLIMIT_AS"), "{error}");
        let code = common::alone as fn(&str, fn()) as *const ();
        let near = Mallocator::builder().size(2 << 30).near(code, 8 << 30).build().unwrap_err();
        assert!(near.to_string().contains("RLIMIT_AS"), "{near}");
        let arena = Mallocator::growing();
        assert!((1 << 24..1 << 30).contains(&arena.size()), "{}", arena.size());
        arena.alloc_bytes(&[1; 1 << 20]);
        drop(arena);
        // What is kept of it will do for another that grows, and not for one that asks for as much as it would have liked.
        assert!(matches!(Mallocator::with_size(64 << 30), Err(Error::Os(_))));
        assert!(matches!(Mallocator::builder().size(64 << 30).build(), Err(Error::Os(_))));
        assert!((1 << 24..1 << 30).contains(&Mallocator::growing().size()));
        Mallocator::with_size(1 << 29).unwrap().alloc_str("fine");
    });
}

/// What is writable counts as data, so here it is the commit that is refused, and the arena goes on.
#[cfg(unix)]
#[test]
fn a_commit_that_is_refused_leaves_the_arena_as_it_was() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    common::alone("a_commit_that_is_refused_leaves_the_arena_as_it_was", || {
        let arena = Mallocator::with_size(1 << 30).unwrap();
        let text = arena.alloc_str("written before");
        let maximum = getrlimit(Resource::Data).maximum;
        setrlimit(Resource::Data, Rlimit { current: Some(64 << 20), maximum }).unwrap();
        let used = arena.used();
        let error =
            arena.try_alloc([0_u64; 16]).map(drop).and(arena.alloc_raw(512 << 20, 1).map(drop)).unwrap_err();
        assert!(matches!(error, Error::Os(refusal) if refusal.call() == "mprotect"), "{error}");
        assert!(error.to_string().contains("RLIMIT_DATA"), "{error}");
        assert_eq!((&*text, arena.used()), ("written before", used + 2 + 128));
        common::check_pages(&arena);
        // What fits is granted, also where the step that was planned does not fit.
        let mut granted = 0;
        while arena.alloc_raw(1 << 16, 1).is_ok() {
            granted += 1 << 16;
        }
        assert!(granted > 16 << 20, "{granted}");
        assert!(arena.used() + (1 << 16) > arena.committed());
        common::check_pages(&arena);
    });
}
