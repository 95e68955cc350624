//! Octets of one frame to facts.
//!
//! In: a [`Frame`]. Out: [`Facts`] for every IP packet that the plan asks for (the outermost, the innermost, or both), a
//! [`Detail`] beside it where it has more than a plain packet, or a [`Reason`] why it is not metered.
//!
//! Two ways through, one result:
//! [`plain`] reads what most packets are (Ethernet, at most two VLAN tags, IPv4 without options, IPv6 followed by TCP, UDP
//! or ICMPv6 directly or behind a short chain of whole extension headers) and declines all others; [`walk`] reads everything.
//! Where `plain` accepts, `walk` gives the same facts (tested).
//!
//! Invariants: never reads past the captured octets, nor past the end that the IP header states; no clock, no allocation,
//! no panic. Every frame is counted once in [`Outcomes`].

mod facts;
pub mod ipv4;
pub mod ipv6;
mod key;
mod layers;
pub mod link;
pub mod plain;
mod short;
#[cfg(test)]
mod tests;
pub mod transport;
pub mod tunnel;
pub mod user;
mod walk;

pub use facts::{Detail, Facts, Fragment, Layers, Outcomes, Packets, Reason, Traffic};
pub use key::Key;
pub use layers::{
    Chain, Layer2, RUNS, SEGMENTS, Section, Segments, TcpOptions, Tunnel, TunnelKind, feature,
};
pub use short::ShortChain;
pub use walk::{outermost, parse};

use crate::capture::Frame;

/// Which IP header of a tunnelled packet is metered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TunnelMode {
    /// The outermost (default; what the Observation Point saw).
    #[default]
    Outer,
    /// The innermost that can be reached.
    Inner,
    /// Every one: the inner flows carry elements that say what carried them.
    Both,
}

/// What the parser is asked for. Part of the plan, resolved once.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most extension headers of a packet to walk; a chain that goes on is marked as cut (IE 517 false).
    pub chain_limit: u32,
    /// Which IP headers are metered.
    pub tunnel: TunnelMode,
    /// Whether every packet gets a [`Detail`], also a plain one (templates with link-layer or change elements).
    pub detail: bool,
    /// Whether flow label and traffic class are Flow Keys (`--template covert`).
    pub label_key: bool,
    /// User-defined elements; none costs nothing.
    pub user: user::Extractions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            chain_limit: u32::MAX,
            tunnel: TunnelMode::Outer,
            detail: false,
            label_key: false,
            user: user::Extractions::default(),
        }
    }
}

/// Reads one frame by the shortest way and appends what it found to `packets`.
#[inline]
pub fn read(frame: &Frame<'_>, options: &Options, packets: &mut Packets) {
    packets.begin_frame();
    if !options.detail
        && options.tunnel == TunnelMode::Outer
        && packets
            .write_plain(options.label_key, |facts| plain::read(frame, options.chain_limit, facts))
    {
        return;
    }
    parse(frame, options, packets);
}

/// Two octets at `offset` in network byte order; `None` past the end.
#[inline]
pub(crate) fn be16(data: &[u8], offset: usize) -> Option<u16> {
    data.get(offset..)?.first_chunk().map(|octets| u16::from_be_bytes(*octets))
}

/// Four octets at `offset` in network byte order; `None` past the end.
#[inline]
pub(crate) fn be32(data: &[u8], offset: usize) -> Option<u32> {
    data.get(offset..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
}
