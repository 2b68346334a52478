//! Collections over an arena do what those of std do.
#![cfg_attr(feature = "nightly", feature(allocator_api))]

use std::collections::HashMap as StdHashMap;

use allocator_api2::vec::Vec as OwnedVec;
use mallocator::{HashMap, HashSet, Mallocator, Vec as ArenaVec};
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Call {
    Push(u32),
    Pop,
    Insert(usize, u32),
    Remove(usize),
    SwapRemove(usize),
    Truncate(usize),
    Extend(Vec<u32>),
    Reserve(usize),
    ShrinkToFit,
    Clear,
    Retain(u32),
    Drain(usize, usize),
    Clone,
    SplitOff(usize),
    Sort,
    MapInsert(u16, String),
    MapRemove(u16),
    MapGet(u16),
    MapRetain(u16),
    MapClear,
    MapShrink,
    MapClone,
    /// Something else behind the last block, so that the next growth has to move.
    Between(usize),
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        6 => any::<u32>().prop_map(Call::Push),
        2 => Just(Call::Pop),
        2 => (any::<usize>(), any::<u32>()).prop_map(|(at, value)| Call::Insert(at, value)),
        2 => any::<usize>().prop_map(Call::Remove),
        1 => any::<usize>().prop_map(Call::SwapRemove),
        1 => any::<usize>().prop_map(Call::Truncate),
        3 => vec(any::<u32>(), 0..100).prop_map(Call::Extend),
        2 => (0..2000_usize).prop_map(Call::Reserve),
        2 => Just(Call::ShrinkToFit),
        1 => Just(Call::Clear),
        1 => any::<u32>().prop_map(Call::Retain),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Call::Drain(from, to)),
        1 => Just(Call::Clone),
        1 => any::<usize>().prop_map(Call::SplitOff),
        1 => Just(Call::Sort),
        8 => (0..200_u16, "[a-z]{0,20}").prop_map(|(key, value)| Call::MapInsert(key, value)),
        3 => (0..200_u16).prop_map(Call::MapRemove),
        2 => (0..200_u16).prop_map(Call::MapGet),
        1 => (1..5_u16).prop_map(Call::MapRetain),
        1 => Just(Call::MapClear),
        1 => Just(Call::MapShrink),
        1 => Just(Call::MapClone),
        2 => (1..300_usize).prop_map(Call::Between),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn vectors_and_maps_are_those_of_std(calls in vec(call(), 1..300)) {
        let arena = Mallocator::with_size(64 << 20).unwrap();
        let (mut numbers, mut std_numbers) = (ArenaVec::new_in(&arena), Vec::new());
        let mut map: HashMap<'_, u16, String> = HashMap::new_in(&arena);
        let mut std_map = StdHashMap::new();
        for call in calls {
            let len = std_numbers.len();
            match call {
                Call::Push(value) => {
                    numbers.push(value);
                    std_numbers.push(value);
                }
                Call::Pop => assert_eq!(numbers.pop(), std_numbers.pop()),
                Call::Insert(at, value) => {
                    numbers.insert(at % (len + 1), value);
                    std_numbers.insert(at % (len + 1), value);
                }
                Call::Remove(at) if len > 0 => {
                    assert_eq!(numbers.remove(at % len), std_numbers.remove(at % len));
                }
                Call::SwapRemove(at) if len > 0 => {
                    assert_eq!(numbers.swap_remove(at % len), std_numbers.swap_remove(at % len));
                }
                Call::Remove(_) | Call::SwapRemove(_) => {}
                Call::Truncate(to) => {
                    numbers.truncate(to % (len + 1));
                    std_numbers.truncate(to % (len + 1));
                }
                Call::Extend(more) => {
                    numbers.extend_from_slice(&more);
                    std_numbers.extend_from_slice(&more);
                }
                Call::Reserve(more) => numbers.reserve(more),
                Call::ShrinkToFit => numbers.shrink_to_fit(),
                Call::Clear => {
                    numbers.clear();
                    std_numbers.clear();
                }
                Call::Retain(above) => {
                    numbers.retain(|number| *number > above);
                    std_numbers.retain(|number| *number > above);
                }
                Call::Drain(from, to) => {
                    let (from, to) = (from % (len + 1), to % (len + 1));
                    let range = from.min(to)..from.max(to);
                    assert!(numbers.drain(range.clone()).eq(std_numbers.drain(range)));
                }
                Call::Clone => numbers = numbers.clone(),
                Call::SplitOff(at) => {
                    let (tail, std_tail) = (numbers.split_off(at % (len + 1)), std_numbers.split_off(at % (len + 1)));
                    assert_eq!(&*tail, &*std_tail);
                }
                Call::Sort => {
                    numbers.sort_unstable();
                    std_numbers.sort_unstable();
                }
                Call::MapInsert(key, value) => {
                    assert_eq!(map.insert(key, value.clone()), std_map.insert(key, value));
                }
                Call::MapRemove(key) => assert_eq!(map.remove(&key), std_map.remove(&key)),
                Call::MapGet(key) => assert_eq!(map.get(&key), std_map.get(&key)),
                Call::MapRetain(modulus) => {
                    map.retain(|key, _| key % modulus == 0);
                    std_map.retain(|key, _| key % modulus == 0);
                }
                Call::MapClear => {
                    map.clear();
                    std_map.clear();
                }
                Call::MapShrink => map.shrink_to_fit(),
                Call::MapClone => map = map.clone(),
                Call::Between(size) => {
                    arena.alloc_slice_fill_copy(size, 0xaa_u8);
                }
            }
            assert_eq!(&*numbers, &*std_numbers);
            assert_eq!(map.len(), std_map.len());
        }
        for (key, value) in &std_map {
            assert_eq!(map.get(key), Some(value));
        }
    }
}

#[test]
fn sets_and_maps_live_in_the_arena_and_give_their_values_back() {
    let arena = Mallocator::with_size(64 << 20).unwrap();
    let mut set: HashSet<'_, u64> = HashSet::new_in(&arena);
    set.extend(0..10_000);
    assert!((0..10_000).all(|number| set.contains(&number)) && set.len() == 10_000);
    assert!(arena.used() > 80_000);
    let shared = std::rc::Rc::new(());
    let mut map = HashMap::new_in(&arena);
    map.extend((0..100).map(|key| (key, std::rc::Rc::clone(&shared))));
    assert_eq!(std::rc::Rc::strong_count(&shared), 101);
    drop(map);
    assert_eq!(std::rc::Rc::strong_count(&shared), 1);
}

#[test]
fn reserving_more_than_there_is_is_an_error_and_keeps_everything() {
    let arena = Mallocator::new().unwrap();
    let mut numbers: ArenaVec<'_, u64> = ArenaVec::new_in(&arena);
    numbers.extend(0..100);
    assert!(numbers.try_reserve(10_000).is_err());
    assert!(numbers.try_reserve(usize::MAX).is_err());
    assert!(numbers.iter().copied().eq(0..100));
    let mut map: HashMap<'_, u64, u64> = HashMap::new_in(&arena);
    assert!(map.try_reserve(100_000).is_err());
    map.insert(1, 2);
    assert_eq!(map[&1], 2);
}

#[test]
fn an_owned_vector_can_be_moved_and_returned_with_its_arena() {
    fn build() -> OwnedVec<String, Mallocator> {
        let mut names = OwnedVec::new_in(Mallocator::growing());
        names.extend((0..1000).map(|number| number.to_string()));
        names
    }
    let names = build();
    let on_another_thread = std::thread::spawn(move || names.iter().map(String::len).sum::<usize>());
    assert_eq!(on_another_thread.join().unwrap(), 10 + 180 + 2700);
}
