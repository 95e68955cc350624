//! A veth pair in a network namespace of the test's own, and a sender that counts.
//!
//! A test runs itself again inside the namespace (`ip netns exec`), so nothing of the machine's own network is touched.

#![allow(unsafe_code, reason = "system calls of the sender")]

use std::io::{self, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

/// Names a file that the run inside the namespace makes when its body has been gone through.
const INSIDE: &str = "SIXTAP_TEST_NAMESPACE";

/// Runs `body` in a fresh network namespace. Without root it says by name that the test was not run.
///
/// `test` is the whole name of the test, modules included: it is asked for by that name, inside.
pub(crate) fn in_namespace(test: &str, body: impl FnOnce()) {
    if let Some(done) = std::env::var_os(INSIDE) {
        body();
        std::fs::write(done, test).expect("a mark that the body ran");
        return;
    }
    if !rustix::process::geteuid().is_root() {
        // Not eprintln: the harness would swallow it.
        let _ = writeln!(io::stderr(), "NOT RUN: {test} needs root (it makes network namespaces)");
        return;
    }
    let namespace = Namespace::make(test);
    let me = std::env::current_exe().expect("the test's own path");
    let directory = tempfile::tempdir().expect("a directory");
    let done = directory.path().join("done");
    let status = Command::new("ip")
        .args(["netns", "exec", &namespace.0])
        .arg(me)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, &done)
        .stdin(Stdio::null())
        .status()
        .expect("ip (package iproute2) is needed");
    drop(namespace);
    assert!(status.success(), "{test} failed inside its namespace");
    // A name that no test has would run nothing, and pass.
    assert!(done.exists(), "{test}: no test of that name ran inside the namespace");
}

/// Removed when dropped.
struct Namespace(String);

impl Namespace {
    fn make(test: &str) -> Self {
        let name = format!("sixtap-{}-{test}", std::process::id());
        run("ip", &["netns", "add", &name]);
        Self(name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Runs a command that must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status();
    assert!(status.is_ok_and(|status| status.success()), "{program} {arguments:?} failed");
}

/// What a command prints.
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect(program);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes the pair `tx` and `rx`, up, without any traffic of the kernel's own.
pub(crate) fn pair(mtu: u32, queues: u32) {
    for scope in ["all", "default"] {
        let _ = std::fs::write(format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"), "1");
    }
    let (mtu, queues) = (mtu.to_string(), queues.to_string());
    let queues = ["numrxqueues", &queues, "numtxqueues", &queues];
    let mut add = vec!["link", "add", "name", "tx", "mtu", &mtu];
    add.extend(queues);
    add.extend(["type", "veth", "peer", "name", "rx", "mtu", &mtu]);
    add.extend(queues);
    run("ip", &add);
    for name in ["tx", "rx"] {
        run("ip", &["link", "set", "dev", name, "up"]);
    }
}

/// Whether an XDP program sits on the interface.
pub(crate) fn has_program(interface: &str) -> bool {
    output("ip", &["-details", "link", "show", "dev", interface]).contains("prog/xdp")
}

/// Sends frames on an interface, past its queueing discipline.
pub(crate) struct Sender {
    socket: OwnedFd,
    /// Frames given to the interface, whether it took them or not.
    pub(crate) attempted: u64,
    /// Frames it refused (ENOBUFS): it counted them as dropped.
    pub(crate) refused: u64,
}

impl Sender {
    pub(crate) fn open(interface: &str) -> Self {
        const PACKET_QDISC_BYPASS: i32 = 20;
        let index: u32 = output("cat", &[&format!("/sys/class/net/{interface}/ifindex")])
            .trim()
            .parse()
            .expect("ifindex");
        // SAFETY: plain system calls on a descriptor of our own; the structures live through the calls.
        let socket = unsafe {
            let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0);
            assert!(socket >= 0, "packet socket: {}", io::Error::last_os_error());
            let mut address: libc::sockaddr_ll = std::mem::zeroed();
            address.sll_family = libc::AF_PACKET as u16;
            address.sll_ifindex = index as i32;
            let length = size_of::<libc::sockaddr_ll>() as u32;
            assert_eq!(libc::bind(socket, (&raw const address).cast(), length), 0, "bind");
            let one = 1i32;
            libc::setsockopt(
                socket,
                libc::SOL_PACKET,
                PACKET_QDISC_BYPASS,
                (&raw const one).cast(),
                size_of::<i32>() as u32,
            );
            OwnedFd::from_raw_fd(socket)
        };
        Self { socket, attempted: 0, refused: 0 }
    }

    /// Sends one frame; `false`: the interface had no room and dropped it.
    pub(crate) fn send(&mut self, frame: &[u8]) -> bool {
        // SAFETY: reads `frame.len()` octets from `frame`.
        let sent =
            unsafe { libc::send(self.socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        self.attempted += 1;
        if sent >= 0 {
            return true;
        }
        let error = io::Error::last_os_error();
        assert_eq!(error.raw_os_error(), Some(libc::ENOBUFS), "send: {error}");
        self.refused += 1;
        false
    }
}

/// Octets before the sequence number of [`frame`].
pub(crate) const SEQUENCE: usize = 14 + 40 + 8;

/// An Ethernet frame with IPv6, UDP and a sequence number, `length` octets long.
pub(crate) fn frame(sequence: u64, length: usize) -> Vec<u8> {
    assert!(length >= SEQUENCE + 8);
    let mut frame = vec![0; length];
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    frame[12..14].copy_from_slice(&0x86ddu16.to_be_bytes());
    let payload = (length - 54) as u16;
    frame[14] = 0x60;
    frame[18..20].copy_from_slice(&payload.to_be_bytes());
    frame[20] = 17;
    frame[21] = 64;
    for (at, last) in [(22, 1), (38, 2)] {
        frame[at..at + 4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        frame[at + 15] = last;
    }
    frame[54..56].copy_from_slice(&4000u16.to_be_bytes());
    frame[56..58].copy_from_slice(&4001u16.to_be_bytes());
    frame[58..60].copy_from_slice(&payload.to_be_bytes());
    set_sequence(&mut frame, sequence);
    frame
}

/// Writes the sequence number.
pub(crate) fn set_sequence(frame: &mut [u8], sequence: u64) {
    frame[SEQUENCE..SEQUENCE + 8].copy_from_slice(&sequence.to_be_bytes());
}

/// Reads it.
pub(crate) fn sequence(frame: &[u8]) -> u64 {
    u64::from_be_bytes(frame[SEQUENCE..SEQUENCE + 8].try_into().expect("8 octets"))
}
