//! Numbers in network order: read with bounds, and written into a buffer of fixed size.

/// Two octets at `at`.
#[inline]
pub(crate) fn be16(octets: &[u8], at: usize) -> Option<u16> {
    octets.get(at..)?.first_chunk().map(|&chunk| u16::from_be_bytes(chunk))
}

/// Four octets at `at`.
#[inline]
pub(crate) fn be32(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().map(|&chunk| u32::from_be_bytes(chunk))
}

/// Writes the values of one record, one after the other, into the octets that are left of a message.
///
/// A write that does not fit writes nothing and is remembered ([`Writer::overflowed`]), so that a record is written
/// without a check at each field.
#[derive(Debug)]
pub struct Writer<'a> {
    octets: &'a mut [u8],
    at: usize,
    overflowed: bool,
}

impl<'a> Writer<'a> {
    /// Writes into `octets` from the first on.
    #[inline]
    #[must_use]
    pub fn new(octets: &'a mut [u8]) -> Self {
        Self { octets, at: 0, overflowed: false }
    }

    /// Octets written.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.at
    }

    /// Whether nothing is written.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// Whether a write did not fit.
    #[inline]
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// What is written.
    #[inline]
    #[must_use]
    pub fn written(&self) -> &[u8] {
        self.octets.get(..self.at).unwrap_or(&[])
    }

    #[inline]
    fn array<const N: usize>(&mut self, octets: [u8; N]) {
        match self.octets.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut) {
            Some(place) => {
                *place = octets;
                self.at += N;
            }
            None => self.overflowed = true,
        }
    }

    /// One octet.
    #[inline]
    pub fn u8(&mut self, value: u8) {
        self.array([value]);
    }

    /// Two octets.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.array(value.to_be_bytes());
    }

    /// Four octets.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.array(value.to_be_bytes());
    }

    /// Eight octets.
    #[inline]
    pub fn u64(&mut self, value: u64) {
        self.array(value.to_be_bytes());
    }

    /// An integer in its `length` lowest octets (RFC 7011 section 6.2); longer than eight gets zeros in front. The
    /// value must fit.
    #[inline]
    pub fn reduced(&mut self, value: u64, length: usize) {
        debug_assert!(length >= 8 || value >> (8 * length) == 0, "{value} in {length} octets");
        let bytes = value.to_be_bytes();
        for _ in 8..length {
            self.u8(0);
        }
        self.octets(&bytes[8 - length.min(8)..]);
    }

    /// A boolean: 1 is true, 2 is false (RFC 7011 section 6.1.5).
    #[inline]
    pub fn boolean(&mut self, value: bool) {
        self.u8(if value { 1 } else { 2 });
    }

    /// Octets as they are.
    #[inline]
    pub fn octets(&mut self, octets: &[u8]) {
        match self.octets.get_mut(self.at..self.at + octets.len()) {
            Some(place) => {
                place.copy_from_slice(octets);
                self.at += octets.len();
            }
            None => self.overflowed = true,
        }
    }

    /// A variable-length value: length, then octets (RFC 7011 section 7). Longer than 65,535 does not fit.
    pub fn variable(&mut self, octets: &[u8]) {
        if let Ok(short @ 0..=254) = u8::try_from(octets.len()) {
            self.u8(short);
        } else if let Ok(length) = u16::try_from(octets.len()) {
            self.u8(255);
            self.u16(length);
        } else {
            self.overflowed = true;
            return;
        }
        self.octets(octets);
    }

    /// A variable-length value that `write` writes. The short form of the length is used where it can be.
    pub fn variable_with(&mut self, write: impl FnOnce(&mut Self)) {
        let start = self.at;
        self.u8(0);
        write(self);
        if self.overflowed {
            return;
        }
        let length = self.at - start - 1;
        if let Ok(short @ 0..=254) = u8::try_from(length) {
            self.patch(start, &[short]);
        } else if let (Ok(length), Some(_)) =
            (u16::try_from(length), self.octets.get(self.at..self.at + 2))
        {
            self.octets.copy_within(start + 1..self.at, start + 3);
            self.at += 2;
            let [high, low] = length.to_be_bytes();
            self.patch(start, &[255, high, low]);
        } else {
            self.overflowed = true;
        }
    }

    /// Writes two octets now, and afterwards puts into them the length of what `write` wrote plus `extra`.
    pub(super) fn length_with(&mut self, extra: usize, write: impl FnOnce(&mut Self)) {
        let start = self.at;
        self.u16(0);
        write(self);
        if self.overflowed {
            return;
        }
        match u16::try_from(self.at - start - 2 + extra) {
            Ok(length) => self.patch(start, &length.to_be_bytes()),
            Err(_) => self.overflowed = true,
        }
    }

    fn patch(&mut self, at: usize, octets: &[u8]) {
        if let Some(place) = self.octets.get_mut(at..at + octets.len()) {
            place.copy_from_slice(octets);
        }
    }
}
