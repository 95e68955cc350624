//! Changes of an interface's settings for the time of a capture, written down before they are made.
//!
//! In: an interface. Out: its old settings back, when the value is dropped, or later from the record on disk when the process
//! did not live to do it (`sixtap doctor --restore`).
//!
//! Invariants:
//! - The old value is in the record before the new one is set. So whatever moment a crash chooses, the record tells it.
//! - A record names the network namespace, the ifIndex, the name and the link-layer address: it never applies to another
//!   interface.
//!
//! What is changed, and why:
//! - *Hash on addresses only.* NICs hash fragments, and packets with extension headers they cannot walk, on addresses; with ports
//!   in the hash of the rest, one flow would be spread over several workers.
//! - *VLAN tags stay in the frame.* AF_XDP does not show a tag that the NIC took out.
//! - *No merging* (LRO, hardware GRO): counts and lengths are those of the wire.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Interface;
use super::ethtool::{Ethtool, FLOW_TYPES, HASH_ADDRESSES, STAMP_EVERY_FRAME, Stamping};

/// Features that are turned off.
const OFF: [&str; 3] = ["rx-vlan-hw-parse", "rx-lro", "rx-gro-hw"];
/// Toeplitz gives both directions the same hash when the key repeats every 16 bits (Woo and Park, "Scalable TCP session
/// monitoring with symmetric receive-side scaling", 2012).
const SYMMETRIC_KEY: [u8; 2] = [0x6d, 0x5a];

/// What busy polling wants of an interface: interrupts deferred while somebody polls.
const DEFER_INTERRUPTS: [(&str, &str); 2] =
    [("napi_defer_hard_irqs", "2"), ("gro_flush_timeout", "200000")];

/// One setting as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Old {
    /// An ethtool feature that was on.
    Feature(String),
    /// Fields that were hashed for a flow type.
    Hash(u32, u64),
    /// The hash key.
    Key(Vec<u8>),
    /// A file of the interface in sysfs.
    Sysfs(String, String),
    /// What the NIC stamped with its time: sent and received frames.
    Stamping(u32, u32),
}

/// What a capture wants of an interface, besides VLAN tags left in and nothing merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Hash on addresses only: there are several queues.
    pub(crate) addresses_only: bool,
    /// Interrupts deferred, for busy polling.
    pub(crate) defer_interrupts: bool,
    /// The NIC's time on every frame.
    pub(crate) stamp_every_frame: bool,
}

/// What is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    interface: String,
    index: u32,
    /// The numbers of a namespace and its interfaces are used again; the link-layer address tells one from the next.
    hardware_address: Vec<u8>,
    process: i32,
    /// When that process began ([`began`]): its number may be another's by now.
    #[serde(default)]
    began: u64,
    old: Vec<Old>,
}

impl Record {
    /// Whether the process that wrote it still runs.
    fn is_in_use(&self) -> bool {
        began(self.process).is_some_and(|began| self.began == 0 || self.began == began)
    }

    fn is_of(&self, interface: &Interface) -> bool {
        (self.index, &self.interface, &self.hardware_address)
            == (interface.index, &interface.name, &interface.hardware_address)
    }
}

/// Settings changed until this is dropped.
#[derive(Debug)]
pub(crate) struct Steering {
    record: Record,
    path: PathBuf,
    interface: Interface,
    /// Whether the record could be written: without it a crash cannot be mended.
    recorded: bool,
    /// The record, open: it can be emptied after the process has become a user who may not remove it.
    on_disk: Option<File>,
    /// Files of sysfs, open for the same reason.
    files: Vec<(String, File)>,
}

impl Steering {
    /// Changes what has to be changed; what a driver refuses is reported in the log and left.
    pub(crate) fn apply(interface: &Interface, wanted: Wanted) -> Self {
        let path = record_path(interface);
        // What a crashed probe left: its old values are the ones to go back to.
        if let Err(error) = restore(interface) {
            tracing::warn!(interface = %interface.name, "settings of an earlier capture not restored: {error}");
        }
        let process = rustix::process::getpid().as_raw_nonzero().get();
        let record = Record {
            interface: interface.name.clone(),
            index: interface.index,
            hardware_address: interface.hardware_address.clone(),
            process,
            began: began(process).unwrap_or(0),
            old: Vec::new(),
        };
        let mut steering = Self {
            record,
            path,
            interface: interface.clone(),
            recorded: true,
            on_disk: None,
            files: Vec::new(),
        };
        if let Ok(mut ethtool) = Ethtool::open(interface) {
            steering.turn_off(&mut ethtool);
            if wanted.addresses_only {
                steering.hash_addresses(&mut ethtool);
            }
            if wanted.stamp_every_frame {
                steering.stamp_every_frame(&ethtool);
            }
        }
        if wanted.defer_interrupts {
            steering.defer_interrupts();
        }
        steering
    }

    fn turn_off(&mut self, ethtool: &mut Ethtool) {
        let on = ethtool.features().unwrap_or_default();
        let changeable = ethtool.changeable_features().unwrap_or_default();
        let has = |names: &[String], name: &str| names.iter().any(|found| found == name);
        for name in OFF.into_iter().filter(|name| has(&on, name) && has(&changeable, name)) {
            self.remember(Old::Feature(name.to_owned()));
            let result = ethtool.set_feature(name, false);
            self.report(&format!("{name} off"), result);
        }
    }

    fn hash_addresses(&mut self, ethtool: &mut Ethtool) {
        for (number, name) in FLOW_TYPES {
            let Some(old) = ethtool.hash_fields(number) else { continue };
            if old & !HASH_ADDRESSES == 0 {
                continue;
            }
            self.remember(Old::Hash(number, old));
            let result = ethtool.set_hash_fields(number, HASH_ADDRESSES);
            self.report(&format!("{name} hashed on addresses only"), result);
        }
        let Some(rss) = ethtool.rss() else { return };
        let wanted: Vec<u8> = SYMMETRIC_KEY.into_iter().cycle().take(rss.key.len()).collect();
        if rss.function == "toeplitz" && !rss.symmetric && !rss.key.is_empty() && rss.key != wanted
        {
            self.remember(Old::Key(rss.key));
            let result = ethtool.set_hash_key(&wanted);
            self.report("symmetric hash key", result);
        }
    }

    fn stamp_every_frame(&mut self, ethtool: &Ethtool) {
        let Some(old) = ethtool.stamping() else { return };
        if old.received != STAMP_EVERY_FRAME {
            self.remember(Old::Stamping(old.sent, old.received));
            let wanted = Stamping { received: STAMP_EVERY_FRAME, ..old };
            self.report("the NIC's time on every frame", ethtool.set_stamping(wanted));
        }
    }

    fn defer_interrupts(&mut self) {
        for (name, value) in DEFER_INTERRUPTS {
            let Some(old) = read_sysfs(&self.interface, name) else { continue };
            if old != value {
                self.remember(Old::Sysfs(name.to_owned(), old));
                let result = open_sysfs(&self.interface, name).and_then(|file| {
                    file.write_all_at(value.as_bytes(), 0)?;
                    self.files.push((name.to_owned(), file));
                    Ok(())
                });
                self.report(&format!("{name} {value}"), result);
            }
        }
    }

    /// Writes the old value down. To be called before the change.
    fn remember(&mut self, old: Old) {
        self.record.old.push(old);
        let error = match write(&self.path, &self.record) {
            Ok(file) => {
                self.on_disk = Some(file);
                return;
            }
            Err(error) => error,
        };
        if self.recorded {
            self.recorded = false;
            tracing::warn!(
                interface = %self.interface.name,
                "{} not written ({error}): should the probe crash, its changes of the NIC's settings stay",
                self.path.display()
            );
        }
    }

    /// Says what became of a change; one that was refused is none to take back.
    fn report(&mut self, what: &str, result: io::Result<()>) {
        let interface = &self.interface.name;
        match result {
            Ok(()) => tracing::info!(%interface, "set for the time of the capture: {what}"),
            Err(error) => {
                tracing::warn!(%interface, "not to be had: {what} ({error})");
                self.record.old.pop();
            }
        }
    }
}

impl Drop for Steering {
    fn drop(&mut self) {
        let (_, all) = take_back(&self.interface, &self.record, &self.files);
        // What could not be given back stays written down, for `sixtap doctor --restore`.
        if all
            && fs::remove_file(&self.path).is_err()
            && let Some(file) = &self.on_disk
        {
            let _ = file.set_len(0);
        }
    }
}

/// Takes back what a process that is gone has changed on an interface. Gives what was set back, one line each.
///
/// # Errors
/// The process is alive, or the record cannot be read.
pub fn restore(interface: &Interface) -> io::Result<Vec<String>> {
    let path = record_path(interface);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    if text.is_empty() {
        // Given back by a process that might not remove it.
        let _ = fs::remove_file(&path);
        return Ok(Vec::new());
    }
    let record: Record = serde_json::from_str(&text)?;
    if !record.is_of(interface) {
        // Of an interface that is gone, and its settings with it.
        fs::remove_file(&path)?;
        return Ok(Vec::new());
    }
    let own = record.process == rustix::process::getpid().as_raw_nonzero().get();
    if !own && record.is_in_use() {
        return Err(io::Error::other(format!(
            "process {} is using it; end it first",
            record.process
        )));
    }
    let (lines, all) = take_back(interface, &record, &[]);
    if !all {
        return Err(io::Error::other(format!(
            "only part of it could be set back ({}); it takes CAP_NET_ADMIN",
            if lines.is_empty() { "nothing".to_owned() } else { lines.join(", ") }
        )));
    }
    fs::remove_file(&path)?;
    Ok(lines)
}

/// Whether a process that is gone has left changes.
#[must_use]
pub fn is_left_changed(interface: &Interface) -> bool {
    let text = fs::read_to_string(record_path(interface)).unwrap_or_default();
    serde_json::from_str(&text)
        .is_ok_and(|record: Record| record.is_of(interface) && !record.is_in_use())
}

/// Sets the old values, last change first. Gives what was set back, and whether that was all of it.
fn take_back(
    interface: &Interface,
    record: &Record,
    files: &[(String, File)],
) -> (Vec<String>, bool) {
    let Ok(mut ethtool) = Ethtool::open(interface) else { return (Vec::new(), false) };
    let mut lines = Vec::new();
    let mut all = true;
    for old in record.old.iter().rev() {
        let (line, result) = match old {
            Old::Feature(name) => (format!("{name} on"), ethtool.set_feature(name, true)),
            Old::Hash(number, fields) => {
                let name = FLOW_TYPES
                    .iter()
                    .find(|(found, _)| found == number)
                    .map_or("?", |found| found.1);
                (
                    format!("{name} hashed on fields {fields:#x}"),
                    ethtool.set_hash_fields(*number, *fields),
                )
            }
            Old::Key(key) => ("hash key".to_owned(), ethtool.set_hash_key(key)),
            Old::Sysfs(name, value) => {
                let open = files.iter().find(|(found, _)| found == name);
                let result = match open {
                    Some((_, file)) => file.write_all_at(value.as_bytes(), 0),
                    None => write_sysfs(interface, name, value),
                };
                (format!("{name} {value}"), result)
            }
            &Old::Stamping(sent, received) => (
                "what the NIC stamps".to_owned(),
                ethtool.set_stamping(Stamping { sent, received }),
            ),
        };
        match result {
            Ok(()) => lines.push(line),
            // An interface that is gone has no settings to take back.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
            Err(error) => {
                all = false;
                tracing::warn!(interface = %interface.name, "not set back: {line} ({error})");
            }
        }
    }
    (lines, all)
}

/// When a process began, in ticks since the machine started (proc(5), field 22 of `stat`). `None`: there is none that runs; one that has
/// ended and was not waited for (state Z or X) does not.
fn began(process: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, field 2, may hold anything; it ends with the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    (state != "Z" && state != "X").then(|| fields.nth(18)?.parse().ok())?
}

/// systemd's RuntimeDirectory, or /run/sixtap. A file a namespace and interface.
fn record_path(interface: &Interface) -> PathBuf {
    let directory = std::env::var_os("RUNTIME_DIRECTORY").unwrap_or_else(|| "/run/sixtap".into());
    let namespace = fs::read_link("/proc/thread-self/ns/net").unwrap_or_default();
    let digits: String = namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    Path::new(&directory).join(format!("{digits}-{}-{}.json", interface.index, interface.name))
}

/// By a second file and a rename, so that a record is whole or not there.
fn write(path: &Path, record: &Record) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(&serde_json::to_vec(record)?)?;
    fs::rename(&fresh, path)?;
    Ok(file)
}

/// A file of the interface, if `/sys` shows this network namespace.
fn sysfs(interface: &Interface, name: &str) -> Option<PathBuf> {
    let directory = Path::new("/sys/class/net").join(&interface.name);
    let index = fs::read_to_string(directory.join("ifindex")).ok()?;
    (index.trim().parse() == Ok(interface.index)).then(|| directory.join(name))
}

fn read_sysfs(interface: &Interface, name: &str) -> Option<String> {
    Some(fs::read_to_string(sysfs(interface, name)?).ok()?.trim().to_owned())
}

fn write_sysfs(interface: &Interface, name: &str, value: &str) -> io::Result<()> {
    open_sysfs(interface, name)?.write_all_at(value.as_bytes(), 0)
}

fn open_sysfs(interface: &Interface, name: &str) -> io::Result<File> {
    let path = sysfs(interface, name).ok_or(io::ErrorKind::NotFound)?;
    File::options().write(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_round_trips_and_names_its_interface() {
        let record = Record {
            interface: "eth1".to_owned(),
            index: 7,
            hardware_address: vec![2, 0, 0, 0, 0, 1],
            process: 1,
            began: 12,
            old: vec![
                Old::Feature("rx-lro".to_owned()),
                Old::Hash(6, 0xf0),
                Old::Key(vec![1, 2, 3]),
                Old::Sysfs("gro_flush_timeout".to_owned(), "0".to_owned()),
                Old::Stamping(0, 12),
            ],
        };
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("below").join("record.json");
        write(&path, &record).expect("written");
        let text = fs::read_to_string(&path).expect("read");
        assert_eq!(serde_json::from_str::<Record>(&text).expect("JSON"), record);
        assert!(serde_json::from_str::<Record>("{}").is_err());
    }

    #[test]
    fn only_the_process_that_wrote_a_record_keeps_it() {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let record = |process, began| Record {
            interface: String::new(),
            index: 1,
            hardware_address: Vec::new(),
            process,
            began,
            old: Vec::new(),
        };
        let since = began(own).expect("this process runs");
        assert!(record(own, since).is_in_use());
        assert!(record(own, 0).is_in_use(), "a record without that field");
        assert!(!record(own, since + 1).is_in_use(), "the number is another's by now");
        assert!(!record(i32::MAX, 0).is_in_use());
        assert!(!record(0, 0).is_in_use());
    }

    #[test]
    fn a_process_that_nobody_has_waited_for_is_gone() {
        let mut child = std::process::Command::new("true").spawn().expect("a process");
        let process = i32::try_from(child.id()).expect("its number");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while began(process).is_some() && std::time::Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(Path::new(&format!("/proc/{process}")).exists());
        assert_eq!(began(process), None);
        child.wait().expect("it ends");
    }
}
