//! What Linux limits for the machine and for groups of processes, for real: where memory that was granted is not there.
//!
//! A control group is made where this process may make one. What changes a setting of the machine runs when
//! `MALLOCATOR_TEST_MACHINE` is set, as `scripts/test-limits.sh` does, which restores the settings whatever happens.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::io::Write;
use std::os::unix::process::{ExitStatusExt, parent_id};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mallocator::{Error, HugePages, Mallocator, Protection};

const MIB: usize = 1 << 20;
const TIB: usize = 1 << 40;

/// What the processes of a group may have in memory.
const LIMIT: usize = 32 * MIB;

/// A control group for memory, of which this process is not a member. It is removed when dropped.
struct Group {
    path: PathBuf,
    /// The first version of the interface; else the second.
    first: bool,
}

impl Group {
    /// A group of its own, at the top, so that those that the system has made stay as they are. Without swap space.
    fn limited(test: &str) -> Result<Self, String> {
        let (top, first) = hierarchy()?;
        let group = Self { path: top.join(name(std::process::id(), test)), first };
        fs::create_dir(&group.path).map_err(|error| format!("no group in {}: {error}", top.display()))?;
        let (limit, swap) = if first {
            ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        } else {
            ("memory.max", "memory.swap.max")
        };
        group.write(limit, &LIMIT.to_string())?;
        // It is there where the kernel counts swap space; in the first version with the memory.
        if group.path.join(swap).exists() {
            group.write(swap, &if first { LIMIT } else { 0 }.to_string())?;
        }
        Ok(group)
    }

    /// To be called in a child of the process that made the group.
    fn enter(test: &str) {
        let (top, _) = hierarchy().unwrap();
        // SAFETY: plain numbers. Should the parent be killed, nothing stays in the group.
        assert_eq!(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) }, 0);
        let members = top.join(name(parent_id(), test)).join("cgroup.procs");
        fs::write(members, std::process::id().to_string()).unwrap();
    }

    fn write(&self, file: &str, value: &str) -> Result<(), String> {
        fs::write(self.path.join(file), value).map_err(|error| format!("{file}: {error}"))
    }

    fn number(&self, file: &str, key: &str) -> Option<usize> {
        let text = fs::read_to_string(self.path.join(file)).ok()?;
        let value = |line: &str| line.strip_prefix(key)?.trim().parse().ok();
        text.lines().find_map(value)
    }

    /// How many processes of the group the kernel has killed.
    fn killed(&self) -> Option<usize> {
        self.number(if self.first { "memory.oom_control" } else { "memory.events" }, "oom_kill ")
    }

    /// The most that was ever in memory, where the kernel says.
    fn peak(&self) -> Option<usize> {
        self.number(if self.first { "memory.max_usage_in_bytes" } else { "memory.peak" }, "")
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..100 {
            match fs::remove_dir(&self.path) {
                Ok(()) => return,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
                // A member that has just ended.
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        println!("{} is still there", self.path.display());
    }
}

fn name(owner: u32, test: &str) -> String {
    format!("mallocator-{owner}-{test}")
}

/// Where groups for memory are made, and whether in the first version of the interface.
/// <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>, <https://docs.kernel.org/admin-guide/cgroup-v2.html>
fn hierarchy() -> Result<(PathBuf, bool), String> {
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(|error| error.to_string())?;
    let mut why = "no file system of control groups is mounted".to_owned();
    for line in mounts.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let &[_, top, kind, options, ..] = fields.as_slice() else { continue };
        let top = Path::new(top);
        if kind == "cgroup" && options.split(',').any(|option| option == "memory") {
            return Ok((top.to_owned(), true));
        }
        if kind == "cgroup2" {
            let offered = fs::read_to_string(top.join("cgroup.subtree_control")).unwrap_or_default();
            if offered.split_whitespace().any(|controller| controller == "memory") {
                return Ok((top.to_owned(), false));
            }
            why = format!("{} offers no memory controller", top.display());
        }
    }
    Err(why)
}

/// The group, or a line that says why there is none. None either in a child, which enters that of its parent.
fn group(test: &str) -> Option<Group> {
    if common::is_child(test) {
        return None;
    }
    Group::limited(test).inspect_err(|why| println!("no control group can be made here: {why}")).ok()
}

/// Commits 256 MiB in the group, and touches the first `touched` bytes.
fn commit_and_touch(test: &str, touched: usize) {
    Group::enter(test);
    let arena = Mallocator::with_size(1 << 30).unwrap();
    let block = arena.alloc_raw(256 * MIB, 1).unwrap().as_ptr().cast::<u8>();
    println!("granted {} bytes", arena.committed());
    std::io::stdout().flush().unwrap();
    for offset in (0..touched).step_by(mallocator::page_size()) {
        // SAFETY: the block is as large, and this process's.
        unsafe { block.add(offset).write_volatile(1) };
    }
    println!("survived");
}

/// No error is possible: nothing is asked of the system at a touch.
#[test]
fn what_a_control_group_has_not_is_granted_and_kills_at_the_touch() {
    let test = "what_a_control_group_has_not_is_granted_and_kills_at_the_touch";
    let group = group(test);
    if group.is_none() && !common::is_child(test) {
        return;
    }
    let output = common::apart(test, || commit_and_touch(test, 256 * MIB));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("granted") && !said.contains("survived"), "{}", common::describe(&output));
    assert_eq!(output.status.signal(), Some(libc::SIGKILL), "{}", common::describe(&output));
    assert_eq!(group.and_then(|group| group.killed()), Some(1), "by the kernel, for want of memory");
    println!("{}: {}", said.lines().find(|line| line.contains("granted")).unwrap(), output.status);
}

#[test]
fn what_stays_below_the_limit_of_a_control_group_is_fine() {
    let test = "what_stays_below_the_limit_of_a_control_group_is_fine";
    let group = group(test);
    if group.is_none() && !common::is_child(test) {
        return;
    }
    let output = common::apart(test, || commit_and_touch(test, LIMIT / 2));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("survived"), "{}", common::describe(&output));
    let group = group.unwrap();
    assert_eq!(group.killed(), Some(0));
    assert!(group.peak().is_none_or(|peak| (LIMIT / 2..=LIMIT).contains(&peak)), "{:?}", group.peak());
}

/// A part of a mapping that gets another protection is a mapping of its own, and Linux limits how many a process has.
/// <https://docs.kernel.org/admin-guide/sysctl/vm.html#max-map-count>
#[test]
fn too_many_mappings_refuse_a_change_by_name_and_change_nothing() {
    common::alone("too_many_mappings_refuse_a_change_by_name_and_change_nothing", || {
        let most = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
        let most: usize = most.trim().parse().unwrap();
        if most > 1 << 21 {
            return println!("a process may have {most} mappings: too many to make");
        }
        let page = mallocator::page_size();
        let builder = Mallocator::builder().size(2 * most * page).huge_pages(HugePages::Never);
        let arena = builder.build().unwrap();
        arena.alloc_raw(arena.size(), 1).unwrap();
        let every_other = |index: usize, protection| {
            let start = 2 * index * page;
            // SAFETY: nothing is in the arena.
            unsafe { arena.protect(start..start + page, protection) }
        };
        let mut changes = (0..most).map(|index| (index, every_other(index, Protection::READ)));
        let (index, refused) = changes.find_map(|(index, done)| Some((index, done.err()?))).unwrap();
        // What is like its neighbours again is one mapping with them, and makes room, which reading the state needs.
        for index in 0..100 {
            every_other(index, Protection::READ_WRITE).unwrap();
        }
        println!("the {index}th: {refused}");
        assert!(matches!(refused, Error::Os(error) if error.call() == "mprotect"), "{refused}");
        assert!(refused.to_string().contains("vm.max_map_count"), "{refused}");
        let state = |index: usize| common::page_at(arena.base().addr().get() + 2 * index * page);
        let accessible = common::Page::Accessible;
        assert_eq!(state(index), accessible(Protection::READ_WRITE));
        assert_eq!(state(index - 1), accessible(Protection::READ));
        assert_eq!(arena.protection(), Protection::READ_WRITE);
        every_other(index, Protection::READ).unwrap();
        assert_eq!(state(index), accessible(Protection::READ));
    });
}

/// Whether the settings of the machine may be changed for a moment; where not, a line says why.
fn may_change_settings() -> bool {
    let asked = std::env::var_os("MALLOCATOR_TEST_MACHINE").is_some();
    if !asked {
        println!("it changes a setting of the machine: run scripts/test-limits.sh");
    }
    asked
}

/// A setting of the machine, which is as it was when this is dropped.
struct Setting {
    path: &'static str,
    before: String,
}

impl Setting {
    fn set(path: &'static str, value: &str) -> Result<Self, String> {
        let refused = |error| format!("{path}: {error}");
        let before = fs::read_to_string(path).map_err(refused)?.trim().to_owned();
        fs::write(path, value).map_err(refused)?;
        Ok(Self { path, before })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        if let Err(error) = fs::write(self.path, &self.before) {
            println!("{} was {}, and is not again: {error}", self.path, self.before);
        }
    }
}

/// Huge pages of the pool are counted by a controller of their own.
/// <https://docs.kernel.org/admin-guide/cgroup-v2.html>, under `memory_hugetlb_accounting`
#[test]
fn required_huge_pages_are_no_memory_of_a_control_group() {
    let test = "required_huge_pages_are_no_memory_of_a_control_group";
    if !may_change_settings() {
        return;
    }
    let size = 2 * LIMIT;
    let (mut group, mut pool) = (None, None);
    if !common::is_child(test) {
        group = self::group(test);
        let more = (size / (2 * MIB)).to_string();
        match Setting::set("/proc/sys/vm/nr_overcommit_hugepages", &more) {
            Ok(setting) => pool = Some(setting),
            Err(why) => println!("no pool of huge pages can be made here: {why}"),
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        if group.is_none() || pool.is_none() || mounts.contains("memory_hugetlb_accounting") {
            return;
        }
    }
    let output = common::apart(test, || {
        Group::enter(test);
        let builder = Mallocator::builder().size(size).huge_pages(HugePages::Required);
        match builder.build() {
            Ok(arena) => {
                arena.alloc_slice_fill_copy(size, 1_u8);
                println!("survived on {:?} bytes of huge pages", arena.report().on_huge_pages());
            }
            Err(error) => println!("refused: {error}"),
        }
    });
    drop(pool);
    let said = String::from_utf8_lossy(&output.stdout);
    let answered = said.lines().find(|line| line.contains("survived on") || line.contains("refused: "));
    assert!(output.status.success() && answered.is_some(), "{}", common::describe(&output));
    println!("{}", answered.unwrap());
    assert_eq!(group.and_then(|group| group.killed()), Some(0));
}

/// What is free under strict accounting while a test runs: so much that no other process can miss it, however it starts.
/// A program under `AddressSanitizer` maps 16 TiB.
const ROOM: usize = 60 * TIB;

/// Strict accounting, for as long as this is there. The fields are dropped in this order.
struct Strict {
    _policy: Setting,
    _limit: Limit,
}

/// What may be committed in all, for [`Strict`]. There are two settings for it; writing the one makes the other 0.
struct Limit {
    kbytes: String,
    ratio: String,
}

impl Drop for Limit {
    fn drop(&mut self) {
        let (path, value) = if self.kbytes == "0" { (RATIO, &self.ratio) } else { (KBYTES, &self.kbytes) };
        if let Err(error) = fs::write(path, value) {
            println!("{path} was {value}, and is not again: {error}");
        }
    }
}

const POLICY: &str = "/proc/sys/vm/overcommit_memory";
const RATIO: &str = "/proc/sys/vm/overcommit_ratio";
const KBYTES: &str = "/proc/sys/vm/overcommit_kbytes";

impl Strict {
    fn accounting() -> Result<Self, String> {
        let read = |path: &str| {
            let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
            Ok::<_, String>(text.trim().to_owned())
        };
        if read(POLICY)? == "2" {
            return Err("the machine accounts strictly already, with its own limit".to_owned());
        }
        let limit = Limit { kbytes: read(KBYTES)?, ratio: read(RATIO)? };
        let kibi = kibibytes("Committed_AS:") + ROOM / 1024;
        fs::write(KBYTES, kibi.to_string()).map_err(|error| format!("{KBYTES}: {error}"))?;
        let free = kibibytes("CommitLimit:").saturating_sub(kibibytes("Committed_AS:"));
        if free < ROOM / 1024 / 2 {
            return Err(format!("only {free} KiB would be free"));
        }
        Ok(Self { _policy: Setting::set(POLICY, "2")?, _limit: limit })
    }
}

fn kibibytes(name: &str) -> usize {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap();
    let line = meminfo.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// <https://docs.kernel.org/mm/overcommit-accounting.html>
#[test]
fn strict_accounting_refuses_a_commit_by_name_and_no_reservation() {
    let test = "strict_accounting_refuses_a_commit_by_name_and_no_reservation";
    if !may_change_settings() {
        return;
    }
    let mut strict = None;
    let start = std::time::Instant::now();
    if !common::is_child(test) {
        match Strict::accounting() {
            Ok(accounting) => strict = Some(accounting),
            Err(why) => return println!("no strict accounting can be had here: {why}"),
        }
    }
    let output = common::apart(test, || {
        let before = kibibytes("Committed_AS:");
        let growing = Mallocator::growing();
        assert_eq!(growing.size(), 64 << 30, "what cannot be touched is not counted");
        let arena = Mallocator::with_size(ROOM + 12 * TIB).unwrap();
        let reserved = kibibytes("Committed_AS:").saturating_sub(before);
        assert!(reserved < 1 << 30, "{reserved} KiB are counted");
        let kept = arena.alloc_str("written before");
        let used = arena.used();
        let error = arena.alloc_raw(ROOM + 8 * TIB, 1).unwrap_err();
        println!("refused: {error}");
        assert!(matches!(error, Error::Os(refusal) if refusal.call() == "mprotect"), "{error}");
        assert!(error.to_string().contains("vm.overcommit_memory"), "{error}");
        assert_eq!((&*kept, arena.used()), ("written before", used));
        common::check_pages(&arena);
        let fits = arena.alloc_slice_fill_copy(MIB, 7_u8);
        assert!(fits.iter().all(|&byte| byte == 7), "what fits is granted");
        assert!(arena.alloc_raw(TIB, 1).is_ok());
        common::check_pages(&arena);
    });
    drop(strict);
    println!("strict for {:?}", start.elapsed());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("done"), "{}", common::describe(&output));
    println!("{}", said.lines().find(|line| line.contains("refused: ")).unwrap());
}
