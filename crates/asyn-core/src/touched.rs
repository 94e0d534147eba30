//! The blocks that a step reads, known before any of them is read.

use crate::layout::TensorId;

/// A list of blocks: the rows of row tensors, and whole tensors.
///
/// A block that is read twice is listed twice, so that the list also counts how
/// often a block is used.
///
/// ```
/// use asyn_core::{Layout, Touched};
///
/// let mut layout = Layout::default();
/// let words = layout.rows("words", 100, 8);
/// let mut touched = Touched::default();
/// touched.add_rows(words, &[3, 14]);
/// touched.add_rows(words, &[15]);
/// assert_eq!(touched.rows().collect::<Vec<_>>(), [(words, &[3, 14, 15][..])]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    rows: Vec<u32>,
    groups: Vec<(TensorId, std::ops::Range<usize>)>,
    whole: Vec<TensorId>,
}

impl Touched {
    /// Adds rows of a row tensor.
    pub fn add_rows(&mut self, tensor: TensorId, rows: &[u32]) {
        let start = self.rows.len();
        self.rows.extend_from_slice(rows);
        match self.groups.last_mut() {
            Some((last, range)) if *last == tensor => range.end = self.rows.len(),
            _ => self.groups.push((tensor, start..self.rows.len())),
        }
    }

    /// Adds a tensor that is read as a whole.
    pub fn add_whole(&mut self, tensor: TensorId) {
        self.whole.push(tensor);
    }

    /// Returns the rows, in groups of one tensor each.
    pub fn rows(&self) -> impl Iterator<Item = (TensorId, &[u32])> {
        self.groups.iter().map(|(tensor, range)| (*tensor, &self.rows[range.clone()]))
    }

    /// Returns the tensors that are read as a whole.
    #[must_use]
    pub fn whole(&self) -> &[TensorId] {
        &self.whole
    }

    /// Empties the list, keeping its memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.groups.clear();
        self.whole.clear();
    }
}
