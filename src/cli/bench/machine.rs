//! What the figures were measured on.

use std::fs::read_to_string;

/// The machine, as far as it says.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    /// Model of the processor.
    pub(super) processor: String,
    /// Processors.
    pub(super) processors: usize,
    /// Kernel release.
    pub(super) kernel: String,
    /// Transparent huge pages: always, madvise or never.
    pub(super) huge_pages: String,
    /// Octets of memory that can be had.
    pub(super) available_memory: Option<u64>,
    /// Load of the last minute.
    pub(super) load: String,
}

impl Machine {
    /// Asks the kernel.
    pub(super) fn look() -> Self {
        let line = |path: &str| read_to_string(path).map(|text| text.trim().to_owned()).ok();
        let unknown = || "unknown".to_owned();
        let processor = read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let found = text.lines().find_map(|line| line.strip_prefix("model name"))?;
            Some(found.trim_start_matches([' ', '\t', ':']).to_owned())
        });
        let pages = line("/sys/kernel/mm/transparent_hugepage/enabled").and_then(|text| {
            let chosen = text.split_whitespace().find_map(|word| word.strip_prefix('['))?;
            Some(chosen.trim_end_matches(']').to_owned())
        });
        Self {
            processor: processor.unwrap_or_else(unknown),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: line("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            huge_pages: pages.unwrap_or_else(unknown),
            available_memory: kibibytes("/proc/meminfo", "MemAvailable:"),
            load: line("/proc/loadavg")
                .and_then(|text| text.split(' ').next().map(str::to_owned))
                .unwrap_or_else(unknown),
        }
    }
}

/// Octets of this process in memory, and those of them in huge pages.
pub(super) fn resident() -> Option<(u64, u64)> {
    let all = kibibytes("/proc/self/smaps_rollup", "Rss:")?;
    let huge = kibibytes("/proc/self/smaps_rollup", "AnonHugePages:")?;
    Some((all, huge))
}

fn kibibytes(path: &str, name: &str) -> Option<u64> {
    let text = read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(number * 1024)
}
