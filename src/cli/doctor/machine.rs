//! Findings about the machine: kernel, permission, memory, processors.

use std::fs;

use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use super::Finding;

pub(super) fn findings() -> Vec<Finding> {
    let mut findings = vec![kernel()];
    findings.extend(af_xdp());
    findings.push(just_in_time());
    findings.push(locked_memory());
    findings.push(open_files());
    findings.push(huge_pages());
    findings.extend(processors());
    findings.push(governor());
    findings.extend(clock());
    findings
}

/// First line of a file of /proc or /sys.
fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// Major and minor number of a release such as `6.18.44-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn kernel() -> Finding {
    let release = line("/proc/sys/kernel/osrelease").unwrap_or_default();
    let newer = "install a newer kernel (Debian: the backports' linux-image-amd64)";
    match version(&release) {
        Some(version) if version >= (6, 6) => Finding::good(
            "kernel",
            format!("{release}: AF_XDP, frames of several buffers, driver features"),
        ),
        Some(version) if version >= (5, 18) => Finding::better(
            "kernel",
            format!("{release}: AF_XDP, but before 6.6 no frames larger than one buffer (jumbo)"),
            newer,
        ),
        Some(_) => Finding::never(
            "kernel",
            format!("{release}: the XDP program takes 5.18"),
            format!("{newer}, or use --packet-socket"),
        ),
        None => Finding::unknown(
            "kernel",
            format!("{release}: not a version number that is understood"),
        ),
    }
}

#[cfg(feature = "xdp")]
fn af_xdp() -> Vec<Finding> {
    use crate::capture::xdp::permit;
    let missing = permit::missing_capabilities();
    let permission = if missing.is_empty() {
        Finding::good("permission", "CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF")
    } else {
        Finding::better(
            "permission",
            format!("this process has no {}", missing.join(", ")),
            "run the probe as root, or systemd AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN CAP_BPF",
        )
    };
    let socket = match permit::has_af_xdp() {
        true => Finding::good("AF_XDP", "the kernel has it"),
        false => Finding::never(
            "AF_XDP",
            "the kernel has none (CONFIG_XDP_SOCKETS)",
            "use --packet-socket",
        ),
    };
    vec![permission, socket]
}

#[cfg(not(feature = "xdp"))]
fn af_xdp() -> Vec<Finding> {
    vec![Finding::never(
        "AF_XDP",
        "this sixtap was built without it",
        "build with the default features, or use --packet-socket",
    )]
}

fn just_in_time() -> Finding {
    const PATH: &str = "/proc/sys/net/core/bpf_jit_enable";
    match line(PATH).as_deref() {
        Some("0") => Finding::better(
            "BPF compiler",
            "off: the XDP program is interpreted, several times slower",
            "sysctl -w net.core.bpf_jit_enable=1",
        ),
        Some(_) => Finding::good("BPF compiler", "on"),
        // Readable by root only, and absent where the kernel always compiles.
        None => Finding::good("BPF compiler", "always on, or not for us to see"),
    }
}

fn locked_memory() -> Finding {
    let limit = getrlimit(Resource::Memlock);
    let exempt =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    match limit.current {
        _ if exempt => Finding::good("locked memory", "unlimited (CAP_IPC_LOCK)"),
        None => Finding::good("locked memory", "unlimited"),
        Some(octets) => Finding::better(
            "locked memory",
            format!("limited to {} KiB; each queue takes 16 MiB or more", octets / 1024),
            "ulimit -l unlimited, systemd LimitMEMLOCK=infinity, or CAP_IPC_LOCK",
        ),
    }
}

fn open_files() -> Finding {
    /// Enough for a hundred queues and as many collectors.
    const ENOUGH: u64 = 1024;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < ENOUGH => Finding::better(
            "open files",
            format!("limited to {limit}; each queue takes some, and so does each collector"),
            "ulimit -n 4096, systemd LimitNOFILE=4096",
        ),
        Some(limit) => Finding::good("open files", format!("up to {limit}")),
        None => Finding::good("open files", "unlimited"),
    }
}

fn huge_pages() -> Finding {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let number = |name: &str| -> u64 {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let (free, size) = (number("HugePages_Free"), number("Hugepagesize"));
    if free > 0 {
        return Finding::good("huge pages", format!("{free} of {size} KiB free"));
    }
    Finding::better(
        "huge pages",
        "none free: a large flow table misses the translation cache on each packet",
        "sysctl -w vm.nr_hugepages=1024 (and the same in /etc/sysctl.d)",
    )
}

fn processors() -> Vec<Finding> {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let isolated = line("/sys/devices/system/cpu/isolated").unwrap_or_default();
    let finding = if count < 2 {
        Finding::better(
            "processors",
            "one: the kernel's half of the work and the probe's share it",
            "give the machine more processors",
        )
    } else if isolated.is_empty() {
        // The first stay with the system, of many two.
        let first = if count > 3 { 2 } else { 1 };
        let last = count - 1;
        let free = if first == last { format!("{last}") } else { format!("{first}-{last}") };
        Finding::better(
            "processors",
            format!("{count}, none kept free of other work"),
            format!(
                "at high rates: kernel command line isolcpus={free} nohz_full={free}, and --cpus {free}"
            ),
        )
    } else {
        Finding::good(
            "processors",
            format!("{count}, of which {isolated} are kept free of other work"),
        )
    };
    vec![finding]
}

fn governor() -> Finding {
    match line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").as_deref() {
        None => {
            Finding::good("frequency", "not governed by this kernel (a virtual machine, or fixed)")
        }
        Some("performance") => Finding::good("frequency", "governor performance"),
        Some(other) => Finding::better(
            "frequency",
            format!("governor {other}: the first packets of a burst meet a slow processor"),
            "cpupower frequency-set --governor performance",
        ),
    }
}

fn clock() -> Option<Finding> {
    let source = line("/sys/devices/system/clocksource/clocksource0/current_clocksource")?;
    // These are read without a system call.
    Some(match source.as_str() {
        "tsc"
        | "kvm-clock"
        | "arch_sys_counter"
        | "hyperv_clocksource_tsc_page"
        | "riscv_clocksource" => Finding::good("clock", source),
        other => Finding::better(
            "clock",
            format!("{other}: reading it takes a system call"),
            "kernel command line clocksource=tsc, where the processor's is reliable",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn kernel_releases_are_read() {
        assert_eq!(version("6.18.44-amd64"), Some((6, 18)));
        assert_eq!(version("5.10.0"), Some((5, 10)));
        assert_eq!(version("6.1-rc3"), Some((6, 1)));
        assert_eq!(version("six"), None);
    }
}
