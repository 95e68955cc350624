//! What fuzz targets read of an input: a file of messages or a capture as a whole, and the same octets as one datagram.

use sixtap::collect::{Input, Protocol, Received, Transport};
use std::io::Cursor;
use std::time::Duration;

/// Steps of one input at most: so many messages of 16 octets does a large input hold.
const STEPS: usize = 65_536;

/// Gives every step of the input, then the input as a datagram, twice.
pub(crate) fn each(input: &[u8], mut take: impl FnMut(Received<'_>)) {
    if let Ok(mut source) = Input::from_reader(Cursor::new(input.to_vec()), "fuzz") {
        for _ in 0..STEPS {
            match source.next(Duration::ZERO) {
                Ok(Some(received)) => take(received),
                _ => break,
            }
        }
    }
    let exporter = "[2001:db8::1]:4739".parse().ok();
    for position in 1..3 {
        let transport = Transport {
            protocol: Protocol::Udp,
            exporter,
            arrival: Some(1_700_000_000_000_000_000),
            ..Transport::file(input.len(), position)
        };
        take(Received::Message { transport, octets: input });
    }
}
