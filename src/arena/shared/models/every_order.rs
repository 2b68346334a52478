//! The models in every order that `loom` finds within a bound on how often a thread is interrupted that could go on; without
//! a bound, in every order there is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use loom::model::Builder;

use super::*;

const NOTHING: Refuse = Refuse::Nothing;

/// Tries `model` in every order with at most so many interruptions.
fn check(interruptions: impl Into<Option<usize>>, name: &str, model: impl Fn() + Send + Sync + 'static) {
    let tried = Arc::new(AtomicUsize::new(0));
    let mut builder = Builder::new();
    builder.preemption_bound = interruptions.into();
    builder.max_branches = 10_000;
    let (count, start) = (Arc::clone(&tried), Instant::now());
    builder.check(move || {
        model();
        count.fetch_add(1, Ordering::Relaxed);
    });
    let tried = tried.load(Ordering::Relaxed);
    let bound = builder.preemption_bound.map_or("any number of".to_owned(), |bound| bound.to_string());
    println!("{name}, {bound} interruptions: {tried} orders, {:.1?}", start.elapsed());
    assert!(tried > 1);
}

#[test]
fn layouts() {
    check(None, "2 threads, 2 layouts each", || layouts_are_apart(2, 2));
    check(None, "2 threads, 3 layouts each", || layouts_are_apart(2, 3));
    check(None, "3 threads, a layout each", || layouts_are_apart(3, 1));
    check(3, "3 threads, 2 layouts each", || layouts_are_apart(3, 2));
}

#[test]
fn values() {
    check(None, "2 threads, 2 values each", || values_are_apart(2));
    check(2, "3 threads, 2 values each", || values_are_apart(3));
}

#[test]
fn steps() {
    check(None, "a step, 2 threads, a block each", || a_step_is_crossed(2, 1, 48));
    check(None, "a step, 2 threads, 2 blocks each", || a_step_is_crossed(2, 2, 48));
    check(3, "a step, 3 threads, a block each", || a_step_is_crossed(3, 1, 48));
}

#[test]
fn refusals() {
    let refused = a_refused_call_is_granted_when_it_is_made_again;
    check(None, "a refusal, 2 threads, a block each", move || refused(2, 1));
    check(4, "a refusal, 2 threads, 2 blocks each", move || refused(2, 2));
    check(3, "a refusal, 3 threads, a block each", move || refused(3, 1));
}

#[test]
fn smaller_steps() {
    check(None, "a smaller step, 2 threads, a block each", || a_smaller_step_is_granted(2, 1));
    check(3, "a smaller step, 2 threads, 2 blocks each", || a_smaller_step_is_granted(2, 2));
}

#[test]
fn no_more() {
    let no_more = what_is_there_is_granted_when_the_system_has_no_more;
    check(None, "no more, 2 threads, a block each", move || no_more(2, 1));
    check(2, "no more, 2 threads, 2 blocks each", move || no_more(2, 2));
    check(2, "no more, 3 threads, a block each", move || no_more(3, 1));
}

#[test]
fn ends() {
    check(None, "the end, 2 threads, room for 2", || the_end_is_the_end_for_all(2, 2));
    check(3, "the end, 3 threads, room for 2", || the_end_is_the_end_for_all(3, 2));
}

#[test]
fn shares() {
    let shares = |threads, direct, each| shares_are_apart(threads, direct, each, LEAST_FREE, NOTHING);
    check(3, "shares, 2 threads, 3 blocks each", move || assert_eq!(shares(2, 0, 3), 0));
    check(3, "a share and none, 3 blocks each", move || assert_eq!(shares(2, 1, 3), 0));
    check(2, "2 shares and none, a block each", move || assert_eq!(shares(3, 1, 1), 0));
}

#[test]
fn shares_that_cross_a_step() {
    let shares = |direct, refuse| shares_are_apart(2, direct, 3, 600, refuse);
    check(3, "shares that cross a step", move || assert_eq!(shares(0, NOTHING), 0));
    check(3, "shares that cross a step that is refused", move || assert_eq!(shares(0, THE_SECOND_STEP), 1));
    check(3, "a share and none, a refused step", move || assert_eq!(shares(1, THE_SECOND_STEP), 1));
}

#[test]
fn growth() {
    check(None, "2 blocks that grow once", || blocks_grow(2, 1, 64));
    check(3, "2 blocks that grow twice", || blocks_grow(2, 2, 64));
    check(2, "3 blocks that grow once", || blocks_grow(3, 1, 64));
}

#[test]
fn what_is_weaker_than_it_should_be_is_seen() {
    let steps = || check(None, "weak", || a_step_is_crossed(2, 1, 48));
    is_seen(Weakness::Store, "Causality violation", steps);
    is_seen(Weakness::Load, "Causality violation", steps);
    is_seen(Weakness::Exchange, "blocks overlap", || check(2, "weak", || layouts_are_apart(2, 2)));
}
