//! Facts from `/proc`, and the address of a fault.

use std::fs;
use std::mem::MaybeUninit;

use mallocator::Protection;

use super::Page;

/// The state of the page at `address`, from `/proc/self/maps`.
///
/// In an emulator of user processes that file has what is the guest's of each mapping of the emulator, and nothing of one
/// that the system has joined with something of the emulator's own, as it does where neither can be accessed. The emulator's
/// mappings tell these from what is free.
pub fn page_at(address: usize) -> Page {
    let emulator = || page_in("/proc/thread-self/maps", address).filter(|&state| state == Page::Inaccessible);
    page_in("/proc/self/maps", address).or_else(emulator).unwrap_or(Page::Free)
}

/// What a list of mappings says of the page at `address`, if it has it.
fn page_in(maps: &str, address: usize) -> Option<Page> {
    let maps = fs::read_to_string(maps).unwrap();
    let number = |hex| usize::from_str_radix(hex, 16).unwrap();
    let flags = maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        (number(start)..number(end)).contains(&address).then_some(fields.next()?)
    })?;
    Some(match &flags[..3] {
        "---" => Page::Inaccessible,
        "r--" => Page::Accessible(Protection::READ),
        "rw-" => Page::Accessible(Protection::READ_WRITE),
        "--x" => Page::Accessible(Protection::EXECUTE),
        "r-x" => Page::Accessible(Protection::READ_EXECUTE),
        "rwx" => Page::Accessible(Protection::READ_WRITE_EXECUTE),
        other => panic!("{other}"),
    })
}

/// Every mapping of the process that is writable and executable at once, as `/proc/self/maps` has it.
pub fn writable_and_executable() -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let flags = |line: &str| line.split_ascii_whitespace().nth(1).unwrap().to_owned();
    maps.lines().filter(|line| flags(line)[1..3] == *"wx").map(str::to_owned).collect()
}

/// The resident memory of the process in bytes, page tables included.
pub fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let kibibytes = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    (kibibytes("VmRSS:") + kibibytes("VmPTE:")) * 1024
}

/// The bytes of a range that are in memory, exactly: from `/proc/self/smaps`.
pub fn resident_in(range: std::ops::Range<usize>) -> usize {
    let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut within, mut total) = (false, 0);
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap();
        if let Some((start, end)) = first.split_once('-') {
            let number = |hex| usize::from_str_radix(hex, 16).unwrap();
            within = number(start) < range.end && range.start < number(end);
        } else if within && first == "Rss:" {
            total += words.next().unwrap().parse::<usize>().unwrap() * 1024;
        }
    }
    total
}

/// How many mappings the process has.
pub fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps").unwrap().lines().count()
}

/// Reserves address space as the library does, for as long as the process lives.
pub fn reserve_bare(size: usize) {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED);
}

/// From here on, a fault prints its address before it kills the process as it would have.
pub fn announce_faults() {
    extern "C" fn announce(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        let mut line = *b"faulted at 0x0000000000000000\n";
        // SAFETY: the kernel hands over the information about the fault.
        let mut address = unsafe { (*info).si_addr() }.addr();
        for digit in line[13..29].iter_mut().rev() {
            *digit = b"0123456789abcdef"[address % 16];
            address /= 16;
        }
        // SAFETY: only calls that are allowed in a signal handler; the fault happens again after it and is deadly.
        unsafe {
            libc::write(1, line.as_ptr().cast(), line.len());
            libc::signal(signal, libc::SIG_DFL);
        }
    }
    // SAFETY: a valid handler.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = announce as extern "C" fn(_, _, _) as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            assert_eq!(libc::sigaction(signal, &raw const action, std::ptr::null_mut()), 0);
        }
    }
}

/// Whether a process ended as one does that touches what it may not.
pub fn died_of_a_fault(status: std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    matches!(status.signal(), Some(libc::SIGSEGV | libc::SIGBUS))
}

/// Whether a process aborted.
pub fn aborted(status: std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(libc::SIGABRT)
}

/// The flags of the mapping at `address`, from `/proc/self/smaps`; `None` where the system does not say.
pub fn mapping_flags(address: usize) -> Option<String> {
    let smaps = fs::read_to_string("/proc/self/smaps").ok()?;
    let mut within = false;
    for line in smaps.lines() {
        let first = line.split_ascii_whitespace().next()?;
        if let Some((start, end)) = first.split_once('-') {
            let number = |hex| usize::from_str_radix(hex, 16).unwrap();
            within = (number(start)..number(end)).contains(&address);
        } else if within && first == "VmFlags:" {
            return Some(line.to_owned());
        }
    }
    None
}

/// Lets this process lock no more than so many bytes; says whether there is such a limit.
pub fn limit_locked_memory(bytes: u64) -> bool {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: `limit` is a limit. Root may lock what it wants, so this process becomes somebody else.
    unsafe {
        assert_eq!(libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit), 0);
        if libc::geteuid() == 0 {
            assert_eq!(libc::setuid(65_534), 0);
        }
    }
    true
}

/// Calls `check` in a process forked off this one, which has no other threads, and says what it said.
pub fn in_a_fork(check: impl FnOnce() -> bool) -> Option<bool> {
    // SAFETY: this thread is the only one that matters; the new process ends without running anything else.
    unsafe {
        match libc::fork() {
            -1 => panic!("{}", std::io::Error::last_os_error()),
            0 => libc::_exit(i32::from(!check())),
            child => {
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                Some(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0)
            }
        }
    }
}

/// Makes something in a process that ends, and calls `check` with the copy that a descendant has of it, which is then given
/// the number of that process; says what it said. `None` where this process may not choose numbers.
///
/// All of that is in a namespace of its own, and this process has no other threads.
pub fn in_a_descendant_of_the_same_number<T>(
    make: impl FnOnce() -> T,
    check: impl FnOnce(T) -> bool,
) -> Option<bool> {
    const NOT_PERMITTED: libc::c_int = 77;
    let ended = |status| if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 1 };
    // SAFETY: every new process ends here, and runs nothing else.
    unsafe {
        if libc::unshare(libc::CLONE_NEWPID) != 0 {
            return None;
        }
        let (first, mut status) = (libc::fork(), 0);
        if first > 0 {
            assert_eq!(libc::waitpid(first, &raw mut status, 0), first);
            return Some(ended(status)).filter(|&code| code != NOT_PERMITTED).map(|code| code == 0);
        }
        // The first process of the namespace: whoever loses its parent is its child.
        if libc::fork() > 0 {
            let mut worst = 0;
            while libc::waitpid(-1, &raw mut status, 0) > 0 {
                worst = worst.max(ended(status));
            }
            libc::_exit(worst);
        }
        let (copied, number) = (make(), libc::getpid());
        if libc::fork() > 0 {
            libc::_exit(0);
        }
        // <https://man7.org/linux/man-pages/man2/clone.2.html>: exit_signal, set_tid, set_tid_size.
        let mut arguments = [0_u64; 11];
        (arguments[4], arguments[8], arguments[9]) = (17, (&raw const number).expose_provenance() as u64, 1);
        // The number is free once the process has been waited for.
        let mut tries = 0;
        let child = loop {
            let child = libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments));
            let taken = child < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EEXIST);
            tries += 1;
            if !taken || tries == 1000 {
                break child;
            }
            libc::usleep(1000);
        };
        if child < 0 {
            libc::_exit(NOT_PERMITTED);
        }
        if child > 0 {
            assert_eq!(i64::from(libc::waitpid(-1, &raw mut status, 0)), child);
            libc::_exit(ended(status));
        }
        libc::_exit(i32::from(libc::getpid() != number || !check(copied)));
    }
}
