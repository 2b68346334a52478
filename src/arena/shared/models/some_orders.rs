//! The models with more threads, in some orders: at random, and with few interruptions at places that are found at random
//! (PCT). A failure prints the order, which `shuttle::replay` runs again.

use std::time::{Duration, Instant};

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner};

use super::*;

/// How long each model runs under each scheduler.
const TIME: Duration = Duration::from_secs(1);

/// How many interruptions PCT makes, less one.
const DEPTH: usize = 3;

fn run(name: &str, scheduler: impl Scheduler + 'static, model: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.max_time = Some(TIME);
    // That relaxed orders are not modelled: they are by `loom`.
    config.silence_warnings = true;
    let start = Instant::now();
    let orders = Runner::new(scheduler, config).run(model);
    println!("{name}: {orders} orders, {:.1?}", start.elapsed());
    assert!(orders > 10);
}

fn check(name: &str, model: impl Fn() + Send + Sync + Copy + 'static) {
    run(&format!("{name}, at random"), RandomScheduler::new(usize::MAX), model);
    run(&format!("{name}, interrupted {DEPTH} times"), PctScheduler::new(DEPTH, usize::MAX), model);
}

#[test]
fn layouts() {
    check("layouts, 8 threads, 10 each", || layouts_are_apart(8, 10));
}

#[test]
fn values() {
    check("values, 8 threads", || values_are_apart(8));
}

#[test]
fn steps() {
    check("a step, 8 threads, 5 blocks each", || a_step_is_crossed(8, 5, 48));
}

#[test]
fn refusals() {
    check("a refusal, 6 threads, 4 blocks each", || a_refused_call_is_granted_when_it_is_made_again(6, 4));
}

#[test]
fn smaller_steps() {
    check("a smaller step, 8 threads, 4 blocks each", || a_smaller_step_is_granted(8, 4));
}

#[test]
fn no_more() {
    check("no more, 6 threads, 4 blocks each", || {
        what_is_there_is_granted_when_the_system_has_no_more(6, 4);
    });
}

#[test]
fn ends() {
    check("the end, 8 threads, room for 20", || the_end_is_the_end_for_all(8, 20));
}

#[test]
fn shares() {
    check("shares, 6 threads and 2 without, 12 blocks each", || {
        assert_eq!(shares_are_apart(8, 2, 12, LEAST_FREE, Refuse::Nothing), 0);
    });
}

#[test]
fn shares_that_cross_a_step() {
    check("shares, a step refused, 6 threads and 2 without, 12 blocks each", || {
        assert_eq!(shares_are_apart(8, 2, 12, 5000, THE_SECOND_STEP), 1);
    });
}

#[test]
fn growth() {
    check("8 blocks that grow 4 times", || blocks_grow(8, 4, 496));
}

#[test]
fn what_is_weaker_than_it_should_be_is_seen() {
    is_seen(Weakness::Exchange, "blocks overlap", || check("weak", || layouts_are_apart(8, 10)));
}
