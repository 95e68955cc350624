//! Promiscuous mode for as long as a value lives.
//!
//! The kernel counts the request on a packet socket (PACKET_ADD_MEMBERSHIP, packet(7)) and takes it back when the socket
//! is closed, however the process ends. The socket receives nothing: it is bound to no protocol.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::option;

const PACKET_ADD_MEMBERSHIP: i32 = 1;
const PACKET_MR_PROMISC: u16 = 1;

/// Holds an interface in promiscuous mode.
#[derive(Debug)]
pub(crate) struct Promiscuous {
    socket: OwnedFd,
}

impl Promiscuous {
    /// Asks for it.
    ///
    /// # Errors
    /// No CAP_NET_RAW, or the interface is gone.
    pub(crate) fn hold(interface: u32) -> io::Result<Self> {
        let socket =
            socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        let held = Self { socket };
        held.also(interface)?;
        Ok(held)
    }

    /// Asks for it on another interface too: the same one, made anew. Takes no privilege.
    ///
    /// # Errors
    /// The interface is gone.
    pub(crate) fn also(&self, interface: u32) -> io::Result<()> {
        // struct packet_mreq: ifindex (int), type, address length (unsigned short each), address (8 octets, not used).
        let mut request = [0; 16];
        request[..4].copy_from_slice(&interface.to_ne_bytes());
        request[4..6].copy_from_slice(&PACKET_MR_PROMISC.to_ne_bytes());
        option::set(self.socket.as_fd(), libc::SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request)
    }
}
