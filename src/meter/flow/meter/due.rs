//! When each entry of the table is to be looked at, coarse times: by entry, and the least of each group of entries, so that
//! the sweep passes over most groups by one look.
//!
//! Invariant: what stands for a group is never later than what stands for any of its entries.

/// By entry and by group the time before which it surely need not end.
pub(super) struct Due {
    entries: Vec<u32>,
    groups: Vec<u32>,
}

/// Of an entry that is not in use.
const NEVER: u32 = u32::MAX;

impl Due {
    /// Entries that are looked at together.
    pub(super) const GROUP: usize = 64;

    /// Room for `capacity` entries, of which none was ever used. `None` if the memory cannot be had.
    pub(super) fn new(capacity: usize) -> Option<Self> {
        let (mut entries, mut groups) = (Vec::new(), Vec::new());
        entries.try_reserve_exact(capacity).ok()?;
        groups.try_reserve_exact(capacity.div_ceil(Self::GROUP)).ok()?;
        Some(Self { entries, groups })
    }

    /// The entry at `index` is to be looked at from `due` on. Entries are first used in order, so that nothing grows by more
    /// than one, within the room that is there.
    #[inline]
    pub(super) fn set(&mut self, index: usize, due: u32) {
        match self.entries.get_mut(index) {
            Some(entry) => *entry = due,
            None => self.entries.push(due),
        }
        match self.groups.get_mut(index / Self::GROUP) {
            Some(group) => *group = due.min(*group),
            None => self.groups.push(due),
        }
    }

    /// The entry at `index` is not in use any more.
    #[inline]
    pub(super) fn clear(&mut self, index: usize) {
        if let Some(entry) = self.entries.get_mut(index) {
            *entry = NEVER;
        }
    }

    /// Whether the entry at `index` is to be looked at before `time`.
    #[inline]
    pub(super) fn is_before(&self, index: usize, time: u32) -> bool {
        self.entries.get(index).is_some_and(|due| *due < time)
    }

    /// Whether one of the group that begins at entry `start` may have to be looked at before `time`.
    #[inline]
    pub(super) fn may_be_before(&self, start: usize, time: u32) -> bool {
        self.groups.get(start / Self::GROUP).is_some_and(|due| *due < time)
    }

    /// The entries of the group that begins at entry `start` have been looked at.
    pub(super) fn settle(&mut self, start: usize) {
        let of_group = self.entries.iter().skip(start).take(Self::GROUP);
        let least = of_group.copied().min().unwrap_or(NEVER);
        if let Some(group) = self.groups.get_mut(start / Self::GROUP) {
            *group = least;
        }
    }

    /// All entries in use are to be looked at at once.
    pub(super) fn hasten(&mut self) {
        self.entries.iter_mut().filter(|due| **due != NEVER).for_each(|due| *due = 0);
        self.groups.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_due_no_later_than_its_entries() {
        let mut due = Due::new(200).expect("memory");
        for index in 0..200 {
            due.set(index, 1000 + index as u32);
        }
        assert!(!due.may_be_before(64, 1064) && due.may_be_before(64, 1065));
        // Sooner than the others, then gone: the group is looked at once for nothing.
        due.set(100, 7);
        assert!(due.may_be_before(64, 8) && due.is_before(100, 8) && !due.is_before(101, 8));
        due.clear(100);
        assert!(due.may_be_before(64, 8) && !due.is_before(100, NEVER));
        due.settle(64);
        assert!(!due.may_be_before(64, 1064) && due.may_be_before(64, 1065));
        // The last group is shorter than the others.
        due.settle(192);
        assert!(!due.may_be_before(192, 1192) && due.may_be_before(192, 1193));
        due.hasten();
        assert!(due.may_be_before(0, 1) && due.is_before(199, 1));
        assert!(!due.is_before(100, NEVER), "one that is not in use stays so");
        assert!(!due.may_be_before(256, NEVER) && !due.is_before(200, NEVER), "never used");
    }
}
