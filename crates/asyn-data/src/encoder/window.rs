//! The cells that a template reads, as numbers, with padding at both ends.
//!
//! A window is one array for each column that the template reads. A sentence of
//! `n` tokens takes `pad + n + pad` places in it, where `pad` is the farthest
//! row of the template, so that a reference is one addition and one load: no
//! test for the ends of the sentence is left in the loops over tokens.

use std::ops::Range;

use crate::template::{Reference, Template};

/// Where the references of a template find their cells.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The columns that are read, ascending.
    pub(super) columns: Vec<usize>,
    pub(super) pad: usize,
    /// For each line of the template: its shape and its references.
    pub(super) lines: Vec<(usize, Vec<Place>)>,
}

/// A reference: the index of its column in the window, and its row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    column_idx: usize,
    row: isize,
}

/// One array of cells for each column that is read.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    columns: Vec<Vec<u32>>,
}

impl Plan {
    pub(super) fn new(template: &Template) -> Self {
        let references = || template.lines().iter().flat_map(|line| &line.references);
        let mut columns: Vec<usize> = references().map(|reference| reference.column).collect();
        columns.sort_unstable();
        columns.dedup();
        let pad = references().map(|reference| reference.row.unsigned_abs() as usize).max();
        let place = |reference: &Reference| Place {
            column_idx: columns.partition_point(|&column| column < reference.column),
            row: reference.row as isize,
        };
        let lines = template
            .lines()
            .iter()
            .map(|line| (line.shape, line.references.iter().map(place).collect()))
            .collect();
        Self { pad: pad.unwrap_or(0), lines, columns }
    }

    /// Returns where the tokens of sentence `sentence_idx` lie in the window of a whole corpus, in
    /// which they begin at token `tokens.start` of the corpus.
    pub(super) fn positions(&self, sentence_idx: usize, tokens: &Range<usize>) -> Range<usize> {
        let shift = (2 * sentence_idx + 1) * self.pad;
        tokens.start + shift..tokens.end + shift
    }
}

impl Window {
    /// Empties the window and gives it `n_columns` columns.
    pub(super) fn clear(&mut self, n_columns: usize) {
        self.columns.resize(n_columns, Vec::new());
        for column in &mut self.columns {
            column.clear();
        }
    }

    /// Appends a sentence to column `column_idx`; `before` ends with the cell next to the sentence.
    pub(super) fn push(
        &mut self,
        column_idx: usize,
        before: &[u32],
        cells: impl Iterator<Item = u32>,
        after: &[u32],
    ) {
        let column = &mut self.columns[column_idx];
        column.extend_from_slice(before);
        column.extend(cells);
        column.extend_from_slice(after);
    }

    /// Returns the cells of `places` as seen from `position`.
    #[inline]
    pub(super) fn cells(&self, places: &[Place], position: usize) -> impl Iterator<Item = u32> {
        places.iter().map(move |place| {
            self.columns[place.column_idx][position.wrapping_add_signed(place.row)]
        })
    }
}

/// Returns the text of the padding cells: before the sentence from far to near, behind it from near to far.
pub(super) fn padding(pad: usize) -> (Vec<String>, Vec<String>) {
    let before = (1..=pad).rev().map(|distance| format!("_B-{distance}")).collect();
    let after = (1..=pad).map(|distance| format!("_B+{distance}")).collect();
    (before, after)
}
