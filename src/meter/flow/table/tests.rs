//! The table against a model: any sequence of operations leaves both with the same flows.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn secret(seed: u8) -> Secret {
    let mut octets = [seed; 64];
    for (i, octet) in octets.iter_mut().enumerate() {
        *octet = octet.wrapping_mul(31).wrapping_add((i as u8).wrapping_mul(7) + 1);
    }
    Secret::new(octets)
}

fn key(number: u16) -> Key {
    Key([u64::from(number), 1, 2, 3, u64::from(number) << 40, 1])
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Touch(u16),
    Remove(u16),
}

fn operations(keys: u16, count: usize) -> impl Strategy<Value = Vec<Operation>> {
    let one = (0..keys, prop::bool::weighted(0.7)).prop_map(|(number, touch)| {
        if touch { Operation::Touch(number) } else { Operation::Remove(number) }
    });
    prop::collection::vec(one, 0..count)
}

/// Runs `operations` on a table of `capacity` and on a map; evictions are taken from the table's own word.
fn agrees(capacity: usize, operations: &[Operation], seed: u8) {
    let mut table = Table::new(capacity, secret(seed)).unwrap();
    let mut model: BTreeMap<Key, u64> = BTreeMap::new();
    for (time, operation) in operations.iter().enumerate() {
        match *operation {
            Operation::Touch(number) => {
                let key = key(number);
                let hash = table.hash(&key);
                table.prefetch(hash);
                let candidate = table.candidate(hash);
                if table.matching(candidate, &key).is_some() {
                    assert_eq!(table.find(hash, &key), Some(candidate));
                }
                let index = table.find(hash, &key);
                assert_eq!(index.is_some(), model.contains_key(&key), "{number} at {time}");
                let index = index.unwrap_or_else(|| {
                    loop {
                        match table.insert(hash, &key) {
                            Insert::Entry(index) => break index,
                            Insert::Evict(victim) => {
                                let key = table.entry(victim).key;
                                let hash = table.hash(&key);
                                let record = table.remove(victim, hash);
                                assert_eq!(model.remove(&record.key), Some(record.packets));
                            }
                        }
                    }
                });
                let record = table.entry(index);
                record.packets += 1;
                record.last = crate::capture::Timestamp(time as u64);
                *model.entry(key).or_default() += 1;
            }
            Operation::Remove(number) => {
                let key = key(number);
                let hash = table.hash(&key);
                let removed = table.find(hash, &key).map(|index| table.remove(index, hash).packets);
                assert_eq!(removed, model.remove(&key));
            }
        }
        assert_eq!(table.len(), model.len());
        assert!(table.len() <= table.capacity());
    }
    let found: BTreeMap<Key, u64> = (0..table.high_water())
        .filter_map(|index| table.used(index).map(|record| (record.key, record.packets)))
        .collect();
    assert_eq!(found, model);
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 256 }))]

    #[test]
    fn roomy_table_agrees_with_a_map(
        operations in operations(200, if cfg!(miri) { 60 } else { 600 }),
        seed: u8,
    ) {
        agrees(256, &operations, seed);
    }

    #[test]
    fn full_table_evicts_and_agrees_with_a_map(
        operations in operations(300, if cfg!(miri) { 60 } else { 600 }),
        seed: u8,
    ) {
        agrees(17, &operations, seed);
    }

    #[test]
    fn one_bucket_agrees_with_a_map(operations in operations(30, 200), seed: u8) {
        agrees(3, &operations, seed);
    }
}

#[test]
fn an_eviction_takes_the_one_silent_longest_of_those_scanned() {
    let mut table = Table::new(4, secret(9)).unwrap();
    for number in 0..4u16 {
        let key = key(number);
        let hash = table.hash(&key);
        let Insert::Entry(index) = table.insert(hash, &key) else { panic!("room for four") };
        table.entry(index).last = crate::capture::Timestamp(100 - u64::from(number));
    }
    let fifth = key(5);
    let Insert::Evict(victim) = table.insert(table.hash(&fifth), &fifth) else {
        panic!("no room for five")
    };
    assert_eq!(table.entry(victim).key, key(3), "key 3 has the smallest last");
}

#[test]
fn the_same_key_hashes_differently_under_another_secret() {
    assert_ne!(secret(1).hash(&key(7)), secret(2).hash(&key(7)));
}

#[test]
fn no_flow_is_evicted_before_the_table_is_full() {
    let capacity = if cfg!(miri) { 300 } else { 100_000 };
    for seed in [7, 8] {
        let mut table = Table::new(capacity, secret(seed)).unwrap();
        for number in 0..capacity as u64 {
            let key = Key([number << 20, 4, 5, 6, Key::word4(number as u16, 0, 0, 0, 17), 1]);
            let hash = table.hash(&key);
            assert!(matches!(table.insert(hash, &key), Insert::Entry(_)), "flow {number}");
        }
        assert_eq!(table.len(), capacity);
    }
}

proptest! {
    #[test]
    fn tags_compare_the_same_on_every_machine(tags: [u16; SLOTS], tag: u16, at in 0..SLOTS) {
        let mut tags = tags;
        prop_assert_eq!(matches(&tags, tag), matches_portable(&tags, tag));
        tags[at] = tag;
        prop_assert_eq!(matches(&tags, tag), matches_portable(&tags, tag));
        prop_assert!(matches(&tags, tag) >> at & 1 == 1);
    }

    #[test]
    fn keys_compare_as_their_words_do(left: [u64; 6], at in 0usize..6, bit in 0u32..64) {
        let mut right = left;
        prop_assert!(same(&Key(left), &Key(right)));
        right[at] ^= 1 << bit;
        prop_assert!(!same(&Key(left), &Key(right)));
    }
}
