//! An arena with what was built in it: a tree that can be sealed, and a vector that grows.

use std::cell::Cell;
use std::rc::Rc;

use mallocator::{Error, Mallocator, Protection, Root, Rooted, Vec as ArenaVec};

use super::{Input, can_seal, has_cause, protection};

/// Slices of bytes, which can be sealed.
struct Words;

impl Root for Words {
    type In<'a> = &'a [&'a [u8]];
}

/// The root, and what is to be in it; or the arena back where there is no room.
fn build<'a>(
    arena: &'a Mallocator,
    input: &mut Input<'_>,
    model: &mut Vec<Vec<u8>>,
) -> Result<&'a [&'a [u8]], Error> {
    model.clear();
    let mut words: Vec<&[u8]> = Vec::new();
    for _ in 0..input.byte() % 8 {
        let word = vec![input.byte(); input.size()];
        words.push(arena.try_alloc_bytes(&word)?);
        model.push(word);
    }
    Ok(arena.try_alloc_slice_copy(&words)?)
}

pub(super) fn words(input: &mut Input<'_>, arena: Mallocator) {
    let mut model = Vec::new();
    let (base, size) = (arena.base(), arena.size());
    let mut rooted = match Rooted::<Words>::try_new(arena, |arena| build(arena, input, &mut model)) {
        Ok(rooted) => rooted,
        Err((arena, error)) => {
            assert!(matches!(error, Error::Exhausted { .. }), "{error}");
            return assert_eq!((arena.base(), arena.size()), (base, size));
        }
    };
    while !input.is_empty() {
        match input.byte() % 8 {
            0 | 1 => {
                let mut other = Vec::new();
                let replaced = rooted.with_mut(|arena, words| {
                    build(arena, input, &mut other).map(|built| *words = built).is_ok()
                });
                if replaced {
                    model = other;
                }
            }
            2 => {
                let mut arena = rooted.into_arena();
                assert_eq!(arena.base(), base);
                if input.byte() % 2 == 0 {
                    arena.reset();
                }
                return;
            }
            3 => break,
            _ => {
                let asked = protection(input);
                match rooted.seal(asked) {
                    Ok(sealed) => {
                        assert!(can_seal(asked) && asked.is_readable(), "{asked}");
                        assert_eq!(sealed.protection(), asked);
                        sealed.with(|words| assert_eq!(*words, &model[..]));
                        match input.byte() % 8 {
                            0 => return drop(sealed),
                            1 => {
                                std::thread::scope(|threads| {
                                    threads.spawn(|| sealed.with(|words| assert_eq!(*words, &model[..])));
                                });
                            }
                            _ => {}
                        }
                        rooted = sealed.unseal().unwrap();
                    }
                    Err(refused) => {
                        let (kept, error) = refused.into_parts();
                        assert!(has_cause(asked, error, true), "{error:?} {asked}");
                        rooted = kept;
                    }
                }
            }
        }
        rooted.with(|arena, words| {
            assert_eq!((arena.base(), arena.protection()), (base, Protection::READ_WRITE));
            assert_eq!(*words, &model[..]);
        });
    }
}

/// A vector that grows in its own arena, and something that notices its drop.
struct Growing;

impl Root for Growing {
    type In<'a> = (ArenaVec<'a, u8>, Noticed);
}

struct Noticed(Rc<Cell<u32>>);

impl Drop for Noticed {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

pub(super) fn vector(input: &mut Input<'_>, arena: Mallocator) {
    let drops = Rc::new(Cell::new(0));
    let noticed = Noticed(Rc::clone(&drops));
    let mut model: Vec<u8> = Vec::new();
    let mut rooted = Rooted::<Growing>::new(arena, |arena| (ArenaVec::new_in(arena), noticed));
    let mut replaced = 0;
    loop {
        let op = if input.is_empty() { 0 } else { input.byte() };
        match op % 8 {
            0 => {
                drop(rooted);
                break;
            }
            1 => {
                let arena = rooted.into_arena();
                assert_eq!(drops.get(), replaced + 1);
                arena.free().unwrap();
                break;
            }
            2 => {
                replaced += 1;
                let noticed = Noticed(Rc::clone(&drops));
                rooted.with_mut(|arena, root| *root = (ArenaVec::new_in(arena), noticed));
                model.clear();
            }
            3 => {
                let keep = input.size();
                rooted.with_mut(|_, (vec, _)| vec.truncate(keep));
                model.truncate(keep);
            }
            _ => {
                let (len, byte) = (input.size(), input.byte());
                rooted.with_mut(|arena, (vec, _)| {
                    if vec.try_reserve(len).is_ok() {
                        vec.resize(vec.len() + len, byte);
                        model.resize(model.len() + len, byte);
                        assert!(vec.is_empty() || arena.contains(vec.as_ptr()));
                    }
                });
            }
        }
        rooted.with(|_, (vec, _)| assert_eq!(vec[..], model[..]));
        assert_eq!(drops.get(), replaced);
    }
    assert_eq!(drops.get(), replaced + 1);
}
