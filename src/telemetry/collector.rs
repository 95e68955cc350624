//! What became of the records for one collector.
//!
//! The line of the ledger: `records = sent + lost.encode + lost.queue + lost.send + moved + held`, and the sequence number of the
//! session's next message is the number of Data Records sent in it, modulo 2³² (RFC 7011 section 3.1).

use serde::{Deserialize, Serialize};

/// Flow records that did not reach the collector's transport, by cause. Each has another cure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// A record did not fit into a message: the preset is too long for the message size.
    pub encode: u64,
    /// The queue in front of a slow or absent collector was full.
    pub queue: u64,
    /// The transport refused the message: collector away, send buffer full, disk full.
    pub send: u64,
}

impl Lost {
    /// All causes together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.encode + self.queue + self.send
    }
}

/// Counters of one collector since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectorCounters {
    /// Flow records made for the collector.
    pub records: u64,
    /// Flow records made while the collector was not in the configuration.
    pub absent: u64,
    /// Flow records handed to the transport: the datagram was sent, the octets were taken by the connection or the file.
    pub sent: u64,
    /// Flow records lost.
    pub lost: Lost,
    /// Flow records given to another collector of the group, which counts them too.
    pub moved: u64,
    /// Collectors of one number share the records; those of 0 get all.
    pub group: u16,
    /// Packets in the lost flow records (`notSentPacketTotalCount`).
    pub not_sent_packets: u64,
    /// IP octets in the lost flow records (`notSentOctetTotalCount`).
    pub not_sent_octets: u64,
    /// When the first flow record was lost: nanoseconds since 1970, 0 if none was.
    pub first_lost: u64,
    /// When the last flow record was lost.
    pub last_lost: u64,
    /// Options records sent (statistics, types, keys, names).
    pub options: u64,
    /// Messages sent (`exportedMessageTotalCount`).
    pub messages: u64,
    /// Octets of the messages sent (`exportedOctetTotalCount`).
    pub octets: u64,
    /// Messages the transport refused.
    pub refused: u64,
    /// Templates announced, repetitions included.
    pub templates: u64,
    /// Transport Sessions begun: 1 for UDP and files, one a connection for TCP.
    pub sessions: u64,
}

impl CollectorCounters {
    /// Flow records made, and neither sent nor lost nor given away yet.
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.records.saturating_sub(self.sent + self.lost.total() + self.moved)
    }
}
