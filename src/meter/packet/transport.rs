//! Upper-layer headers: ports, ICMP type and code, TCP flags and options.
//!
//! ```text
//! TCP (RFC 9293 section 3.1)
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+-------------------------------+
//! |          Source Port          |        Destination Port       |
//! |                        Sequence Number                        |
//! |                     Acknowledgment Number                     |
//! | Offset|   12 control bits     |             Window            |
//! |            Checksum           |         Urgent Pointer        |
//! |                     Options, Offset × 4 - 20 octets           |
//! +---------------------------------------------------------------+
//! UDP, UDP-Lite, DCCP, SCTP:  source port 2 | destination port 2 | …
//! ICMP, ICMPv6:               type 1 | code 1 | …
//! ```

use super::TcpOptions;
use super::{be16, be32};

/// Protocol number of ICMP (for IPv4).
pub const ICMP: u8 = 1;
/// Protocol number of TCP.
pub const TCP: u8 = 6;
/// Octets of a TCP header up to and with its control bits.
pub const TCP_FLAGS_END: usize = 14;
/// Protocol number of UDP.
pub const UDP: u8 = 17;
/// Protocol number of DCCP.
pub const DCCP: u8 = 33;
/// Protocol number of ICMPv6.
pub const ICMPV6: u8 = 58;
/// Protocol number of SCTP.
pub const SCTP: u8 = 132;
/// Protocol number of UDP-Lite.
pub const UDP_LITE: u8 = 136;

/// Option kinds 253 and 254 are shared by an experiment identifier (RFC 6994).
const EXPERIMENTS: [u8; 2] = [253, 254];

/// What the first octets of an upper-layer header say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upper {
    /// Source port.
    pub source: u16,
    /// Destination port, or ICMP type × 256 + code.
    pub destination: u16,
    /// 12 TCP control bits (RFC 9565: the data offset is not part of them).
    pub tcp_flags: u16,
    /// Whether the protocol has ports (or type and code) and they could not be read.
    pub unknown: bool,
    /// Octets of the header as far as it says; 0 if not known.
    pub header_length: usize,
}

/// Whether packets of `protocol` begin with two ports.
#[must_use]
pub const fn has_two_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | DCCP | SCTP | UDP_LITE)
}

/// Whether packets of `protocol` have ports, or type and code.
#[must_use]
pub const fn has_ports(protocol: u8, ipv6: bool) -> bool {
    match protocol {
        _ if has_two_ports(protocol) => true,
        ICMP => !ipv6,
        ICMPV6 => ipv6,
        _ => false,
    }
}

/// Octets that hold the ports, or type and code; 0 without any.
#[must_use]
pub const fn port_octets(protocol: u8, ipv6: bool) -> usize {
    match protocol {
        _ if !has_ports(protocol, ipv6) => 0,
        ICMP | ICMPV6 => 2,
        _ => 4,
    }
}

/// Reads the upper-layer header at the start of `octets`, which end where the captured octets or the packet end.
#[must_use]
pub fn read(protocol: u8, ipv6: bool, octets: &[u8]) -> Upper {
    if !has_ports(protocol, ipv6) {
        return Upper::default();
    }
    let unknown = Upper { unknown: true, ..Upper::default() };
    if protocol == ICMP || protocol == ICMPV6 {
        return be16(octets, 0).map_or(unknown, |destination| Upper {
            destination,
            header_length: 4,
            ..Upper::default()
        });
    }
    let (Some(source), Some(destination)) = (be16(octets, 0), be16(octets, 2)) else {
        return unknown;
    };
    let (tcp_flags, header_length) = match protocol {
        TCP => be16(octets, 12).map_or((0, 0), |word| (word & 0x0fff, usize::from(word >> 12) * 4)),
        SCTP => (0, 12),
        DCCP => (0, octets.get(4).map_or(0, |words| usize::from(*words) * 4)),
        _ => (0, 8),
    };
    Upper { source, destination, tcp_flags, unknown: false, header_length }
}

/// Reads the TCP options of the header at the start of `octets`. Stops at End of Option List, at a length that cannot
/// be, or where the octets end.
#[must_use]
pub fn tcp_options(octets: &[u8]) -> TcpOptions {
    let mut found = TcpOptions::default();
    let header = octets.get(12).map_or(0, |octet| usize::from(octet >> 4) * 4);
    let mut rest = octets.get(20..header.min(octets.len())).unwrap_or(&[]);
    while let [kind, tail @ ..] = rest {
        let bit = 1 << (kind & 63);
        match kind {
            0 => {
                found.kinds[0] |= bit;
                break;
            }
            1 => {
                found.kinds[0] |= bit;
                rest = tail;
            }
            _ => {
                let length = tail.first().map_or(0, |length| usize::from(*length));
                let body = rest.get(2..length);
                match body {
                    Some(body) if EXPERIMENTS.contains(kind) && body.len() >= 2 => {
                        found.add_experiment(body);
                    }
                    _ => found.kinds[usize::from(kind >> 6)] |= bit,
                }
                if body.is_none() {
                    break;
                }
                rest = rest.get(length..).unwrap_or(&[]);
            }
        }
    }
    found
}

/// The experiment identifier of four octets that is registered (IANA, "TCP/UDP ExIDs"): all others are of two.
const EXIDS_32: [u32; 1] = [0xe2d4_c3d9];

impl TcpOptions {
    /// Whether there is any option: one that has an experiment identifier sets no bit of `kinds`.
    #[must_use]
    pub fn any(&self) -> bool {
        self.kinds != [0; 4] || self.exids16_count > 0 || self.exids32_count > 0
    }

    /// RFC 6994: two octets tell experiments apart, four where the first two alone would not. Only a list of
    /// registered identifiers can say which; RFC 9740 section 4.2 asks for the same.
    fn add_experiment(&mut self, body: &[u8]) {
        if let Some(id) = be32(body, 0)
            && EXIDS_32.contains(&id)
        {
            if !self.exids32[..usize::from(self.exids32_count)].contains(&id)
                && let Some(slot) = self.exids32.get_mut(usize::from(self.exids32_count))
            {
                *slot = id;
                self.exids32_count += 1;
            }
        } else if let Some(id) = be16(body, 0)
            && !self.exids16[..usize::from(self.exids16_count)].contains(&id)
            && let Some(slot) = self.exids16.get_mut(usize::from(self.exids16_count))
        {
            *slot = id;
            self.exids16_count += 1;
        }
    }

    /// Takes in the options of another packet of the flow.
    pub fn merge(&mut self, other: &Self) {
        for (own, more) in self.kinds.iter_mut().zip(other.kinds) {
            *own |= more;
        }
        for id in &other.exids16[..usize::from(other.exids16_count)] {
            self.add_experiment(&id.to_be_bytes());
        }
        for id in &other.exids32[..usize::from(other.exids32_count)] {
            self.add_experiment(&id.to_be_bytes());
        }
    }
}
