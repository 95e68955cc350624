//! IPFIX over SCTP (RFC 7011 section 10.2), by the kernel's implementation.
//!
//! One stream, in order, so that a Template arrives before the records that need it. Templates and options are reliable;
//! messages of flow records may have a lifetime (RFC 3758, RFC 7496 section 4.1): what has not arrived by then is given up by the
//! kernel, and the collector sees by the sequence numbers that it is missing.

use super::super::super::destination::Host;
use super::super::TransportError;
use nix::sys::socket::setsockopt;
use nix::{setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Write};
use std::time::Duration;

/// `struct sctp_default_prinfo` of linux/sctp.h.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(unreachable_pub, reason = "the macro below makes public what names it")]
pub struct DefaultPolicy {
    association: i32,
    /// Milliseconds.
    value: u32,
    policy: u16,
}

/// `SCTP_DEFAULT_PRINFO` of linux/sctp.h.
const DEFAULT_POLICY: libc::c_int = 114;
/// `SCTP_PR_SCTP_NONE`, `SCTP_PR_SCTP_TTL` of linux/sctp.h.
const RELIABLE: u16 = 0x0000;
const TIMED: u16 = 0x0010;

sockopt_impl!(
    /// How reliable the messages are that follow.
    SetDefaultPolicy,
    SetOnly,
    libc::IPPROTO_SCTP,
    DEFAULT_POLICY,
    DefaultPolicy
);

/// An association that takes whole messages.
#[derive(Debug)]
pub(super) struct Messages {
    socket: Socket,
    lifetime: Option<Duration>,
    /// Whether messages have the lifetime now.
    timed: bool,
}

/// Whether this kernel has SCTP.
pub(super) fn offered(host: &Host) -> Result<(), TransportError> {
    let made = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::SCTP));
    made.map(|_| ()).map_err(|source| match source.raw_os_error() {
        Some(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT) => {
            TransportError::NoSctp { host: host.clone() }
        }
        _ => TransportError::Socket { host: host.clone(), source },
    })
}

impl Messages {
    pub(super) fn new(socket: Socket, lifetime: Option<Duration>) -> Self {
        Self { socket, lifetime, timed: false }
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn socket_mut(&mut self) -> &mut Socket {
        &mut self.socket
    }

    /// Takes the message whole or not at all.
    pub(super) fn write(&mut self, message: &[u8], data: bool) -> io::Result<usize> {
        if let Some(lifetime) = self.lifetime
            && self.timed != data
        {
            let milliseconds = u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX);
            let policy = if data { (TIMED, milliseconds) } else { (RELIABLE, 0) };
            let policy = DefaultPolicy { association: 0, value: policy.1, policy: policy.0 };
            setsockopt(&self.socket, SetDefaultPolicy, &policy)?;
            self.timed = data;
        }
        self.socket.write(message)
    }
}
