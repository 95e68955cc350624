//! An interface's own counters since a moment.

use super::{Interface, LinkStatistics};

/// The counters at the moment a source was opened.
#[derive(Debug)]
pub(crate) struct Baseline {
    interface: Interface,
    start: LinkStatistics,
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
            peer: peer.map(|peer| {
                let start = statistics(&peer);
                (peer, start)
            }),
            dropped_by_xdp: matches!(interface.driver().as_deref(), Some("veth" | "virtio_net")),
            interface: interface.clone(),
        }
    }

    /// Frames received and frames lost since then; `None`: the interface is gone.
    pub(crate) fn since(&self) -> Option<(u64, u64)> {
        let now = self.interface.statistics().ok().flatten()?;
        let grown = |of: fn(&LinkStatistics) -> u64| of(&now).saturating_sub(of(&self.start));
        let mut missed = grown(|of| of.rx_missed_errors)
            + grown(|of| of.rx_fifo_errors)
            + grown(|of| of.rx_over_errors);
        if !self.dropped_by_xdp {
            missed += grown(|of| of.rx_dropped);
        }
        if let Some((peer, start)) = &self.peer
            && let Ok(Some(now)) = peer.statistics()
        {
            missed += now.tx_dropped.saturating_sub(start.tx_dropped);
        }
        Some((grown(|of| of.rx_packets), missed))
    }
}
