//! The cells that a template reads, as numbers, with padding at both ends.
//!
//! A window is one array for each source that the template reads: a column, or
//! what a macro makes of it. A sentence of `n` tokens takes `pad + n + pad` places in it, where `pad` is the farthest
//! row of the template, so that a reference is one addition and one load: no
//! test for the ends of the sentence is left in the loops over tokens.

use std::ops::Range;

use crate::strings::NONE;
use crate::template::{Reference, Source, Template};

/// Where the references of a template find their cells.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// What is read, in order and each once.
    pub(super) sources: Vec<Source>,
    pub(super) pad: usize,
    /// One for each line of the template.
    pub(super) lines: Vec<PlannedLine>,
}

/// A line of the template.
#[derive(Debug, Clone)]
pub(super) struct PlannedLine {
    pub(super) shape_idx: usize,
    pub(super) places: Vec<Place>,
    /// Whether a macro in it is a test, so that some tokens have no attribute.
    pub(super) has_test: bool,
}

/// A reference: the index of its source in the window, and its row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    source_idx: usize,
    row: isize,
}

/// One array of cells for each source that is read; [`NONE`] where a test does not hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    sources: Vec<Vec<u32>>,
}

impl Plan {
    pub(super) fn new(template: &Template) -> Self {
        let references = || template.lines().iter().flat_map(|line| &line.references);
        let mut sources: Vec<Source> = references().map(|reference| reference.source).collect();
        sources.sort_unstable();
        sources.dedup();
        let pad = references().map(|reference| reference.row.unsigned_abs() as usize).max();
        let place = |reference: &Reference| Place {
            source_idx: sources.partition_point(|&source| source < reference.source),
            row: reference.row as isize,
        };
        let lines = template
            .lines()
            .iter()
            .map(|line| PlannedLine {
                shape_idx: line.shape,
                places: line.references.iter().map(place).collect(),
                has_test: line.references.iter().any(|reference| reference.source.is_test()),
            })
            .collect();
        Self { pad: pad.unwrap_or(0), lines, sources }
    }

    /// Returns the last column that is read, if any is.
    pub(super) fn last_column(&self) -> Option<usize> {
        self.sources.iter().map(|source| source.column()).max()
    }

    /// Returns where the tokens of sentence `sentence_idx` lie in the window of a whole corpus, in
    /// which they begin at token `tokens.start` of the corpus.
    pub(super) fn positions(&self, sentence_idx: usize, tokens: &Range<usize>) -> Range<usize> {
        let shift = (2 * sentence_idx + 1) * self.pad;
        tokens.start + shift..tokens.end + shift
    }
}

impl Window {
    /// Empties the window and gives it `n_sources` arrays.
    pub(super) fn clear(&mut self, n_sources: usize) {
        self.sources.resize(n_sources, Vec::new());
        for source in &mut self.sources {
            source.clear();
        }
    }

    /// Appends a sentence to array `source_idx`; `before` ends with the cell next to the sentence.
    pub(super) fn push(
        &mut self,
        source_idx: usize,
        before: &[u32],
        cells: impl Iterator<Item = u32>,
        after: &[u32],
    ) {
        let source = &mut self.sources[source_idx];
        source.extend_from_slice(before);
        source.extend(cells);
        source.extend_from_slice(after);
    }

    /// Returns whether all tests among `places` hold at `position`.
    #[inline]
    pub(super) fn holds(&self, places: &[Place], position: usize) -> bool {
        self.cells(places, position).all(|cell| cell != NONE)
    }

    /// Returns the cells of `places` as seen from `position`.
    #[inline]
    pub(super) fn cells(&self, places: &[Place], position: usize) -> impl Iterator<Item = u32> {
        places.iter().map(move |place| {
            self.sources[place.source_idx][position.wrapping_add_signed(place.row)]
        })
    }
}
