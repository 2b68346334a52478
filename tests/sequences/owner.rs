//! The calls of whoever owns an arena.

use corosensei::{Coroutine, CoroutineResult};
use mallocator::{Error, Mallocator, Protection, Root, Rooted, SealError, Sealed};

use super::calls::call;
use super::model::Model;

/// Slices of bytes, which can be sealed.
struct Words;

impl Root for Words {
    type In<'a> = &'a [&'a [u8]];
}

/// One call; the arena it leaves, if it leaves one.
pub(super) fn step(model: &mut Model, mut arena: Mallocator) -> Option<Mallocator> {
    match model.random.below(32) {
        0 => reset(model, &mut arena),
        1 | 2 => trim(model, &mut arena),
        3 | 4 => arena = seal(model, arena)?,
        5 => arena = rooted(model, arena)?,
        6 => {
            end(model, arena);
            arena = model.build()?;
        }
        7 if model.random.rarely(16) => arena = elsewhere(model, arena),
        // Each leaves a stack behind.
        8 if model.random.rarely(128) => forget_a_scope(model, &arena),
        _ => call(model, &[&arena]),
    }
    assert!(arena.used() >= model.end() && arena.used() <= arena.size());
    if !model.forgotten {
        assert_eq!(arena.available(), arena.size() - arena.used());
    }
    Some(arena)
}

fn reset(model: &mut Model, arena: &mut Mallocator) {
    arena.reset();
    model.forgotten = false;
    assert_eq!(arena.used(), 0);
    model.took_back(arena, None);
}

fn trim(model: &mut Model, arena: &mut Mallocator) {
    if model.random.rarely(2) {
        arena.trim();
    } else {
        arena.try_trim().unwrap();
    }
    model.forgotten = false;
    assert_eq!(arena.committed(), arena.used().next_multiple_of(mallocator::page_size()));
}

/// The end of an arena, one way or another.
pub(super) fn end(model: &mut Model, mut arena: Mallocator) {
    model.left(arena.base());
    match model.random.below(4) {
        0 => arena.free().unwrap(),
        1 => {
            arena.reset();
            drop(arena);
        }
        _ => drop(arena),
    }
}

/// The arena goes to another thread, is used there, and comes back.
fn elsewhere(model: &mut Model, arena: Mallocator) -> Mallocator {
    std::thread::scope(|threads| {
        let used = threads.spawn(|| {
            for _ in 0..model.random.below(4) {
                call(model, &[&arena]);
            }
            arena
        });
        used.join().unwrap_or_else(|thrown| std::panic::resume_unwind(thrown))
    })
}

/// Whether a seal may be refused so.
fn has_cause(model: &Model, protection: Protection, error: &Error) -> bool {
    match error {
        Error::SealWritable { .. } => {
            protection.intersects(Protection::READ_WRITE_EXECUTE ^ Protection::READ_EXECUTE)
        }
        Error::NotReadable { .. } => !protection.is_readable(),
        Error::Os(_) | Error::Unsupported { .. } => model.lock || !cfg!(target_os = "linux"),
        _ => false,
    }
}

fn seal(model: &mut Model, arena: Mallocator) -> Option<Mallocator> {
    let protection = model.any_protection();
    let used = arena.used();
    let sealed = match arena.seal(protection) {
        Ok(sealed) => sealed,
        Err(refused) => {
            assert!(has_cause(model, protection, &refused.error()), "{refused:?} {protection}");
            return Some(refused.into_parts().0);
        }
    };
    model.forgotten = false;
    assert_eq!((sealed.used(), sealed.protection()), (used, protection));
    look(model, &sealed);
    if model.random.rarely(4) {
        assert!(!format!("{sealed:?}").is_empty());
    }
    match model.random.below(16) {
        0 => {
            model.left(sealed.base());
            sealed.free().unwrap();
            return None;
        }
        1 => {
            model.left(sealed.base());
            drop(sealed);
            return None;
        }
        2 => {
            let sealed = &sealed;
            let model = &*model;
            std::thread::scope(|threads| threads.spawn(|| look(model, sealed)).join()).unwrap();
        }
        _ => {}
    }
    match sealed.unseal() {
        Ok(arena) => Some(arena),
        Err(refused) => {
            assert!(model.lock, "{refused:?}");
            None
        }
    }
}

fn look(model: &Model, sealed: &Sealed) {
    if model.writable() && sealed.protection().is_readable() {
        model.check(sealed.base());
    }
    // SAFETY: no byte is in the range.
    let nothing = unsafe { sealed.bytes(sealed.used()..sealed.used()) };
    assert_eq!(nothing.is_ok(), sealed.protection().is_readable());
}

fn build(arena: &Mallocator, count: usize) -> Result<&[&[u8]], Error> {
    let mut words: Vec<&[u8]> = Vec::new();
    for index in 0..count {
        words.push(arena.try_alloc_bytes(&vec![index.to_ne_bytes()[0]; index])?);
    }
    Ok(arena.try_alloc_slice_copy(&words)?)
}

fn check_words(words: &[&[u8]], count: usize) {
    assert_eq!(words.len(), count);
    for (index, word) in words.iter().enumerate() {
        assert!(word.len() == index && word.iter().all(|byte| usize::from(*byte) == index));
    }
}

/// What was built in the arena goes along with it, is sealed and unsealed, and ends before it.
fn rooted(model: &mut Model, arena: Mallocator) -> Option<Mallocator> {
    let mut count = model.random.below(8);
    let writable = model.writable();
    let mut rooted = match Rooted::<Words>::try_new(arena, |arena| build(arena, count)) {
        Ok(rooted) => rooted,
        Err((arena, error)) => {
            assert!(!writable || model.lock || matches!(error, Error::Exhausted { .. }), "{error:?}");
            return Some(arena);
        }
    };
    for _ in 0..model.random.below(4) {
        rooted.with(|arena, words| {
            check_words(words, count);
            model.check(arena.base());
        });
        if model.random.rarely(4) {
            let other = model.random.below(8);
            let built = rooted.with_mut(|arena, words| build(arena, other).map(|built| *words = built));
            if built.is_ok() {
                count = other;
            }
            continue;
        }
        if model.random.rarely(4) {
            rooted.with(|arena, _| call(model, &[arena]));
            continue;
        }
        let protection = model.any_protection();
        rooted = match rooted.seal(protection) {
            Ok(sealed) => {
                model.forgotten = false;
                sealed.with(|words| check_words(words, count));
                if model.random.rarely(16) {
                    let sealed = &sealed;
                    std::thread::scope(|threads| {
                        let read = threads.spawn(|| sealed.with(|words| check_words(words, count)));
                        read.join().unwrap();
                    });
                }
                sealed.unseal().map_err(SealError::into_parts).unwrap_or_else(|(_, error)| panic!("{error}"))
            }
            Err(refused) => {
                let (kept, error) = refused.into_parts();
                assert!(has_cause(model, protection, &error), "{error:?} {protection}");
                kept
            }
        };
    }
    if model.random.rarely(8) {
        model.left(rooted.with(|arena, _| arena.base()));
        return None; // dropped
    }
    Some(rooted.into_arena())
}

/// A scope that a coroutine is in when it is forgotten: it never ends.
fn forget_a_scope(model: &mut Model, arena: &Mallocator) {
    let place: *const Mallocator = arena;
    let mut suspended = Coroutine::new(move |yielder, ()| {
        // SAFETY: the arena is there while the coroutine runs, which is during this call.
        let arena = unsafe { &*place };
        arena.scope(|view| {
            let _ = view.try_alloc_bytes(&[0xcc; 300]);
            yielder.suspend(());
        });
    });
    assert!(matches!(suspended.resume(()), CoroutineResult::Yield(())));
    // What is taken now is taken in the scope, which is pinned by that.
    model.forgotten = true;
    for _ in 0..4 {
        call(model, &[arena]);
    }
    std::mem::forget(suspended);
}
