//! Crafted frames onto an interface, by packet socket (packet(7)), paced.
//!
//! In: frames, and when each is due. Out: frames on the wire, in batches of one system call. Invariant: every frame
//! that was taken is sent, or the error says how many were not.

use crate::capture::CaptureError;
use crate::capture::interface::Interface;
use crate::capture::packet_socket::option::{self, Instruction};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, MMsgHdr, SendAncillaryBuffer, SendFlags, SocketFlags, SocketType, sendmmsg,
    socket_with,
};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Most frames of one system call.
pub const BATCH: usize = 64;

/// Longest wait for a device whose queue stays full.
const PATIENCE: Duration = Duration::from_secs(5);

/// ARPHRD_ETHER and ARPHRD_LOOPBACK: interfaces that take Ethernet frames.
const ETHERNET: u16 = 1;
const LOOPBACK: u16 = 772;

/// A socket that sends Ethernet frames.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedFd,
    name: String,
    mtu: u32,
    sent: u64,
}

impl Sender {
    /// Opens a packet socket on an interface. It receives nothing.
    ///
    /// # Errors
    /// [`CaptureError::Environment`]: no CAP_NET_RAW, no such interface, not an Ethernet, not up.
    pub fn open(name: &str) -> Result<Self, CaptureError> {
        let interface = Interface::named(name)?;
        let wrong = |what: String| CaptureError::Environment(format!("{name}: {what}"));
        if !matches!(interface.hardware_type, ETHERNET | LOOPBACK) {
            return Err(wrong("not an Ethernet interface; frames cannot be sent on it".to_owned()));
        }
        if !interface.up {
            return Err(wrong(format!("is down; ip link set {name} up")));
        }
        let socket = open_socket(interface.index).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                wrong("sending needs CAP_NET_RAW; run as root or with that capability".to_owned())
            }
            _ => wrong(format!("cannot send: {error}")),
        })?;
        Ok(Self { socket, name: name.to_owned(), mtu: interface.mtu, sent: 0 })
    }

    /// Octets of the largest IP packet.
    #[must_use]
    pub fn mtu(&self) -> u32 {
        self.mtu
    }

    /// Frames sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends frames, all of them: waits while the device's queue is full.
    ///
    /// # Errors
    /// [`CaptureError::Environment`]: the interface went down, a frame is too large, the queue stays full.
    pub fn send(&mut self, frames: &[&[u8]]) -> Result<(), CaptureError> {
        for batch in frames.chunks(BATCH) {
            let mut left = batch;
            let mut full_since = None;
            while !left.is_empty() {
                match send_some(&self.socket, left) {
                    Ok(sent) => {
                        self.sent += sent as u64;
                        left = left.get(sent..).unwrap_or(&[]);
                        full_since = None;
                    }
                    Err(Errno::NOBUFS | Errno::AGAIN | Errno::INTR) => {
                        let since: &mut Instant = full_since.get_or_insert_with(Instant::now);
                        if since.elapsed() > PATIENCE {
                            return Err(self.failed("its queue stays full"));
                        }
                        std::thread::sleep(Duration::from_micros(100));
                    }
                    Err(error) => return Err(self.failed(&io::Error::from(error).to_string())),
                }
            }
        }
        Ok(())
    }

    fn failed(&self, what: &str) -> CaptureError {
        CaptureError::Environment(format!("{}: {what}, after {} frames", self.name, self.sent))
    }
}

fn open_socket(interface: u32) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    // "Return 0": nothing is received, ahead of the bind that would begin it.
    let nothing = Instruction { code: 0x06, jt: 0, jf: 0, k: 0 };
    option::set_program(socket.as_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &[nothing])?;
    option::bind_packet(socket.as_fd(), interface)?;
    Ok(socket)
}

fn send_some(socket: &OwnedFd, frames: &[&[u8]]) -> Result<usize, Errno> {
    let slices: Vec<[IoSlice<'_>; 1]> = frames.iter().map(|frame| [IoSlice::new(frame)]).collect();
    let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
        slices.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let mut messages: Vec<MMsgHdr<'_>> = slices
        .iter()
        .zip(&mut controls)
        .map(|(slice, control)| MMsgHdr::new(slice, control))
        .collect();
    sendmmsg(socket, &mut messages, SendFlags::empty())
}

/// Says when frames are due.
#[derive(Debug)]
pub struct Pace {
    began: Instant,
    /// Frames a second; 0 is as fast as it goes.
    rate: f64,
    count: u64,
}

impl Pace {
    /// Begins now.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self { began: Instant::now(), rate, count: 0 }
    }

    /// How many frames to send at once: about a millisecond's worth, at most [`BATCH`].
    #[must_use]
    pub fn batch(&self) -> usize {
        if self.rate == 0.0 {
            BATCH
        } else {
            (self.rate / 1000.0).clamp(1.0, BATCH as f64) as usize
        }
    }

    /// Waits until `frames` more are due.
    pub fn wait_for(&mut self, frames: usize) {
        if self.rate > 0.0 {
            let due = Duration::try_from_secs_f64(self.count as f64 / self.rate);
            wait_until(self.began, due.unwrap_or(Duration::MAX));
        }
        self.count += frames as u64;
    }
}

/// Waits until `since` after `began`.
pub fn wait_until(began: Instant, since: Duration) {
    /// Shorter waits than this are spun away: sleeping overshoots.
    const SPIN: Duration = Duration::from_micros(80);
    loop {
        let left = since.saturating_sub(began.elapsed());
        if left.is_zero() {
            return;
        }
        if left > SPIN {
            std::thread::sleep((left - SPIN).min(Duration::from_millis(200)));
        } else {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_keeps_the_rate() {
        let mut pace = Pace::new(5000.0);
        assert_eq!(pace.batch(), 5);
        let began = Instant::now();
        for _ in 0..100 {
            pace.wait_for(5);
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(99), "{took:?}");
        assert_eq!(Pace::new(0.0).batch(), BATCH);
        assert_eq!(Pace::new(1.0).batch(), 1);
    }

    #[test]
    fn an_interface_that_is_not_there() {
        match Sender::open("no-such-if0") {
            Err(CaptureError::Environment(message)) => {
                assert!(message.contains("no-such-if0"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
}
