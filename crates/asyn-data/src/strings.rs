//! A table of distinct strings: each is stored once and known by a number.
//!
//! Numbers are given in order of first occurrence. The index is an open
//! addressing table of (hash, number) pairs with linear probing (Knuth, The Art
//! of Computer Programming, volume 3, section 6.4, algorithm L), so that a
//! lookup reads the text of a string only when all 32 bits of its hash agree.

use std::hash::Hasher;

use rustc_hash::FxHasher;

/// The number that stands for "no string" and for a free slot.
pub(crate) const NONE: u32 = u32::MAX;

/// Distinct strings, numbered from 0 by first occurrence.
#[derive(Debug, Clone, Default)]
pub(crate) struct Strings {
    text: String,
    /// `ends[i]` is where string `i` ends in `text`.
    ends: Vec<u32>,
    /// Pairs (hash, number). Invariant: the length is a power of two, and at most half of it is taken.
    slots: Vec<(u32, u32)>,
}

impl Strings {
    /// Returns the number of strings.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns string `id`.
    ///
    /// # Panics
    ///
    /// If there is no such string.
    pub(crate) fn get(&self, id: u32) -> &str {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.text[start as usize..self.ends[id] as usize]
    }

    /// Returns the number of `string`, or [`NONE`] where it was never added.
    pub(crate) fn find(&self, string: &str) -> u32 {
        if self.slots.is_empty() {
            return NONE;
        }
        self.slots[self.slot(string, hash(string))].1
    }

    /// Returns the number of `string`, adding it where it is new.
    ///
    /// # Panics
    ///
    /// If all strings together pass 4 GiB.
    pub(crate) fn intern(&mut self, string: &str) -> u32 {
        if self.slots.len() <= 2 * self.ends.len() {
            self.grow();
        }
        let hash = hash(string);
        let slot = self.slot(string, hash);
        if self.slots[slot].1 == NONE {
            self.text.push_str(string);
            let end = u32::try_from(self.text.len()).expect("a text of a corpus is below 4 GiB");
            let id = u32::try_from(self.ends.len()).expect("there are fewer strings than bytes");
            self.ends.push(end);
            self.slots[slot] = (hash, id);
        }
        self.slots[slot].1
    }

    /// Iterates over the strings in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let string = &self.text[start..end as usize];
            start = end as usize;
            string
        })
    }

    /// Returns the slot that holds `string`, or the free one where it belongs.
    fn slot(&self, string: &str, hash: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let (other, id) = self.slots[slot];
            if id == NONE || (other == hash && self.get(id) == string) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let capacity = (4 * self.ends.len()).next_power_of_two().max(64);
        let old = std::mem::replace(&mut self.slots, vec![(0, NONE); capacity]);
        for (hash, id) in old.into_iter().filter(|&(_, id)| id != NONE) {
            let mut slot = hash as usize & (capacity - 1);
            while self.slots[slot].1 != NONE {
                slot = (slot + 1) & (capacity - 1);
            }
            self.slots[slot] = (hash, id);
        }
    }
}

impl<'a> FromIterator<&'a str> for Strings {
    fn from_iter<I: IntoIterator<Item = &'a str>>(strings: I) -> Self {
        let mut table = Self::default();
        for string in strings {
            table.intern(string);
        }
        table
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the table keeps 32 bits of the hash")]
fn hash(string: &str) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(string.as_bytes());
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_numbered_by_first_occurrence() {
        let table: Strings = ["b", "", "a", "b", "a", ""].into_iter().collect();
        assert_eq!(table.iter().collect::<Vec<_>>(), ["b", "", "a"]);
        assert_eq!(table.find("a"), 2);
        assert_eq!(table.find("c"), NONE);
    }

    #[test]
    fn every_string_is_found_after_growth() {
        let mut table = Strings::default();
        for i in 0..10_000_u32 {
            assert_eq!(table.intern(&i.to_string()), i);
        }
        for i in 0..10_000_u32 {
            assert_eq!(table.find(&i.to_string()), i);
            assert_eq!(table.get(i), i.to_string());
        }
        assert_eq!(Strings::default().find("x"), NONE);
    }
}
