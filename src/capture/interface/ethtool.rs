//! What a driver says of its queues, rings, hash and offloads, and changes of them (ethtool).
//!
//! In: an interface. Out: numbers, `None` where the driver does not say. Netlink where the kernel has it (5.6 on), ioctl for
//! the fields that are hashed.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::super::packet_socket::option;
use super::Interface;
use super::netlink::{
    Attributes, Family, attribute, put_attribute, put_nested, text, u32_at, u64_at,
};

const ETHTOOL_MSG_LINKMODES_GET: u8 = 4;
const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
const ETHTOOL_MSG_RINGS_GET: u8 = 15;
const ETHTOOL_MSG_CHANNELS_GET: u8 = 17;
const ETHTOOL_MSG_TSINFO_GET: u8 = 25;
const ETHTOOL_MSG_RSS_GET: u8 = 38;

/// Attribute types (`linux/ethtool_netlink.h`).
mod header {
    pub(super) const HEADER: u16 = 1;
    pub(super) const DEV_INDEX: u16 = 1;
}
mod rings {
    pub(super) const RX_MAX: u16 = 2;
    pub(super) const RX: u16 = 6;
}
mod channels {
    pub(super) const RX_MAX: u16 = 2;
    pub(super) const COMBINED_MAX: u16 = 5;
    pub(super) const RX_COUNT: u16 = 6;
    pub(super) const COMBINED_COUNT: u16 = 9;
}
mod rss {
    pub(super) const HFUNC: u16 = 3;
    pub(super) const HKEY: u16 = 5;
    pub(super) const INPUT_XFRM: u16 = 6;
}
mod features {
    pub(super) const HW: u16 = 2;
    pub(super) const WANTED: u16 = 3;
    pub(super) const ACTIVE: u16 = 4;
}
mod bitset {
    pub(super) const BITS: u16 = 3;
    pub(super) const BIT: u16 = 1;
    pub(super) const BIT_NAME: u16 = 2;
    pub(super) const BIT_VALUE: u16 = 3;
}

/// A number now and the most it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// As set now.
    pub now: u32,
    /// The most the driver takes.
    pub most: u32,
}

/// How a NIC spreads packets over its queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rss {
    /// Hash function, by name.
    pub function: &'static str,
    /// The key, as it is in the NIC.
    pub key: Vec<u8>,
    /// The NIC makes both directions of a flow hash alike (`symmetric-xor`, `symmetric-or-xor`).
    pub symmetric: bool,
}

/// Kinds of packets whose hash fields a driver lets choose (`linux/ethtool.h`).
pub const FLOW_TYPES: [(u32, &str); 6] =
    [(1, "tcp4"), (2, "udp4"), (3, "sctp4"), (5, "tcp6"), (6, "udp6"), (7, "sctp6")];

/// Source and destination address (RXH_IP_SRC, RXH_IP_DST), and nothing else.
pub const HASH_ADDRESSES: u64 = 1 << 4 | 1 << 5;

/// What a NIC stamps with its time (`struct hwtstamp_config`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamping {
    /// HWTSTAMP_TX_ value.
    pub sent: u32,
    /// HWTSTAMP_FILTER_ value: 0 none, 1 every frame, others only those of PTP or NTP.
    pub received: u32,
}

/// HWTSTAMP_FILTER_ALL.
pub const STAMP_EVERY_FRAME: u32 = 1;

/// ethtool for one interface.
#[derive(Debug)]
pub struct Ethtool {
    family: Family,
    socket: OwnedFd,
    index: u32,
    name: String,
}

impl Ethtool {
    /// Opens it.
    ///
    /// # Errors
    /// Generic netlink cannot be used, or the kernel has no ethtool family (before 5.6).
    pub fn open(interface: &Interface) -> io::Result<Self> {
        Ok(Self {
            family: Family::open("ethtool")?,
            socket: socket_with(
                AddressFamily::INET,
                SocketType::DGRAM,
                SocketFlags::CLOEXEC,
                None,
            )?,
            index: interface.index,
            name: interface.name.clone(),
        })
    }

    /// Receive queues in use: receive-only and combined channels.
    #[must_use]
    pub fn receive_queues(&mut self) -> Option<Amount> {
        let answer = self.get(ETHTOOL_MSG_CHANNELS_GET)?;
        let sum =
            |kinds: [u16; 2]| kinds.into_iter().filter_map(|kind| number(&answer, kind)).sum();
        let amount = Amount {
            now: sum([channels::RX_COUNT, channels::COMBINED_COUNT]),
            most: sum([channels::RX_MAX, channels::COMBINED_MAX]),
        };
        (amount.now > 0).then_some(amount)
    }

    /// Megabits a second of the link. `None`: the driver does not say, as while there is no link.
    #[must_use]
    pub fn speed(&mut self) -> Option<u32> {
        const SPEED: u16 = 5;
        const UNKNOWN: u32 = u32::MAX;
        number(&self.get(ETHTOOL_MSG_LINKMODES_GET)?, SPEED)
            .filter(|&speed| speed != 0 && speed != UNKNOWN)
    }

    /// Descriptors in a receive ring of the NIC.
    #[must_use]
    pub fn receive_ring(&mut self) -> Option<Amount> {
        let answer = self.get(ETHTOOL_MSG_RINGS_GET)?;
        let now = number(&answer, rings::RX)?;
        Some(Amount { now, most: number(&answer, rings::RX_MAX).unwrap_or(now) })
    }

    /// Hash function and key.
    #[must_use]
    pub fn rss(&mut self) -> Option<Rss> {
        let answer = self.get(ETHTOOL_MSG_RSS_GET)?;
        let function = match number(&answer, rss::HFUNC)? {
            0x1 => "toeplitz",
            0x2 => "xor",
            0x4 => "crc32",
            _ => "unknown",
        };
        let key = attribute(&answer, rss::HKEY).unwrap_or_default().to_vec();
        Some(Rss {
            function,
            key,
            symmetric: number(&answer, rss::INPUT_XFRM).is_some_and(|bits| bits != 0),
        })
    }

    /// Names of the features that are on.
    #[must_use]
    pub fn features(&mut self) -> Option<Vec<String>> {
        let answer = self.get(ETHTOOL_MSG_FEATURES_GET)?;
        Some(names(attribute(&answer, features::ACTIVE)?))
    }

    /// Names of the features that can be changed.
    #[must_use]
    pub fn changeable_features(&mut self) -> Option<Vec<String>> {
        let answer = self.get(ETHTOOL_MSG_FEATURES_GET)?;
        Some(names(attribute(&answer, features::HW)?))
    }

    /// Turns a feature on or off.
    ///
    /// # Errors
    /// EPERM, EOPNOTSUPP; `Other` when the driver took the request and did not follow it.
    pub fn set_feature(&mut self, name: &str, on: bool) -> io::Result<()> {
        let mut bit = Vec::new();
        put_attribute(&mut bit, bitset::BIT_NAME, &[name.as_bytes(), b"\0"].concat());
        if on {
            put_attribute(&mut bit, bitset::BIT_VALUE, &[]);
        }
        let mut bits = Vec::new();
        put_nested(&mut bits, bitset::BIT, &bit);
        let mut wanted = Vec::new();
        put_nested(&mut wanted, bitset::BITS, &bits);
        let mut body = self.header();
        put_nested(&mut body, features::WANTED, &wanted);
        self.family.ask(ETHTOOL_MSG_FEATURES_SET, &body)?;
        let is_on = self.features().is_some_and(|active| active.iter().any(|found| found == name));
        if is_on == on { Ok(()) } else { Err(io::Error::other("the driver keeps it as it is")) }
    }

    /// Fields that are hashed for a kind of packet of [`FLOW_TYPES`] (RXH_ bits).
    #[must_use]
    pub fn hash_fields(&self, flow_type: u32) -> Option<u64> {
        const ETHTOOL_GRXFH: u32 = 0x29;
        let mut request = rxnfc(ETHTOOL_GRXFH, flow_type, 0);
        option::ethtool(self.socket.as_fd(), &self.name, &mut request).ok()?;
        u64_at(&request, 8)
    }

    /// Chooses the fields that are hashed for a kind of packet.
    ///
    /// # Errors
    /// EPERM; EOPNOTSUPP or EINVAL where the driver cannot.
    pub fn set_hash_fields(&self, flow_type: u32, fields: u64) -> io::Result<()> {
        const ETHTOOL_SRXFH: u32 = 0x2a;
        let mut request = rxnfc(ETHTOOL_SRXFH, flow_type, fields);
        option::ethtool(self.socket.as_fd(), &self.name, &mut request)
    }

    /// Sets the hash key; its length must be the NIC's.
    ///
    /// # Errors
    /// EPERM; EOPNOTSUPP or EINVAL where the driver cannot.
    pub fn set_hash_key(&self, key: &[u8]) -> io::Result<()> {
        const ETHTOOL_SRSSH: u32 = 0x47;
        const UNCHANGED: u32 = u32::MAX;
        // struct ethtool_rxfh: command, context, entries of the indirection table, octets of the key, hash function (0:
        // unchanged), input transformation (0: none), reserved (6 octets); then the key.
        let length = u32::try_from(key.len()).map_err(io::Error::other)?;
        let mut request: Vec<u8> =
            [ETHTOOL_SRSSH, 0, UNCHANGED, length].into_iter().flat_map(u32::to_ne_bytes).collect();
        request.extend_from_slice(&[0; 8]);
        request.extend_from_slice(key);
        option::ethtool(self.socket.as_fd(), &self.name, &mut request)
    }

    /// Number of the NIC's clock: `/dev/ptpN`.
    #[must_use]
    pub fn ptp_clock(&mut self) -> Option<u32> {
        const PHC_INDEX: u16 = 5;
        number(&self.get(ETHTOOL_MSG_TSINFO_GET)?, PHC_INDEX)
    }

    /// What the NIC stamps with its time.
    #[must_use]
    pub fn stamping(&self) -> Option<Stamping> {
        const SIOCGHWTSTAMP: libc::c_ulong = 0x89b1;
        let mut config = [0; 12];
        option::device(self.socket.as_fd(), SIOCGHWTSTAMP, &self.name, &mut config).ok()?;
        Some(Stamping { sent: u32_at(&config, 4)?, received: u32_at(&config, 8)? })
    }

    /// Chooses what the NIC stamps. The driver may do more than asked.
    ///
    /// # Errors
    /// EPERM; ERANGE or EOPNOTSUPP where the NIC cannot.
    pub fn set_stamping(&self, stamping: Stamping) -> io::Result<()> {
        const SIOCSHWTSTAMP: libc::c_ulong = 0x89b0;
        let mut config: Vec<u8> =
            [0, stamping.sent, stamping.received].into_iter().flat_map(u32::to_ne_bytes).collect();
        option::device(self.socket.as_fd(), SIOCSHWTSTAMP, &self.name, &mut config)
    }

    /// The driver's own statistics by name (`ethtool -S`), in its order. `None`: it has none.
    #[must_use]
    pub fn statistics(&self) -> Option<Vec<(String, u64)>> {
        const ETHTOOL_GSTRINGS: u32 = 0x1b;
        const ETHTOOL_GSTATS: u32 = 0x1d;
        const ETHTOOL_GSSET_INFO: u32 = 0x37;
        const ETH_SS_STATS: u32 = 1;
        const NAME: usize = 32;
        /// More than any driver has; bounds what is asked for.
        const MOST: usize = 1 << 16;
        let words =
            |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
        let ask = |data: &mut [u8]| option::ethtool(self.socket.as_fd(), &self.name, data).ok();
        // struct ethtool_sset_info: command, reserved, mask of the sets asked for (64 bits), then a count for each that exists.
        let mut count = [
            words(&[ETHTOOL_GSSET_INFO, 0]),
            (1u64 << ETH_SS_STATS).to_ne_bytes().to_vec(),
            words(&[0]),
        ]
        .concat();
        ask(&mut count)?;
        if u64_at(&count, 8)? == 0 {
            return None;
        }
        let count = u32_at(&count, 16)?;
        let entries = usize::try_from(count).ok().filter(|entries| (1..=MOST).contains(entries))?;
        // struct ethtool_gstrings: command, set, count, names. struct ethtool_stats: command, count, values.
        let mut names = words(&[ETHTOOL_GSTRINGS, ETH_SS_STATS, count]);
        names.resize(12 + entries * NAME, 0);
        ask(&mut names)?;
        let mut values = words(&[ETHTOOL_GSTATS, count]);
        values.resize(8 + entries * 8, 0);
        ask(&mut values)?;
        // Should the driver have fewer by now, the rest is empty.
        Some(
            names[12..]
                .chunks_exact(NAME)
                .map(text)
                .zip((0..entries).filter_map(|number| u64_at(&values, 8 + 8 * number)))
                .filter(|(name, _)| !name.is_empty())
                .collect(),
        )
    }

    fn header(&self) -> Vec<u8> {
        let mut header = Vec::new();
        put_attribute(&mut header, header::DEV_INDEX, &self.index.to_ne_bytes());
        let mut body = Vec::new();
        put_nested(&mut body, header::HEADER, &header);
        body
    }

    /// Attributes of the answer; `None` when the driver does not answer.
    fn get(&mut self, command: u8) -> Option<Vec<u8>> {
        let body = self.header();
        self.family.ask(command, &body).ok()
    }
}

/// The beginning of `struct ethtool_rxnfc`, which is all that these commands use: command, flow type, data.
fn rxnfc(command: u32, flow_type: u32, data: u64) -> Vec<u8> {
    [&command.to_ne_bytes()[..], &flow_type.to_ne_bytes(), &data.to_ne_bytes()].concat()
}

/// Names of the bits that are set in a bitset with names.
fn names(set: &[u8]) -> Vec<String> {
    let listed = attribute(set, bitset::BITS).unwrap_or_default();
    // With a mask every bit is listed, those that are set with a value; without one only those that are set.
    const NOMASK: u16 = 1;
    let all = attribute(set, NOMASK).is_some();
    Attributes(listed)
        .filter(|(_, bit)| all || attribute(bit, bitset::BIT_VALUE).is_some())
        .filter_map(|(_, bit)| attribute(bit, bitset::BIT_NAME).map(text))
        .collect()
}

fn number(attributes: &[u8], kind: u16) -> Option<u32> {
    attribute(attributes, kind).and_then(|value| u32_at(value, 0))
}

/// What a driver can do with XDP (`netdev` generic netlink family, kernel 6.3 on).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpFeatures {
    /// Programs in the driver, with redirect.
    pub native: bool,
    /// AF_XDP zero-copy.
    pub zero_copy: bool,
    /// Frames of several buffers.
    pub multi_buffer: bool,
    /// Buffers a zero-copy frame may have; 1: no multi-buffer.
    pub zero_copy_buffers: u32,
    /// The NIC's receive time for programs (`bpf_xdp_metadata_rx_timestamp`).
    pub receive_time: bool,
}

/// Asks the driver of the interface. `None`: the kernel is too old to say.
#[must_use]
pub fn xdp_features(interface: &Interface) -> Option<XdpFeatures> {
    const NETDEV_CMD_DEV_GET: u8 = 1;
    const IFINDEX: u16 = 1;
    const XDP_FEATURES: u16 = 3;
    const XDP_ZC_MAX_SEGS: u16 = 4;
    const XDP_RX_METADATA_FEATURES: u16 = 5;
    const TIMESTAMP: u64 = 1;
    const BASIC_AND_REDIRECT: u64 = 1 | 1 << 1;
    const XSK_ZEROCOPY: u64 = 1 << 3;
    const RX_SG: u64 = 1 << 5;
    let mut body = Vec::new();
    put_attribute(&mut body, IFINDEX, &interface.index.to_ne_bytes());
    let answer = Family::open("netdev").ok()?.ask(NETDEV_CMD_DEV_GET, &body).ok()?;
    let bits = attribute(&answer, XDP_FEATURES).and_then(|value| u64_at(value, 0))?;
    Some(XdpFeatures {
        native: bits & BASIC_AND_REDIRECT == BASIC_AND_REDIRECT,
        zero_copy: bits & XSK_ZEROCOPY != 0,
        multi_buffer: bits & RX_SG != 0,
        zero_copy_buffers: number(&answer, XDP_ZC_MAX_SEGS).unwrap_or(1),
        receive_time: attribute(&answer, XDP_RX_METADATA_FEATURES)
            .and_then(|value| u64_at(value, 0))
            .is_some_and(|bits| bits & TIMESTAMP != 0),
    })
}
