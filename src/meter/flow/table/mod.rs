//! The flow table: fixed capacity, no allocation after the start, bounded work for every packet.
//!
//! In: hashes and keys. Out: indexes of entries.
//!
//! ```text
//! bucket (64 octets)   tags 8 × 16 bits | entry indexes 8 × 32 bits | moved 16 bits
//! entry  (128 octets)  FlowRecord
//! ```
//!
//! A key has two buckets: the one its hash names, and the one its tag leads to from there. It is put in the second only when
//! the first is full, and `moved` of the first counts how many were: 0 ends a search after one cache line.
//!
//! Invariants:
//! - a slot with tag 0 is empty; any other slot's index is an entry in use whose key hashes to this bucket and tag;
//! - each entry in use stands in exactly one slot; entries not in use have [`FREE`] as key word 5, which no key has;
//! - `moved` of a bucket counts the entries whose first bucket it is and which stand in their second (saturating: then it stays).

mod memory;
#[cfg(test)]
mod tests;

use super::hash::Secret;
use super::{FlowRecord, Key};
use memory::Region;
pub(super) use memory::prefetch;

const SLOTS: usize = 8;

/// Word 5 of the key of an entry that is not in use.
const FREE: u64 = u64::MAX;

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

/// Eight slots in one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Bucket {
    tags: [u16; SLOTS],
    entries: [u32; SLOTS],
    moved: u16,
}

const _: () = assert!(size_of::<Bucket>() == 64, "a bucket is one cache line");

/// What [`Table::insert`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Insert {
    /// The new entry, with its key set and the rest zero.
    Entry(u32),
    /// There is no room: this entry has to go first.
    Evict(u32),
}

/// The table of one worker.
pub(super) struct Table {
    buckets: Region<Bucket>,
    entries: Region<FlowRecord>,
    free: Region<u32>,
    free_count: usize,
    /// Entries from here on were never used.
    fresh: usize,
    mask: u64,
    secret: Secret,
    hand: usize,
}

impl Table {
    /// A table for `capacity` flows. `None` if the memory cannot be had or the capacity has no 32-bit index.
    pub(super) fn new(capacity: usize, secret: Secret) -> Option<Self> {
        if capacity == 0 || capacity >= NONE as usize {
            return None;
        }
        // At most three quarters of the slots are in use when the table is full.
        let buckets = (capacity * 4 / 3).div_ceil(SLOTS).next_power_of_two();
        Some(Self {
            buckets: Region::new(buckets)?,
            entries: Region::new(capacity)?,
            free: Region::new(capacity)?,
            free_count: 0,
            fresh: 0,
            mask: buckets as u64 - 1,
            secret,
            hand: 0,
        })
    }

    /// Flows the table has room for.
    pub(super) fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// Flows in the table.
    pub(super) fn len(&self) -> usize {
        self.fresh - self.free_count
    }

    /// Entries that were ever used: all flows have a lower index.
    #[inline]
    pub(super) fn high_water(&self) -> usize {
        self.fresh
    }

    #[inline(always)]
    pub(super) fn hash(&self, key: &Key) -> u64 {
        self.secret.hash(key)
    }

    /// First of two steps of a search: brings the bucket near.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: u64) {
        prefetch(&self.buckets[(hash & self.mask) as usize]);
    }

    /// Second step: an entry that may be the one, brought near; [`NONE`] if there is surely none in the first bucket.
    #[inline(always)]
    pub(super) fn candidate(&self, hash: u64) -> u32 {
        let bucket = &self.buckets[(hash & self.mask) as usize];
        let matches = matches(&bucket.tags, tag(hash));
        if matches == 0 {
            return NONE;
        }
        let entry = bucket.entries[matches.trailing_zeros() as usize % SLOTS];
        self.near(entry as usize);
        entry
    }

    /// Brings the entry at `index` near.
    #[inline(always)]
    pub(super) fn near(&self, index: usize) {
        if let Some(record) = self.entries.get(index) {
            prefetch(record);
            prefetch(&record.packets);
        }
    }

    /// The entry at `index`, if it is in use and has `key`.
    #[inline(always)]
    pub(super) fn matching(&mut self, index: u32, key: &Key) -> Option<&mut FlowRecord> {
        self.entries.get_mut(index as usize).filter(|record| same(&record.key, key))
    }

    /// The entry at `index`, which must have come from this table.
    #[inline(always)]
    pub(super) fn entry(&mut self, index: u32) -> &mut FlowRecord {
        &mut self.entries[index as usize]
    }

    /// The entry at `index`, if it is in use.
    pub(super) fn used(&self, index: usize) -> Option<&FlowRecord> {
        self.entries.get(index).filter(|record| record.key.0[5] != FREE && index < self.fresh)
    }

    /// The entry of `key`, by the full key.
    pub(super) fn find(&self, hash: u64, key: &Key) -> Option<u32> {
        let first = hash & self.mask;
        let bucket = &self.buckets[first as usize];
        self.find_in(bucket, hash, key).or_else(|| {
            if bucket.moved == 0 {
                return None;
            }
            self.find_in(&self.buckets[self.second(first, hash) as usize], hash, key)
        })
    }

    fn find_in(&self, bucket: &Bucket, hash: u64, key: &Key) -> Option<u32> {
        slots(matches(&bucket.tags, tag(hash)))
            .map(|slot| bucket.entries[slot])
            .find(|entry| same(&self.entries[*entry as usize].key, key))
    }

    fn second(&self, first: u64, hash: u64) -> u64 {
        // Odd, so that it is never the first again unless there is but one bucket.
        (first ^ (u64::from(tag(hash)).wrapping_mul(0x5bd1_e995) | 1)) & self.mask
    }

    /// Puts in `key`, which is not there.
    pub(super) fn insert(&mut self, hash: u64, key: &Key) -> Insert {
        let first = hash & self.mask;
        let second = self.second(first, hash);
        let empty = |bucket: &Bucket| bucket.tags.iter().position(|tag| *tag == 0);
        let found = empty(&self.buckets[first as usize])
            .map(|slot| (first, slot))
            .or_else(|| empty(&self.buckets[second as usize]).map(|slot| (second, slot)))
            .or_else(|| self.make_room(first).map(|slot| (first, slot)))
            .or_else(|| self.make_room(second).map(|slot| (second, slot)));
        let Some((bucket, slot)) = found else {
            return Insert::Evict(self.oldest_of([first, second]));
        };
        let Some(index) = self.take_entry() else {
            return Insert::Evict(self.oldest_nearby());
        };
        if bucket != first {
            let first = &mut self.buckets[first as usize];
            first.moved = first.moved.saturating_add(1);
        }
        let bucket = &mut self.buckets[bucket as usize];
        bucket.tags[slot] = tag(hash);
        bucket.entries[slot] = index;
        self.entries[index as usize] = FlowRecord { key: *key, ..FlowRecord::default() };
        Insert::Entry(index)
    }

    /// Moves one entry of a full bucket to its other bucket, if any of those has an empty slot. Bounded: eight looks.
    #[cold]
    fn make_room(&mut self, place: u64) -> Option<usize> {
        (0..SLOTS).find(|slot| {
            let bucket = self.buckets[place as usize];
            let (tag, entry) = (bucket.tags[*slot], bucket.entries[*slot]);
            let hash = self.secret.hash(&self.entries[entry as usize].key);
            let first = hash & self.mask;
            let other = if place == first { self.second(first, hash) } else { first };
            let target = &mut self.buckets[other as usize];
            let Some(empty) = target.tags.iter().position(|tag| *tag == 0) else { return false };
            target.tags[empty] = tag;
            target.entries[empty] = entry;
            let moved = &mut self.buckets[first as usize].moved;
            if place == first {
                *moved = moved.saturating_add(1);
            } else if *moved != u16::MAX {
                *moved -= 1;
            }
            self.buckets[place as usize].tags[*slot] = 0;
            true
        })
    }

    fn take_entry(&mut self) -> Option<u32> {
        if self.free_count > 0 {
            self.free_count -= 1;
            return Some(self.free[self.free_count]);
        }
        if self.fresh < self.entries.len() {
            self.fresh += 1;
            return Some(self.fresh as u32 - 1);
        }
        None
    }

    /// Takes the entry at `index`, whose key has `hash`, out of the table.
    pub(super) fn remove(&mut self, index: u32, hash: u64) -> FlowRecord {
        let record = self.entries[index as usize];
        debug_assert_eq!(hash, self.secret.hash(&record.key));
        let first = hash & self.mask;
        for place in [first, self.second(first, hash)] {
            let bucket = &mut self.buckets[place as usize];
            let Some(slot) =
                slots(matches(&bucket.tags, tag(hash))).find(|slot| bucket.entries[*slot] == index)
            else {
                continue;
            };
            bucket.tags[slot] = 0;
            if place != first {
                let first = &mut self.buckets[first as usize];
                if first.moved != u16::MAX {
                    first.moved = first.moved.saturating_sub(1);
                }
            }
            break;
        }
        self.entries[index as usize].key.0[5] = FREE;
        self.free[self.free_count] = index;
        self.free_count += 1;
        record
    }

    /// Of the flows in two full buckets, the one that was silent longest.
    fn oldest_of(&self, buckets: [u64; 2]) -> u32 {
        buckets
            .iter()
            .flat_map(|bucket| self.buckets[*bucket as usize].entries)
            .min_by_key(|entry| self.entries[*entry as usize].last)
            .unwrap_or(0)
    }

    /// Of the next few entries under the clock hand, the one that was silent longest: a bounded scan, not the whole table.
    fn oldest_nearby(&mut self) -> u32 {
        const SCAN: usize = 32;
        let length = self.entries.len();
        let start = self.hand;
        self.hand = (self.hand + SCAN) % length;
        (0..SCAN.min(length))
            .map(|step| (start + step) % length)
            .min_by_key(|index| self.entries[*index].last)
            .map_or(0, |index| index as u32)
    }
}

/// 16 bits of the hash that do not choose the bucket; never 0.
#[inline(always)]
fn tag(hash: u64) -> u16 {
    let tag = (hash >> 48) as u16;
    tag | u16::from(tag == 0)
}

/// The numbers of the bits that are set.
#[inline(always)]
fn slots(mut matches: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let slot = (matches != 0).then(|| matches.trailing_zeros() as usize % SLOTS);
        matches &= matches.wrapping_sub(1);
        slot
    })
}

/// Bit n: tag n is `tag`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn matches(tags: &[u16; SLOTS], tag: u16) -> u32 {
    matches_portable(tags, tag)
}

/// Bit n: tag n is `tag`, all eight compared at once. SSE2 is part of every x86-64.
#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "an unaligned load of eight tags")]
#[inline(always)]
fn matches(tags: &[u16; SLOTS], tag: u16) -> u32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi16, _mm_loadu_si128, _mm_movemask_epi8, _mm_packs_epi16, _mm_set1_epi16,
        _mm_setzero_si128,
    };
    // SAFETY: the array is 16 readable octets; the load asks for no alignment. SSE2 is always there.
    unsafe {
        let own = _mm_loadu_si128(tags.as_ptr().cast());
        let equal = _mm_cmpeq_epi16(own, _mm_set1_epi16(tag as i16));
        _mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())) as u32
    }
}

/// What `matches` computes, one tag after the other.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn matches_portable(tags: &[u16; SLOTS], tag: u16) -> u32 {
    let mut bits = 0;
    for (slot, own) in tags.iter().enumerate() {
        bits |= u32::from(*own == tag) << slot;
    }
    bits
}

/// Whether two keys are the same, word by word and without a branch.
#[inline(always)]
fn same(left: &Key, right: &Key) -> bool {
    let mut difference = 0;
    for (left, right) in left.0.iter().zip(&right.0) {
        difference |= left ^ right;
    }
    difference == 0
}
