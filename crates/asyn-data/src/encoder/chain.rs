//! Hash tables from the cells of an attribute to its number.
//!
//! An attribute is a shape of the template and the cells in it. A [`Chain`]
//! serves one shape and follows the cells from left to right: the first cell
//! leads to a node through an array, every further cell leads from a node to
//! the next through a hash table of (node, cell) pairs. The node behind the
//! last cell is the number of the attribute. No string is built or compared.

use crate::strings::NONE;

/// From the cells of one shape to numbers of attributes.
#[derive(Debug, Clone, Default)]
pub(super) struct Chain {
    /// The attribute of a shape without references.
    constant: Option<u32>,
    /// The node behind each first cell.
    first: Vec<u32>,
    n_first: u32,
    /// One table for each further cell.
    further: Vec<PairMap>,
}

impl Chain {
    /// Makes an empty chain for a shape of `n_references` references.
    pub(super) fn new(n_references: usize) -> Self {
        Self {
            further: vec![PairMap::default(); n_references.saturating_sub(1)],
            ..Self::default()
        }
    }

    /// Returns the number of an attribute, or [`NONE`].
    #[inline]
    pub(super) fn find(&self, mut cells: impl Iterator<Item = u32>) -> u32 {
        let Some(cell) = cells.next() else {
            return self.constant.unwrap_or(NONE);
        };
        let mut node = self.first.get(cell as usize).copied().unwrap_or(NONE);
        for (table, cell) in self.further.iter().zip(cells) {
            if node == NONE {
                break;
            }
            node = table.find(node, cell);
        }
        node
    }

    /// Returns the number of an attribute, which becomes `fresh` where it is new.
    pub(super) fn insert(&mut self, mut cells: impl Iterator<Item = u32>, fresh: u32) -> u32 {
        let Some(cell) = cells.next() else {
            return *self.constant.get_or_insert(fresh);
        };
        let cell = cell as usize;
        if cell >= self.first.len() {
            self.first.resize((cell + 1).max(2 * self.first.len()), NONE);
        }
        let last = self.further.len();
        if self.first[cell] == NONE {
            self.first[cell] = if last == 0 { fresh } else { self.n_first };
            self.n_first += 1;
        }
        let mut node = self.first[cell];
        for (depth, (table, cell)) in self.further.iter_mut().zip(cells).enumerate() {
            let id = if depth + 1 == last { fresh } else { table.len };
            node = table.insert(node, cell, id);
        }
        node
    }
}

/// From pairs of numbers to numbers, by open addressing with linear probing.
#[derive(Debug, Clone, Default)]
struct PairMap {
    /// Entries (left, right, id) of twelve bytes; `id` is [`NONE`] where the slot is free.
    /// Invariant: the length is 0 or a power of two, and at most half of it is taken.
    slots: Vec<[u32; 3]>,
    len: u32,
}

impl PairMap {
    #[inline]
    fn find(&self, left: u32, right: u32) -> u32 {
        if self.slots.is_empty() {
            return NONE;
        }
        self.slots[self.slot(left, right)][2]
    }

    fn insert(&mut self, left: u32, right: u32, fresh: u32) -> u32 {
        if self.slots.len() <= 2 * self.len as usize {
            self.grow();
        }
        let slot = self.slot(left, right);
        let entry = &mut self.slots[slot];
        if entry[2] == NONE {
            *entry = [left, right, fresh];
            self.len += 1;
        }
        entry[2]
    }

    /// Returns the slot that holds the pair, or the free one where it belongs.
    #[inline]
    fn slot(&self, left: u32, right: u32) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(left, right);
        loop {
            let entry = self.slots[slot];
            if entry[2] == NONE || (entry[0] == left && entry[1] == right) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    /// Returns the slot where the search for a pair begins.
    ///
    /// Multiplicative hashing keeps the upper bits of the product (Knuth, The Art of Computer
    /// Programming, volume 3, section 6.4); the factor is 2^64 divided by the golden ratio.
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the shift leaves as many bits as the index has"
    )]
    fn home(&self, left: u32, right: u32) -> usize {
        let key = u64::from(left) << 32 | u64::from(right);
        let mixed = (key ^ (key >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (64 - self.slots.len().trailing_zeros())) as usize
    }

    fn grow(&mut self) {
        let capacity = (4 * self.slots.len()).max(16);
        let old = std::mem::replace(&mut self.slots, vec![[0, 0, NONE]; capacity]);
        for entry in old.into_iter().filter(|entry| entry[2] != NONE) {
            let slot = self.slot(entry[0], entry[1]);
            self.slots[slot] = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_keep_the_number_they_were_given_first() {
        let mut chain = Chain::new(3);
        let cells = |i: u32| [i % 7, i % 11, i % 13].into_iter();
        for i in 0..1001 {
            assert_eq!(chain.insert(cells(i), i), i);
        }
        for i in 0..2002 {
            assert_eq!(chain.insert(cells(i), 5000), i % 1001);
            assert_eq!(chain.find(cells(i)), i % 1001);
        }
        assert_eq!(chain.find([0, 0, 13].into_iter()), NONE);
        assert_eq!(chain.find([NONE, 0, 0].into_iter()), NONE);
        assert_eq!(chain.find([0, NONE, 0].into_iter()), NONE);
    }

    #[test]
    fn a_shape_without_references_has_one_attribute() {
        let mut chain = Chain::new(0);
        assert_eq!(chain.find([].into_iter()), NONE);
        assert_eq!(chain.insert([].into_iter(), 4), 4);
        assert_eq!(chain.insert([].into_iter(), 5), 4);
        assert_eq!(chain.find([].into_iter()), 4);
    }
}
