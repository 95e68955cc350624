//! An interface's own counters since a moment.

use super::super::SourceCounters;
use super::ethtool::Ethtool;
use super::{Interface, LinkStatistics};

/// The counters at the moment a source was opened.
#[derive(Debug)]
pub(crate) struct Baseline {
    interface: Interface,
    start: LinkStatistics,
    /// The driver's statistics that tell of loss.
    statistics: Vec<(String, u64)>,
    /// The other end of a veth pair, when it is in this namespace: frames that its ring had no room for are counted there.
    peer: Option<(Interface, LinkStatistics)>,
    /// The driver counts in `rx_dropped` what an XDP redirect refused, and the socket counted already.
    dropped_by_xdp: bool,
}

impl Baseline {
    /// Reads the counters.
    pub(crate) fn of(interface: &Interface) -> Self {
        let peer = interface
            .link
            .filter(|_| interface.kind.as_deref() == Some("veth"))
            .and_then(|index| Interface::by_index(index).ok().flatten())
            .filter(|peer| peer.link == Some(interface.index));
        let statistics =
            |interface: &Interface| interface.statistics().ok().flatten().unwrap_or_default();
        Self {
            start: statistics(interface),
            statistics: loss_statistics(interface),
            peer: peer.map(|peer| {
                let start = statistics(&peer);
                (peer, start)
            }),
            dropped_by_xdp: matches!(interface.driver().as_deref(), Some("veth" | "virtio_net")),
            interface: interface.clone(),
        }
    }

    /// Frames received and frames lost since then; `None`: the interface is gone.
    pub(crate) fn since(&self) -> Option<Loss> {
        let now = self.interface.statistics().ok().flatten()?;
        let grown = |of: fn(&LinkStatistics) -> u64| of(&now).saturating_sub(of(&self.start));
        let mut loss = Loss {
            received: grown(|of| of.rx_packets),
            missed: grown(|of| of.rx_missed_errors),
            fifo: grown(|of| of.rx_fifo_errors),
            over: grown(|of| of.rx_over_errors),
            dropped: 0,
        };
        if !self.dropped_by_xdp {
            loss.dropped = grown(|of| of.rx_dropped);
        }
        if let Some((peer, start)) = &self.peer
            && let Ok(Some(now)) = peer.statistics()
        {
            loss.missed += now.tx_dropped.saturating_sub(start.tx_dropped);
        }
        Some(loss)
    }

    /// Statistics of the driver that tell of loss and have grown since then.
    pub(crate) fn statistics(&self) -> Vec<(String, u64)> {
        let now = loss_statistics(&self.interface);
        let before = |name: &str| {
            let found = self.statistics.iter().find(|(found, _)| found == name);
            found.map_or(0, |(_, value)| *value)
        };
        now.into_iter()
            .map(|(name, value)| {
                let grown = value.saturating_sub(before(&name));
                (name, grown)
            })
            .filter(|(_, grown)| *grown > 0)
            .take(MOST_STATISTICS)
            .collect()
    }
}

/// What an interface counted since a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) received: u64,
    pub(crate) missed: u64,
    pub(crate) fifo: u64,
    pub(crate) over: u64,
    pub(crate) dropped: u64,
}

impl Loss {
    /// Puts them in the place of those of `counters`.
    pub(crate) const fn write(self, counters: &mut SourceCounters) {
        counters.nic_received = self.received;
        counters.nic_missed = self.missed;
        counters.nic_fifo = self.fifo;
        counters.nic_over = self.over;
        counters.nic_dropped = self.dropped;
    }
}

/// Most statistics of a driver that are told. Some have one a queue.
const MOST_STATISTICS: usize = 64;

fn loss_statistics(interface: &Interface) -> Vec<(String, u64)> {
    let statistics = Ethtool::open(interface).ok().and_then(|ethtool| ethtool.statistics());
    let mut statistics = statistics.unwrap_or_default();
    statistics.retain(|(name, _)| tells_of_loss(name));
    statistics
}

/// Whether a statistic of a driver counts frames that were lost in reception. Names are each driver's own:
/// `rx_missed_errors`, `rx_no_buffer_count` (igb, ixgbe), `rx_out_of_buffer`, `rx_discards_phy` (mlx5), `port.rx_dropped` (i40e),
/// `rx_queue_0_drops` (virtio-net), `rx_no_dma_resources` (ixgbe), `alloc_rx_buff_failed` (Intel) …
fn tells_of_loss(name: &str) -> bool {
    const WORDS: [&str; 12] = [
        "missed",
        "no_buf",
        "nobuf",
        "out_of_buf",
        "discard",
        "drop",
        "fifo",
        "overrun",
        "over_err",
        "no_dma",
        "alloc",
        "oversize",
    ];
    let name = name.to_ascii_lowercase();
    let sent = name.starts_with("tx") || name.contains(".tx") || name.contains("_tx");
    !sent && WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::tells_of_loss;

    #[test]
    fn statistics_that_tell_of_loss_are_known_by_name() {
        for name in [
            "rx_missed_errors",
            "rx_no_buffer_count",
            "rx_out_of_buffer",
            "rx_discards_phy",
            "port.rx_dropped",
            "rx_queue_3_drops",
            "rx_no_dma_resources",
            "alloc_rx_buff_failed",
            "rx_fifo_errors",
            "rx_oversize_pkts_phy",
            "rx0_xdp_drop",
        ] {
            assert!(tells_of_loss(name), "{name}");
        }
        for name in ["rx_packets", "tx_dropped", "port.tx_dropped", "rx_bytes", "tx_queue_0_drops"]
        {
            assert!(!tells_of_loss(name), "{name}");
        }
    }
}
