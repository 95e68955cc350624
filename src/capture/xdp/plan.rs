//! From what was asked for to numbers: which queues, how large the buffers, how many.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::interface::Interface;
use super::super::interface::ethtool::Ethtool;
use super::super::{BATCH, CaptureError};
use super::queue::Shape;
use super::stamp::{STAMP, Timestamps};
use super::{Mode, Options};

/// The queues asked for, ascending, each of which must be there.
pub(super) fn queues(options: &Options, interface: &Interface) -> Result<Vec<u32>, CaptureError> {
    let in_use = receive_queues(interface);
    let Some(asked) = &options.queues else { return Ok((0..in_use).collect()) };
    let queues: BTreeSet<u32> = asked.iter().copied().collect();
    if queues.is_empty() {
        return Err(CaptureError::Usage("no receive queue is asked for".to_owned()));
    }
    match queues.iter().find(|&&queue| queue >= in_use) {
        None => Ok(queues.into_iter().collect()),
        Some(queue) => Err(CaptureError::Environment(format!(
            "{name} has {in_use} receive queue{s} (0 to {last}), not queue {queue}: ask for those, or `ethtool -L {name} combined {more}`",
            name = interface.name,
            s = if in_use == 1 { "" } else { "s" },
            last = in_use - 1,
            more = queues.last().unwrap_or(queue) + 1,
        ))),
    }
}

/// Receive queues in use.
pub(super) fn receive_queues(interface: &Interface) -> u32 {
    let channels = Ethtool::open(interface).ok().and_then(|mut ethtool| ethtool.receive_queues());
    channels.map_or(interface.receive_queues_at_most, |amount| amount.now).max(1)
}

/// Octets that may stand before the IP packet: Ethernet and two VLAN tags.
pub(super) const LINK_HEADERS: u32 = 14 + 2 * 4;
/// Octets that virtio-net puts before the data in the same buffer, rounded up.
const VIRTIO_HEADROOM: u32 = 64;

pub(super) fn shape(options: &Options, interface: &Interface) -> Result<Shape, CaptureError> {
    if !options.ring.is_power_of_two() || !(64..=65536).contains(&options.ring) {
        return Err(CaptureError::Usage(format!(
            "ring of {} entries: a power of two from 64 to 65536 is needed",
            options.ring
        )));
    }
    let driver = interface.driver().unwrap_or_default();
    let headroom = if driver == "virtio_net" { VIRTIO_HEADROOM } else { 0 };
    let with = |frame_size| Shape {
        frame_size,
        headroom,
        granule: granule(&driver),
        rx_ring: options.ring,
        frames: 0,
        huge_pages: options.huge_pages,
        node: interface.numa_node(),
        stamp: match options.timestamps {
            Timestamps::Batch => 0,
            Timestamps::Packet | Timestamps::Nic(_) => STAMP as u32,
        },
    };
    let frame_size = match options.frame_size {
        Some(size @ (2048 | 4096)) => size,
        Some(other) => {
            return Err(CaptureError::Usage(format!(
                "UMEM frames of {other} octets: 2048 or 4096 are possible"
            )));
        }
        None if interface.mtu.saturating_add(LINK_HEADERS) <= with(2048).room() => 2048,
        None => 4096,
    };
    // There must be frames to feed the NIC's ring while the socket's ring is full of frames not yet taken.
    let nic_ring = Ethtool::open(interface)
        .ok()
        .and_then(|mut ethtool| ethtool.receive_ring())
        .map_or(1024, |ring| ring.now);
    let frames = nic_ring.saturating_add(options.ring).max(2 * BATCH as u32);
    Ok(Shape { frames: frames.min(1 << 20).next_power_of_two(), ..with(frame_size) })
}

/// In what steps a NIC can be told the size of its buffers. igb, igc and ixgbe count in KiB: of a buffer of 1792 octets they
/// use 1024, and a longer frame goes on in the next buffer as if it were another frame. What is not known counts as that.
fn granule(driver: &str) -> u32 {
    match driver {
        "i40e" | "iavf" | "ice" | "mlx5_core" | "veth" | "virtio_net" => 128,
        _ => 1024,
    }
}

/// How long a worker that has emptied its rings may look away. Frames come meanwhile as fast as link and mode let them at most: then half
/// a ring is full when the worker is awake again.
pub(super) fn pause(interface: &Interface, shape: Shape, mode: Mode) -> Duration {
    let speed = Ethtool::open(interface).ok().and_then(|mut ethtool| ethtool.speed());
    pause_of(shape.rx_ring, speed, mode.zero_copy)
}

/// `speed`: megabits a second of the link.
fn pause_of(rx_ring: u32, speed: Option<u32>, zero_copy: bool) -> Duration {
    /// Frames a second that the mode can bring to one queue. Published are 16.5 million with zero-copy and 1.7 million with a
    /// copy, on one NIC (xdp-project/bpf-examples issue 61). At twice as many the ring is full, not more than full, when the pause ends.
    const BY_ZERO_COPY: u64 = 20_000_000;
    const BY_COPY: u64 = 2_000_000;
    /// The smallest frames, with preamble and gap: 84 octets on the wire.
    const FRAMES_PER_MEGABIT: u64 = 1_000_000 / (84 * 8);
    /// A timer's slack (PR_SET_TIMERSLACK), which comes on top.
    const SLACK: Duration = Duration::from_micros(50);
    /// Stamps of a batch are late by as much.
    const LONGEST: Duration = Duration::from_millis(1);
    let by_mode = if zero_copy { BY_ZERO_COPY } else { BY_COPY };
    let rate =
        speed.map_or(by_mode, |speed| by_mode.min(u64::from(speed).max(1) * FRAMES_PER_MEGABIT));
    let half = Duration::from_nanos(u64::from(rx_ring / 2) * 1_000_000_000 / rate);
    half.saturating_sub(SLACK).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_pause_half_a_ring_fills_at_most() {
        let microseconds = |ring, speed, zero_copy| pause_of(ring, speed, zero_copy).as_micros();
        // 2048 frames at 20 million a second: 102 µs.
        assert_eq!(microseconds(4096, None, true), 52);
        assert_eq!(microseconds(4096, Some(100_000), true), 52);
        // 14.88 million a second.
        assert_eq!(microseconds(4096, Some(10_000), true), 87);
        assert_eq!(microseconds(4096, Some(10_000), false), 974);
        assert_eq!(microseconds(4096, Some(1000), true), 1000);
        // A ring that fills before the timer is up.
        assert_eq!(microseconds(128, None, false), 0);
        for (ring, speed, rate) in
            [(1024, 10_000, 14.88e6), (4096, 25_000, 20e6), (65536, 1000, 1.488e6)]
        {
            let pause = pause_of(ring, Some(speed), true).as_secs_f64() + 50e-6;
            assert!(pause * rate <= f64::from(ring / 2) * 1.001 || pause < 51e-6, "{ring} {speed}");
        }
    }
}
