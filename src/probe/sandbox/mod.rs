//! What the probe gives up once everything is open.
//!
//! Three layers, each on the calling thread and all threads that it starts from then on: workers, exporter, telemetry. That is
//! every thread that sees an octet from the network. Threads that keep an interface (`keeper-…`) were started before and
//! keep their capabilities: they read netlink answers and nothing else, and must attach the program again when an interface
//! comes back and give its settings back at the end.
//!
//! 1. capabilities: none is left ([`capabilities`]);
//! 2. files: only what [`Files`] lists can be opened (Landlock, [`files`]);
//! 3. system calls: only those of a list (seccomp, [`calls`]).
//!
//! A kernel without a layer is said in one line, and the probe runs without that layer.

mod calls;
mod capabilities;
mod files;

use std::path::PathBuf;

/// What may be opened after set-up, beside what the C library and the metrics read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Files and folders to read: configuration, templates, certificates.
    pub read: Vec<PathBuf>,
    /// Folders in which files are made, renamed and removed: outputs, sockets.
    pub write: Vec<PathBuf>,
}

/// How the probe confines itself.
#[derive(Clone, Debug, Default)]
pub struct Sandbox {
    /// What may be opened.
    pub files: Files,
    /// End the process on a system call that is not in the list, instead of refusing the call: for tests of the list.
    pub strict: bool,
}

impl Sandbox {
    /// Confines the calling thread and all that it starts from now on.
    pub fn enter(&self) {
        let layers = [
            ("capabilities", capabilities::drop_all(self.files != Files::default())),
            ("file access (Landlock)", files::confine(&self.files)),
            ("system calls (seccomp)", calls::confine(self.strict)),
        ];
        for (layer, outcome) in layers {
            match outcome {
                Ok(words) => tracing::info!("sandbox: {layer}: {words}"),
                Err(problem) => tracing::warn!("sandbox: {layer} not confined: {problem}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;
    use rustix::net::{AddressFamily, SocketType, socket};
    use std::fs;
    use std::io::ErrorKind;

    /// The thread of a test is confined, not the tests.
    #[test]
    fn a_confined_thread_opens_what_was_named_and_starts_no_process() {
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("named");
        let beside = folder.path().join("beside");
        for path in [&named, &beside] {
            fs::create_dir(path).unwrap();
            fs::write(path.join("file"), "words").unwrap();
        }
        let landlock = landlock_is_there();
        std::thread::spawn(move || {
            let files = Files { read: vec![], write: vec![named.clone()] };
            Sandbox { files, strict: false }.enter();
            assert_eq!(fs::read_to_string(named.join("file")).unwrap(), "words");
            fs::write(named.join("new"), "words").unwrap();
            fs::rename(named.join("new"), named.join("newer")).unwrap();
            assert!(fs::read("/etc/hosts").is_ok(), "names can be looked up");
            let refused = std::process::Command::new("/bin/true").status().unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
            assert!(socket(AddressFamily::INET6, SocketType::DGRAM, None).is_ok());
            let packet = socket(AddressFamily::PACKET, SocketType::RAW, None);
            assert_eq!(packet.unwrap_err(), Errno::PERM);
            // Threads go on to be made, and are confined like their maker.
            let inner = std::thread::spawn(move || {
                let sets = rustix::thread::capabilities(None).unwrap();
                let left = sets.effective - rustix::thread::CapabilitySet::DAC_OVERRIDE;
                assert!(left.is_empty(), "{left:?}");
                if landlock {
                    let refused = fs::read(beside.join("file")).unwrap_err();
                    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
                    assert!(fs::write(beside.join("new"), "words").is_err());
                } else {
                    println!("not run: refusal of files: this kernel has no Landlock");
                }
            });
            inner.join().unwrap();
        })
        .join()
        .unwrap();
    }

    fn landlock_is_there() -> bool {
        use landlock::{ABI, Access, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr};
        Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(ABI::V1))
            .is_ok_and(|ruleset| ruleset.create().is_ok())
    }
}
