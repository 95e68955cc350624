//! What a driver says of its queues, rings and offloads (ethtool over generic netlink).
//!
//! In: an ifIndex. Out: numbers, `None` where the driver does not say.

use std::io;

use super::netlink::{Ask, Netlink, attribute, put_attribute, put_nested, u16_at, u32_at};

const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// Octets of `struct genlmsghdr`: command, version, two reserved.
const GENLMSGHDR: usize = 4;

const ETHTOOL_MSG_RINGS_GET: u8 = 15;
const ETHTOOL_MSG_CHANNELS_GET: u8 = 17;
const ETHTOOL_A_HEADER: u16 = 1;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;

/// Attribute types of ring and channel answers (`linux/ethtool_netlink.h`).
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

/// A number now and the most it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// As set now.
    pub now: u32,
    /// The most the driver takes.
    pub most: u32,
}

/// The `ethtool` generic netlink family.
#[derive(Debug)]
pub struct Ethtool {
    netlink: Netlink,
    family: u16,
}

impl Ethtool {
    /// Opens it.
    ///
    /// # Errors
    /// Generic netlink cannot be used, or the kernel has no ethtool family (before 5.6).
    pub fn open() -> io::Result<Self> {
        let mut netlink = Netlink::generic()?;
        let mut body = vec![CTRL_CMD_GETFAMILY, 1, 0, 0];
        put_attribute(&mut body, CTRL_ATTR_FAMILY_NAME, b"ethtool\0");
        let mut family = None;
        netlink.request(GENL_ID_CTRL, Ask::One, &body, |_, answer| {
            family = answer
                .get(GENLMSGHDR..)
                .and_then(|attributes| attribute(attributes, CTRL_ATTR_FAMILY_ID))
                .and_then(|value| u16_at(value, 0));
        })?;
        match family {
            Some(family) => Ok(Self { netlink, family }),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Receive queues in use: receive-only and combined channels.
    #[must_use]
    pub fn receive_queues(&mut self, interface: u32) -> Option<Amount> {
        let answer = self.get(ETHTOOL_MSG_CHANNELS_GET, interface)?;
        let sum =
            |kinds: [u16; 2]| kinds.into_iter().filter_map(|kind| number(&answer, kind)).sum();
        let amount = Amount {
            now: sum([channels::RX_COUNT, channels::COMBINED_COUNT]),
            most: sum([channels::RX_MAX, channels::COMBINED_MAX]),
        };
        (amount.now > 0).then_some(amount)
    }

    /// Descriptors in a receive ring of the NIC.
    #[must_use]
    pub fn receive_ring(&mut self, interface: u32) -> Option<Amount> {
        let answer = self.get(ETHTOOL_MSG_RINGS_GET, interface)?;
        let now = number(&answer, rings::RX)?;
        Some(Amount { now, most: number(&answer, rings::RX_MAX).unwrap_or(now) })
    }

    /// Attributes of the answer to a question about one interface; `None` when the driver does not answer it.
    fn get(&mut self, command: u8, interface: u32) -> Option<Vec<u8>> {
        let mut body = vec![command, 1, 0, 0];
        let mut header = Vec::new();
        put_attribute(&mut header, ETHTOOL_A_HEADER_DEV_INDEX, &interface.to_ne_bytes());
        put_nested(&mut body, ETHTOOL_A_HEADER, &header);
        let mut attributes = None;
        let answer = self.netlink.request(self.family, Ask::One, &body, |_, answer| {
            attributes = answer.get(GENLMSGHDR..).map(<[u8]>::to_vec);
        });
        answer.ok().and(attributes)
    }
}

fn number(attributes: &[u8], kind: u16) -> Option<u32> {
    attribute(attributes, kind).and_then(|value| u32_at(value, 0))
}
