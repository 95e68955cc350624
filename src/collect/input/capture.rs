//! Export messages in a capture: UDP datagrams, whole or in fragments, and TCP streams.

use super::fragments::Fragments;
use super::frame::{self, Packet, TCP, UDP};
use super::stream::Reader;
use super::tcp::Streams;
use super::{InputCounters, InputError, Queue, Received};
use crate::capture::{CaptureError, Frame, Poll, Source, pcap};
use crate::collect::event::{Checksum, Position, Protocol, Transport};
use crate::ipfix::{Anomaly, FIRST_DATA_SET, Kind, be16};
use std::net::SocketAddr;
use std::time::Duration;

/// Ports that exporters use; a datagram to one of them is taken whatever its version says about its length.
const PORTS: [u16; 9] = [2055, 2056, 4432, 4739, 6343, 9025, 9555, 9995, 9996];
/// Octets of a UDP header.
const UDP_HEADER: usize = 8;

/// A capture being read.
#[derive(Debug)]
pub(super) struct Capture {
    source: pcap::PcapSource,
    reading: Reading,
    queue: Queue,
    ended: bool,
}

/// What the capture is read into, frame by frame.
#[derive(Debug, Default)]
struct Reading {
    packets: u64,
    fragments: Fragments,
    streams: Streams,
}

impl Capture {
    pub(super) fn from_reader(reader: Reader, name: &str) -> Result<Self, InputError> {
        let source = pcap::from_reader(reader, name).map_err(|error| match error {
            CaptureError::Environment(text) => InputError::Environment(text),
            other => InputError::Usage(other.to_string()),
        })?;
        let (reading, queue) = (Reading::default(), Queue::default());
        Ok(Self { source, reading, queue, ended: false })
    }

    pub(super) fn next(
        &mut self,
        counters: &mut InputCounters,
    ) -> Result<Option<Received<'_>>, InputError> {
        while self.queue.is_empty() && !self.ended {
            let (reading, queue) = (&mut self.reading, &mut self.queue);
            let polled = self.source.poll(Duration::from_secs(1), &mut |frames| {
                for frame in frames {
                    reading.frame(frame, counters, queue);
                }
            });
            match polled {
                Ok(Poll::Frames(_) | Poll::Idle) => {}
                Ok(Poll::End) => self.end(counters),
                Err(CaptureError::Damaged { what, offset }) => {
                    tracing::warn!("{what} at offset {offset}");
                    counters.damaged += 1;
                    self.end(counters);
                }
                Err(error) => return Err(InputError::Environment(error.to_string())),
            }
        }
        counters.packets = self.reading.packets;
        counters.incomplete_datagrams = self.reading.fragments.given_up;
        if self.ended {
            counters.incomplete_datagrams += self.reading.fragments.waiting();
        }
        Ok(self.queue.next())
    }

    fn end(&mut self, counters: &mut InputCounters) {
        self.ended = true;
        self.reading.streams.end(counters, &mut self.queue);
    }
}

impl Reading {
    fn frame(&mut self, frame: &Frame<'_>, counters: &mut InputCounters, queue: &mut Queue) {
        self.packets += 1;
        let Some(packet) = frame::packet(frame.link, frame.data) else {
            counters.other_packets += 1;
            return;
        };
        let taken = match packet.fragment {
            None => self.upper(&packet, packet.payload, false, frame, counters, queue),
            Some(fragment) => match self.fragments.add(&packet, fragment) {
                None => Some(true),
                Some(whole) => self.upper(&packet, &whole, true, frame, counters, queue),
            },
        };
        counters.other_packets += u64::from(taken != Some(true));
    }

    /// Takes what an IP packet carries; says whether it is export.
    fn upper(
        &mut self,
        packet: &Packet<'_>,
        payload: &[u8],
        fragmented: bool,
        frame: &Frame<'_>,
        counters: &mut InputCounters,
        queue: &mut Queue,
    ) -> Option<bool> {
        let exporter = SocketAddr::new(packet.source, be16(payload, 0)?);
        let collector = SocketAddr::new(packet.destination, be16(payload, 2)?);
        let mut transport = Transport::file(0, 0);
        transport.position = Position::Packet(self.packets);
        transport.exporter = Some(exporter);
        transport.collector = Some(collector);
        transport.arrival = Some(frame.time.0);
        transport.fragmented = fragmented;
        transport.cut = packet.missing > 0;
        match packet.protocol {
            TCP => {
                transport.protocol = Protocol::Tcp;
                self.streams.segment(transport, payload, counters, queue)
            }
            UDP => {
                transport.protocol = Protocol::Udp;
                datagram(transport, payload, queue)
            }
            _ => None,
        }
    }
}

fn datagram(mut transport: Transport, payload: &[u8], queue: &mut Queue) -> Option<bool> {
    let stated = usize::from(be16(payload, 4)?);
    let checksum = be16(payload, 6)?;
    let captured = payload.get(UDP_HEADER..)?;
    // A UDP length of 0 is a jumbogram's or an offload's: then the IP payload says it.
    let length = if stated >= UDP_HEADER { stated - UDP_HEADER } else { captured.len() };
    let octets = captured.get(..length).unwrap_or(captured);
    if !is_export(octets, length, &transport) {
        return None;
    }
    transport.length = length;
    transport.cut |= octets.len() < length;
    transport.checksum = if checksum == 0 { Checksum::Zero } else { Checksum::Present };
    if octets.is_empty() {
        let kind = Kind::HeaderTruncated { available: 0 };
        queue.noise(transport, Anomaly { offset: 0, kind });
    } else {
        queue.message(transport, octets);
    }
    Some(true)
}

/// Whether a datagram looks like export: by its port and version, or by a version whose lengths fit.
fn is_export(octets: &[u8], length: usize, transport: &Transport) -> bool {
    let ports = [transport.exporter, transport.collector];
    let known = ports.iter().flatten().any(|address| PORTS.contains(&address.port()));
    let stated = be16(octets, 2).map_or(0, usize::from);
    match be16(octets, 0) {
        Some(5 | 9 | 10) if known => true,
        Some(10) => stated == length && length >= 16,
        Some(9) => {
            let set = be16(octets, 20).unwrap_or(2);
            let set_length = be16(octets, 22).map_or(0, usize::from);
            matches!(set, 0 | 1 | FIRST_DATA_SET..)
                && set_length >= 4
                && set_length + 20 <= length
                && (1..=length / 4).contains(&stated)
        }
        Some(5) => stated > 0 && length == 24 + 48 * stated,
        _ => false,
    }
}
