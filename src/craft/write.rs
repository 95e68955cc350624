//! A classic pcap file, written as a stream.
//!
//! In: frames with times. Out: octets, little-endian, micro- or nanoseconds.

use std::io::{self, Write};

/// Octets ahead of each frame.
const RECORD: usize = 16;

/// Writes a pcap file (LINKTYPE_ETHERNET).
#[derive(Debug)]
pub struct PcapWriter<W: Write> {
    output: W,
    nanoseconds: bool,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the file header.
    ///
    /// # Errors
    /// Those of the output.
    pub fn new(mut output: W, nanoseconds: bool) -> io::Result<Self> {
        let magic = if nanoseconds { 0xa1b2_3c4d_u32 } else { 0xa1b2_c3d4 };
        for word in [magic, 4 << 16 | 2, 0, 0, 262_144, 1] {
            output.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { output, nanoseconds })
    }

    /// Writes one frame: `time` in nanoseconds since the UNIX epoch, `wire_length` as the frame was before it was cut.
    ///
    /// # Errors
    /// Those of the output.
    pub fn frame(&mut self, time: u64, wire_length: u32, octets: &[u8]) -> io::Result<()> {
        let unit = if self.nanoseconds { 1 } else { 1000 };
        let fraction = (time % 1_000_000_000 / unit) as u32;
        let words = [(time / 1_000_000_000) as u32, fraction, octets.len() as u32, wire_length];
        let mut record = [0; RECORD];
        for (room, word) in record.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *room = word.to_le_bytes();
        }
        self.output.write_all(&record)?;
        self.output.write_all(octets)
    }

    /// Flushes, and gives the output back.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self) -> io::Result<W> {
        self.output.flush()?;
        Ok(self.output)
    }
}
