//! What can be opened, by Landlock (landlock(7)).

use super::Files;
use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, path_beneath_rules,
};
use std::path::Path;

/// Newest rights asked for: ioctl on devices. An older kernel holds those it knows.
const RIGHTS: ABI = ABI::V5;

/// What the C library reads to look a name up and to know the time zone, TLS for its roots, libbpf and the metrics for
/// themselves. What is not there is left out.
const SYSTEM: &[&str] = &[
    "/dev/null",
    "/dev/urandom",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/lib",
    "/lib64",
    "/proc/cpuinfo",
    "/proc/net",
    "/proc/self",
    "/proc/stat",
    "/proc/sys/net",
    "/run/systemd/resolve",
    "/sys/class/net",
    "/sys/devices",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
    "/var/run/nscd",
];

/// Confines the calling thread to `files`.
pub(super) fn confine(files: &Files) -> Result<String, String> {
    let wrong = |error: landlock::RulesetError| error.to_string();
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = read
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSock
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer;
    let terminals = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RIGHTS))
        .map_err(wrong)?
        .create()
        .map_err(wrong)?
        .add_rules(path_beneath_rules(SYSTEM.iter().map(Path::new), read | AccessFs::Execute))
        .map_err(wrong)?
        .add_rules(path_beneath_rules(["/dev/null", "/dev/tty"], terminals))
        .map_err(wrong)?
        .add_rules(path_beneath_rules(&files.read, read))
        .map_err(wrong)?
        .add_rules(path_beneath_rules(&files.write, write))
        .map_err(wrong)?
        .restrict_self()
        .map_err(wrong)?;
    let kernel = match status.landlock {
        LandlockStatus::NotEnabled => "Landlock is switched off in this kernel (lsm=)",
        LandlockStatus::NotImplemented => "this kernel has no Landlock",
        LandlockStatus::Available { .. } => "",
    };
    match status.ruleset {
        RulesetStatus::NotEnforced => Err(kernel.to_owned()),
        RulesetStatus::PartiallyEnforced => Ok("as far as this kernel knows the rights".to_owned()),
        RulesetStatus::FullyEnforced => Ok("only what the configuration names".to_owned()),
    }
}
