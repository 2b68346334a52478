//! How Linux tells a process from those that are forked off it: by a page that a fork wipes.
//!
//! Process numbers come again, also within one namespace. What is under `MADV_WIPEONFORK` is zero in whatever has a copy of
//! this memory, however that was made: `fork`, `clone`, or a bare system call
//! (<https://man7.org/linux/man-pages/man2/madvise.2.html>). What shares the memory, as after `vfork`, shares the page.

use std::process;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use rustix::mm::{self, Advice, MapFlags, ProtFlags};

use super::page_size;

/// Different in every process that this one was forked off, or that is forked off it. Neither allocates nor waits.
///
/// Kernels before 4.14, and emulators, have no such page: there it is the number of the process.
pub(in crate::os) fn lineage() -> u64 {
    static TOKEN: Token = Token::new();
    TOKEN.of_this_process(wiped_on_fork)
}

struct Token {
    /// The page, made at the first question; [`NONE`](Self::NONE) if it could not be made.
    page: AtomicPtr<AtomicU64>,
    /// How many tokens were taken here and in the processes before: a copy, so each process goes on from there.
    taken: AtomicU64,
}

impl Token {
    const fn new() -> Self {
        Self { page: AtomicPtr::new(ptr::null_mut()), taken: AtomicU64::new(0) }
    }

    /// What stands in the place of the page where there is none.
    const NONE: *mut AtomicU64 = ptr::dangling_mut();

    fn of_this_process(&self, make: impl FnOnce() -> Option<*mut AtomicU64>) -> u64 {
        let page = match self.page.load(Ordering::Acquire) {
            page if page.is_null() => self.publish(make().unwrap_or(Self::NONE)),
            page => page,
        };
        if page == Self::NONE {
            return u64::from(process::id());
        }
        // SAFETY: a page that was published is never unmapped, holds zero or a token, and every access to it is atomic.
        let token = unsafe { &*page };
        match token.load(Ordering::Relaxed) {
            0 => {
                // Taken before it is written: a fork between the two leaves a hole in the count, and no token twice.
                let next = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
                let first = token.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed);
                first.map_or_else(|other| other, |_| next)
            }
            token => token,
        }
    }

    /// Of several threads that ask for the first time one has its page used, and none waits for another.
    fn publish(&self, page: *mut AtomicU64) -> *mut AtomicU64 {
        let outcome = self.page.compare_exchange(ptr::null_mut(), page, Ordering::AcqRel, Ordering::Acquire);
        let Err(other) = outcome else { return page };
        if page != Self::NONE {
            // SAFETY: nobody else knows of the page.
            let _ = unsafe { mm::munmap(page.cast(), page_size()) };
        }
        other
    }
}

/// A page of zeroes, which is zero again in a forked process.
fn wiped_on_fork() -> Option<*mut AtomicU64> {
    let (size, access) = (page_size(), ProtFlags::READ | ProtFlags::WRITE);
    // SAFETY: a new mapping.
    let page = unsafe { mm::mmap_anonymous(ptr::null_mut(), size, access, MapFlags::PRIVATE) }.ok()?;
    // SAFETY: the mapping was just made.
    unsafe {
        if mm::madvise(page, size, Advice::LinuxWipeOnFork).is_err() {
            let _ = mm::munmap(page, size);
            return None;
        }
    }
    Some(page.cast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_one_token_however_many_threads_ask_first() {
        let token = Token::new();
        let tokens = std::thread::scope(|threads| {
            let asked = [(); 8].map(|()| threads.spawn(|| token.of_this_process(wiped_on_fork)));
            asked.map(|thread| thread.join().unwrap())
        });
        assert!(tokens.iter().all(|&other| other == tokens[0] && other != 0), "{tokens:?}");
        assert_eq!(token.of_this_process(|| unreachable!("it is made once")), tokens[0]);
    }

    #[test]
    fn without_such_a_page_the_number_of_the_process_is_what_there_is() {
        let token = Token::new();
        let number = u64::from(process::id());
        assert_eq!(token.of_this_process(|| None), number);
        assert_eq!(token.of_this_process(wiped_on_fork), number, "what was said is not changed");
    }

    #[test]
    fn every_generation_has_a_token_of_its_own() {
        let token = Token::new();
        let Some(page) = wiped_on_fork() else { return println!("no such page here") };
        let mut mine = token.of_this_process(|| Some(page));
        // SAFETY: the new processes run nothing but this, and end.
        unsafe {
            for generation in 1..=3 {
                match libc::fork() {
                    0 => {
                        let before = std::mem::replace(&mut mine, token.of_this_process(|| None));
                        let wiped = mine > before && token.of_this_process(|| None) == mine;
                        if !wiped || generation == 3 {
                            libc::_exit(i32::from(!wiped));
                        }
                    }
                    child => {
                        let mut status = 0;
                        assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                        let intact = libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0;
                        if generation > 1 {
                            libc::_exit(i32::from(!intact));
                        }
                        assert!(intact, "{status:#x}");
                        break;
                    }
                }
            }
        }
    }
}
