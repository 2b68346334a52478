//! What the numbers were measured on, and what of this process the system knows.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    pub(crate) transparent_huge_pages: String,
    pub(crate) overcommit: String,
    pub(crate) compiler: String,
    pub(crate) compiler_flags: Option<&'static str>,
    /// Versions by crate, as the lock file has them, and the C library's.
    pub(crate) versions: BTreeMap<String, String>,
}

/// The crates whose versions matter.
const PEERS: [&str; 11] = [
    "allocator-api2",
    "blink-alloc",
    "bump-scope",
    "bumpalo",
    "hashbrown",
    "libmimalloc-sys",
    "mallocator",
    "mimalloc",
    "snmalloc-rs",
    "tikv-jemalloc-sys",
    "typed-arena",
];

impl Machine {
    pub(crate) fn here() -> Self {
        let unknown = || "unknown".to_owned();
        let read = |path| fs::read_to_string(path).map_or_else(|_| unknown(), |text| text.trim().to_owned());
        let cpus = read("/proc/cpuinfo");
        let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let memory = read("/proc/meminfo");
        Self {
            cpu: cpu.map_or_else(unknown, |(_, name)| name.to_owned()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kib_of(&memory, "MemTotal:").unwrap_or(0) << 10,
            kernel: read("/proc/sys/kernel/osrelease"),
            transparent_huge_pages: read("/sys/kernel/mm/transparent_hugepage/enabled"),
            overcommit: read("/proc/sys/vm/overcommit_memory"),
            compiler: env!("COMPILER").to_owned(),
            compiler_flags: option_env!("COMPILER_FLAGS"),
            versions: versions(),
        }
    }
}

fn versions() -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    let mut name = None;
    for line in include_str!("../../Cargo.lock").lines() {
        let value = |key: &str| line.strip_prefix(key).map(|rest| rest.trim_matches(['"', ' ', '=']));
        if let Some(found) = value("name = ") {
            name = PEERS.contains(&found).then_some(found);
        } else if let (Some(found), Some(name)) = (value("version = "), name.take()) {
            versions
                .entry(name.to_owned())
                .and_modify(|versions: &mut String| *versions = format!("{versions}, {found}"))
                .or_insert_with(|| found.to_owned());
        }
    }
    // SAFETY: it takes nothing and returns a string that lives as long as the process.
    let glibc = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    versions.insert("glibc".to_owned(), glibc.to_string_lossy().into_owned());
    versions
}

/// The memory of this process, in bytes; or what it took since a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// The most that was resident at once.
    pub(crate) peak: u64,
    /// Anonymous memory that is resident now.
    pub(crate) anonymous: u64,
}

impl Memory {
    /// # Errors
    /// A system whose `/proc` does not say.
    pub(crate) fn of_this_process() -> Result<Self, String> {
        let status =
            fs::read_to_string("/proc/self/status").map_err(|error| format!("/proc/self/status: {error}"))?;
        let bytes = |key: &str| {
            kib_of(&status, key).map(|kib| kib << 10).ok_or_else(|| format!("/proc/self/status has no {key}"))
        };
        Ok(Self { peak: bytes("VmHWM:")?, anonymous: bytes("RssAnon:")? })
    }

    /// What this process has, before something is measured. The peak begins anew here.
    ///
    /// # Errors
    /// A system whose `/proc` does not say.
    pub(crate) fn before() -> Result<Self, String> {
        populate_code();
        fs::write("/proc/self/clear_refs", "5").map_err(|error| format!("/proc/self/clear_refs: {error}"))?;
        Self::of_this_process()
    }

    /// What came to it since [`before`](Self::before).
    ///
    /// # Errors
    /// A system whose `/proc` does not say.
    pub(crate) fn since(before: Self) -> Result<Self, String> {
        let now = Self::of_this_process()?;
        Ok(Self {
            peak: now.peak.saturating_sub(before.peak),
            anonymous: now.anonymous.saturating_sub(before.anonymous),
        })
    }
}

/// Touches memory and gives it back: to be called before a process that takes new memory. The host of a virtual machine may
/// take free memory away after seconds (free page reporting), and handing it over again takes twenty times as long as the fault
/// that is to be measured, for one huge page and not for the next. What was just given back is what is handed out first.
pub(crate) fn touch_memory(bytes: u64) {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = kib_of(&meminfo, "MemAvailable:").unwrap_or(0) << 10;
    let size = bytes.min(free.saturating_sub(1 << 30)) as usize;
    let (access, kind) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
    // SAFETY: a new mapping, which is written to within its bounds and nowhere else, and is gone afterwards.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), size, access, kind, -1, 0);
        if start == libc::MAP_FAILED {
            return;
        }
        libc::madvise(start, size, libc::MADV_HUGEPAGE);
        for page in (0..size).step_by(4096) {
            start.cast::<u8>().add(page).write_volatile(1);
        }
        libc::munmap(start, size);
    }
}

/// Brings the program and its libraries into memory. Otherwise the first call of a function loads it, which would count as
/// memory and time of the allocator whose function it is. A kernel before 5.14 does not know how, and nothing happens.
fn populate_code() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for line in maps.lines().filter(|line| line.contains(" r") && line.contains(" /")) {
        let ends = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
        let address = |text| usize::from_str_radix(text, 16).ok();
        if let Some((Some(start), Some(end))) = ends.map(|(start, end)| (address(start), address(end))) {
            // SAFETY: the advice fills in what reading would, and leaves everything as it is.
            unsafe {
                let start = std::ptr::with_exposed_provenance_mut(start);
                libc::madvise(start, end - start.addr(), libc::MADV_POPULATE_READ);
            }
        }
    }
}

fn kib_of(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
