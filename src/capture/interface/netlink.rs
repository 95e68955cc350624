//! A netlink request and its answer, for rtnetlink and for ethtool's generic netlink family.
//!
//! In: a message type and its body. Out: the bodies of the answers, one call of a closure each.
//! Invariants: one request at a time on a socket; an answer is waited for at most [`TIMEOUT`].

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send,
    socket_with, sockopt,
};

/// The kernel answers at once; this only keeps a fault from becoming a hang.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Octets of `struct nlmsghdr`.
///
/// ```text
///  0                   1                   2                   3
/// |                            length                             |
/// |             type              |             flags             |
/// |                           sequence                            |
/// |                            port id                            |
/// ```
const HEADER: usize = 16;
const NLM_F_REQUEST: u16 = 0x01;
const NLM_F_ACK: u16 = 0x04;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// What is asked for: one object, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// One object, or a change.
    One,
    /// Every object of the kind.
    Dump,
}

/// A netlink socket. All numbers are in host byte order (RFC 3549 section 2.3.2).
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// NETLINK_ROUTE: links, addresses, routes.
    pub(crate) fn route() -> io::Result<Self> {
        Self::open(None)
    }

    /// NETLINK_GENERIC: families by name, among them `ethtool`.
    pub(crate) fn generic() -> io::Result<Self> {
        Self::open(Some(rustix::net::netlink::GENERIC))
    }

    fn open(protocol: Option<Protocol>) -> io::Result<Self> {
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(TIMEOUT))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; 64 * 1024] })
    }

    /// Sends one request and calls `each` with the type and body of every answer.
    ///
    /// # Errors
    /// The kernel's errno, a timeout, or `InvalidData` for an answer that is no netlink message.
    pub(crate) fn request(
        &mut self,
        kind: u16,
        ask: Ask,
        body: &[u8],
        mut each: impl FnMut(u16, &[u8]),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let flags = NLM_F_REQUEST | if ask == Ask::Dump { NLM_F_DUMP } else { NLM_F_ACK };
        let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend_from_slice(&length.to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&flags.to_ne_bytes());
        message.extend_from_slice(&self.sequence.to_ne_bytes());
        message.extend_from_slice(&0u32.to_ne_bytes());
        message.extend_from_slice(body);
        send(&self.socket, &message, SendFlags::empty())?;
        loop {
            let (_, received) = recv(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC)?;
            let Some(mut rest) = self.buffer.get(..received) else {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "netlink answer over 64 KiB",
                ));
            };
            while let Some((header, body, after)) = split_message(rest) {
                rest = after;
                if header.sequence != self.sequence {
                    continue;
                }
                match header.kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => {
                        return match i32_at(body, 0).unwrap_or(0) {
                            0 => Ok(()),
                            errno => Err(io::Error::from_raw_os_error(-errno)),
                        };
                    }
                    kind => each(kind, body),
                }
            }
        }
    }
}

/// A family of generic netlink.
#[derive(Debug)]
pub(crate) struct Family {
    netlink: Netlink,
    number: u16,
}

/// Octets of `struct genlmsghdr`: command, version, two reserved.
const GENLMSGHDR: usize = 4;

impl Family {
    /// Looks a family up by name.
    ///
    /// # Errors
    /// Generic netlink cannot be used, or the kernel has no such family (ENOENT).
    pub(crate) fn open(name: &str) -> io::Result<Self> {
        const GENL_ID_CTRL: u16 = 16;
        const CTRL_CMD_GETFAMILY: u8 = 3;
        const CTRL_ATTR_FAMILY_ID: u16 = 1;
        const CTRL_ATTR_FAMILY_NAME: u16 = 2;
        let mut control = Self { netlink: Netlink::generic()?, number: GENL_ID_CTRL };
        let mut attributes = Vec::new();
        put_attribute(&mut attributes, CTRL_ATTR_FAMILY_NAME, &[name.as_bytes(), b"\0"].concat());
        let answer = control.ask(CTRL_CMD_GETFAMILY, &attributes)?;
        let number = attribute(&answer, CTRL_ATTR_FAMILY_ID).and_then(|value| u16_at(value, 0));
        Ok(Self { number: number.ok_or(io::ErrorKind::NotFound)?, ..control })
    }

    /// One command; the attributes of the last answer, none when there was only an acknowledgement.
    ///
    /// # Errors
    /// The kernel's errno.
    pub(crate) fn ask(&mut self, command: u8, attributes: &[u8]) -> io::Result<Vec<u8>> {
        let body = [&[command, 1, 0, 0], attributes].concat();
        let mut found = Vec::new();
        self.netlink.request(self.number, Ask::One, &body, |_, answer| {
            found = answer.get(GENLMSGHDR..).unwrap_or_default().to_vec();
        })?;
        Ok(found)
    }
}

struct MessageHeader {
    kind: u16,
    sequence: u32,
}

/// The first message of `octets`: header, body, what follows.
fn split_message(octets: &[u8]) -> Option<(MessageHeader, &[u8], &[u8])> {
    let length = u32_at(octets, 0)? as usize;
    let body = octets.get(HEADER..length)?;
    let header = MessageHeader { kind: u16_at(octets, 4)?, sequence: u32_at(octets, 8)? };
    Some((header, body, octets.get(aligned(length)..).unwrap_or_default()))
}

/// Attributes (`struct nlattr`): type and value, in order. Stops at the first that does not fit.
#[derive(Clone, Debug)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        const NESTED_OR_BYTE_ORDER: u16 = 0xc000;
        let length = u16_at(self.0, 0)? as usize;
        let kind = u16_at(self.0, 2)? & !NESTED_OR_BYTE_ORDER;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The value of the first attribute of that type.
pub(crate) fn attribute(octets: &[u8], kind: u16) -> Option<&[u8]> {
    Attributes(octets).find_map(|(found, value)| (found == kind).then_some(value))
}

/// Appends one attribute with its padding.
///
/// `value` must be shorter than 64 KiB; longer ones are cut (no caller has any).
pub(crate) fn put_attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend_from_slice(&length.to_ne_bytes());
    body.extend_from_slice(&kind.to_ne_bytes());
    body.extend_from_slice(&value[..length as usize - 4]);
    body.resize(aligned(body.len()), 0);
}

/// Appends an attribute whose value is attributes.
pub(crate) fn put_nested(body: &mut Vec<u8>, kind: u16, inside: &[u8]) {
    const NLA_F_NESTED: u16 = 0x8000;
    put_attribute(body, kind | NLA_F_NESTED, inside);
}

const fn aligned(length: usize) -> usize {
    (length + 3) & !3
}

pub(crate) fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(octets.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(octets.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn i32_at(octets: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(octets.get(at..at + 4)?.try_into().ok()?))
}

pub(crate) fn u64_at(octets: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(octets.get(at..at + 8)?.try_into().ok()?))
}

/// Text up to its zero octet.
pub(crate) fn text(octets: &[u8]) -> String {
    let end = octets.iter().position(|&octet| octet == 0).unwrap_or(octets.len());
    String::from_utf8_lossy(&octets[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_round_trip_with_padding() {
        let mut body = Vec::new();
        put_attribute(&mut body, 3, b"eth0\0");
        put_attribute(&mut body, 4, &7u32.to_ne_bytes());
        assert_eq!(body.len(), 12 + 8);
        assert_eq!(attribute(&body, 3).map(text).as_deref(), Some("eth0"));
        assert_eq!(attribute(&body, 4).and_then(|value| u32_at(value, 0)), Some(7));
        assert_eq!(attribute(&body, 5), None);
    }

    #[test]
    fn damaged_attributes_end_the_walk() {
        for damaged in [&[][..], &[1], &[0, 0, 0, 0], &[3, 0, 1, 0], &[200, 0, 1, 0, 9]] {
            assert_eq!(Attributes(damaged).count(), 0, "{damaged:?}");
        }
    }

    #[test]
    fn damaged_messages_end_the_walk() {
        for damaged in [&[][..], &[16, 0, 0, 0], &[3; 16], &[255; 40]] {
            assert!(split_message(damaged).is_none(), "{damaged:?}");
        }
    }
}
