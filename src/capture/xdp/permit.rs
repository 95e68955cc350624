//! Whether AF_XDP may and can be used: every obstacle with its cure.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities as of_thread};

use super::super::CaptureError;
use super::super::interface::{Interface, ProgramMode};
use super::{Options, program};

/// Capabilities that opening takes. None is needed afterwards.
pub const NEEDED: [(CapabilitySet, &str); 3] = [
    (CapabilitySet::NET_RAW, "CAP_NET_RAW"),
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
    (CapabilitySet::BPF, "CAP_BPF"),
];

/// The interface, if its frames may be taken.
pub(super) fn interface(options: &Options) -> Result<Interface, CaptureError> {
    let environment = |line: String| CaptureError::Environment(line);
    let name = &options.interface;
    let interface = Interface::named(name)?;
    if interface.hardware_type != libc::ARPHRD_ETHER {
        return Err(environment(format!(
            "{name} is not an Ethernet interface: use --packet-socket there"
        )));
    }
    if !interface.up {
        return Err(environment(format!("{name} is down: `ip link set {name} up`")));
    }
    if !options.steal
        && let Some(reason) = interface.own_traffic()
    {
        return Err(environment(format!(
            "{name} {reason}, and AF_XDP takes every frame away from the kernel: this machine would be cut off there. \
             Give it a mirror port, use --packet-socket, or take it all the same with --steal"
        )));
    }
    Ok(interface)
}

/// The capabilities, by name.
pub(super) fn capabilities() -> Result<(), CaptureError> {
    let missing = missing_capabilities();
    if missing.is_empty() {
        return Ok(());
    }
    Err(CaptureError::Environment(format!(
        "AF_XDP needs {} at start: run as root, or grant them (systemd AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN CAP_BPF)",
        missing.join(", ")
    )))
}

/// Those of [`NEEDED`] that this process does not have.
#[must_use]
pub fn missing_capabilities() -> Vec<&'static str> {
    let Ok(sets) = of_thread(None) else { return Vec::new() };
    // CAP_SYS_ADMIN stood for CAP_BPF before kernel 5.8 and still does.
    let has = |capability| {
        sets.effective.contains(capability)
            || capability == CapabilitySet::BPF && sets.effective.contains(CapabilitySet::SYS_ADMIN)
    };
    NEEDED.into_iter().filter(|&(capability, _)| !has(capability)).map(|(_, name)| name).collect()
}

/// A permission refused in spite of [`capabilities`]: a container, or a security module.
pub(super) fn not_permitted(what: &str) -> CaptureError {
    CaptureError::Environment(format!(
        "{what} is not permitted here: run as root with CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF; in a container, add them and lift its seccomp filter for bpf(2)"
    ))
}

/// Whether the kernel has AF_XDP at all. It looks for the family before it looks at permissions, so this needs none.
#[must_use]
pub fn has_af_xdp() -> bool {
    let socket = socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None);
    matches!(socket, Ok(_) | Err(Errno::PERM))
}

/// Whether AF_XDP sockets can be made here.
pub(super) fn kernel() -> Result<(), CaptureError> {
    match socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None) {
        Ok(_) => Ok(()),
        Err(Errno::PERM) => Err(not_permitted("an AF_XDP socket")),
        Err(error) => Err(CaptureError::Environment(format!(
            "this kernel has no AF_XDP ({error}): it takes Linux 5.18 with CONFIG_XDP_SOCKETS, 6.6 for jumbo frames; use --packet-socket"
        ))),
    }
}

/// Refuses an interface that has an XDP program, by name.
pub(super) fn no_other_program(interface: &Interface) -> Result<(), CaptureError> {
    let Some(&(mode, id)) = interface.programs.first() else { return Ok(()) };
    let name = program::name_of(id).map(|name| format!(" \"{name}\"")).unwrap_or_default();
    let keyword = match mode {
        ProgramMode::Native => "xdp",
        ProgramMode::Generic => "xdpgeneric",
        ProgramMode::Offload => "xdpoffload",
    };
    Err(CaptureError::Environment(format!(
        "{interface} already has the XDP program{name} (id {id}): end the program that attached it, or `ip link set {interface} {keyword} off`",
        interface = interface.name,
    )))
}

/// Before kernel 5.11 BPF maps count as locked memory, and UMEM always does. Best effort: binding says what is missing.
pub(super) fn raise_memory_lock() {
    let limit = getrlimit(Resource::Memlock);
    let unlimited = Rlimit { current: None, maximum: None };
    if setrlimit(Resource::Memlock, unlimited).is_err() {
        let _ =
            setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

pub(super) fn load_failed(error: &libbpf_rs::Error) -> CaptureError {
    match error.kind() {
        libbpf_rs::ErrorKind::PermissionDenied => not_permitted("loading a BPF program"),
        _ => CaptureError::Environment(format!(
            "the XDP program was not loaded: {error:#}; it takes Linux 5.18 with CONFIG_BPF_SYSCALL and CONFIG_XDP_SOCKETS; use --packet-socket"
        )),
    }
}
