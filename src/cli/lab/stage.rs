//! The laboratory's network: a namespace with a pair of virtual Ethernet interfaces. Crafted frames leave by one and arrive
//! at the other, where the exporter meters. Nothing of the machine's own network is touched, nothing is left behind.

use super::process::complete;
use super::{Failure, own_path};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Where frames leave.
pub(super) const SENDING: &str = "lab0";
/// Where they arrive and are metered.
pub(super) const METERED: &str = "lab1";

/// Set in the environment of the command inside the namespace.
const INSIDE: &str = "SIXTAP_LAB_NAMESPACE";

/// Whether this process is in the laboratory's namespace.
pub(super) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// A network namespace, removed when it is dropped.
struct Namespace(String);

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Runs this very command again inside a network namespace of its own, and gives its exit status.
pub(super) fn run_inside() -> Result<u8, Failure> {
    let name = format!("sixtap-lab-{}", std::process::id());
    let added = Command::new("ip").args(["netns", "add", &name]).output();
    match added {
        Ok(out) if out.status.success() => {}
        Ok(out) => {
            let said = String::from_utf8_lossy(&out.stderr).trim().to_owned();
            return Err(Failure::environment(format!(
                "lab: no network namespace ({said}): run as root, or let the exporter read a file"
            )));
        }
        Err(error) => {
            return Err(Failure::environment(format!(
                "lab: ip cannot be started ({error}): install iproute2"
            )));
        }
    }
    let namespace = Namespace(name);
    let status = Command::new("ip")
        .args(["netns", "exec", &namespace.0])
        .arg(own_path()?)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, &namespace.0)
        .status()
        .map_err(|error| Failure::environment(format!("lab: ip netns exec: {error}")))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.ok_or_else(|| Failure::environment(format!("lab: the laboratory ended with {status}")))
}

/// Makes the pair of interfaces. They speak nothing of their own accord.
pub(super) fn wire(folder: &Path) -> Result<(), Failure> {
    let ip = |words: &str| {
        let all: Vec<String> =
            ["ip"].into_iter().chain(words.split(' ')).map(str::to_owned).collect();
        complete(&all, folder)
    };
    // Interfaces made from now on, those of bridges too, solicit and announce nothing.
    let quiet = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
    std::fs::write(quiet, "1")
        .map_err(|error| Failure::environment(format!("lab: {quiet}: {error}")))?;
    ip("link set lo up")?;
    ip(&format!("link add {SENDING} type veth peer name {METERED}"))?;
    for name in [SENDING, METERED] {
        ip(&format!("link set {name} addrgenmode none"))?;
        ip(&format!("link set {name} mtu 9216 multicast off up"))?;
    }
    Ok(())
}

/// Waits until something meters: until there is one more packet socket than at `before`, at most five seconds.
pub(super) fn until_metered(before: usize) {
    let end = Instant::now() + Duration::from_secs(5);
    while packet_sockets() <= before && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Packet sockets of this network namespace.
pub(super) fn packet_sockets() -> usize {
    std::fs::read_to_string("/proc/net/packet").map_or(0, |text| text.lines().count())
}
