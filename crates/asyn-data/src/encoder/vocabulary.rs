//! The frozen vocabulary: attributes with their ids, and how to find them.
//!
//! | Field        | Shape               | Meaning                                            |
//! | ------------ | ------------------- | -------------------------------------------------- |
//! | `values`     | one entry a string  | the strings that occur in the cells of attributes  |
//! | `attributes` | flat                | for each id: its shape, then its cells as `values` |
//! | `offsets`    | `n_attributes + 1`  | where each attribute begins in `attributes`        |
//!
//! The tables for look-up are made from these three, whether the vocabulary was
//! counted or read from a file.

use super::chain::Chain;
use crate::parallel;
use crate::strings::{NONE, Strings};
use crate::template::Template;

/// Attributes, numbered and frozen.
#[derive(Debug, Clone)]
pub(super) struct Vocabulary {
    pub(super) values: Strings,
    pub(super) attributes: Vec<u32>,
    offsets: Vec<u32>,
    chains: Vec<Chain>,
}

impl Vocabulary {
    /// Makes the tables for `attributes`, or returns `None` where they do not fit `template`.
    pub(super) fn new(
        template: &Template,
        values: Strings,
        attributes: Vec<u32>,
        threads: usize,
    ) -> Option<Self> {
        let shapes = template.shapes();
        u32::try_from(attributes.len()).ok()?;
        let mut offsets = vec![0];
        let mut at = 0;
        while at < attributes.len() {
            let shape = shapes.get(attributes[at] as usize)?;
            let cells = attributes.get(at + 1..)?.get(..shape.n_references())?;
            if cells.iter().any(|&cell| cell as usize >= values.len()) {
                return None;
            }
            at += 1 + cells.len();
            offsets.push(u32::try_from(at).ok()?);
        }
        let chains = parallel::map(
            threads,
            shapes.len(),
            || (),
            |(), shape_idx| {
                let mut chain = Chain::new(shapes[shape_idx].n_references());
                for (id, bounds) in (0_u32..).zip(offsets.windows(2)) {
                    let attribute = &attributes[bounds[0] as usize..bounds[1] as usize];
                    if attribute[0] as usize == shape_idx
                        && chain.insert(attribute[1..].iter().copied(), id) != id
                    {
                        return None;
                    }
                }
                Some(chain)
            },
        );
        Some(Self {
            chains: chains.into_iter().collect::<Option<_>>()?,
            values,
            attributes,
            offsets,
        })
    }

    pub(super) fn n_attributes(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Returns an attribute: its shape, then its cells.
    ///
    /// # Panics
    ///
    /// If there is no such attribute.
    pub(super) fn attribute(&self, id: u32) -> &[u32] {
        let id = id as usize;
        &self.attributes[self.offsets[id] as usize..self.offsets[id + 1] as usize]
    }

    /// Returns the table for one shape of the template.
    pub(super) fn chain(&self, shape_idx: usize) -> &Chain {
        &self.chains[shape_idx]
    }

    /// Returns the text of an attribute, as CRF++ writes it.
    pub(super) fn text(&self, template: &Template, id: u32) -> String {
        let attribute = self.attribute(id);
        let literals = &template.shapes()[attribute[0] as usize].literals;
        let mut text = literals[0].clone();
        for (&cell, literal) in attribute[1..].iter().zip(&literals[1..]) {
            text.push_str(self.values.get(cell));
            text.push_str(literal);
        }
        text
    }
}

/// Collects attributes and renumbers the strings in them by first use.
#[derive(Debug)]
pub(super) struct VocabularyWriter<'a> {
    source: &'a Strings,
    renumbered: Vec<u32>,
    values: Strings,
    attributes: Vec<u32>,
}

impl<'a> VocabularyWriter<'a> {
    /// Starts an empty vocabulary whose cells will be numbers of `source`.
    pub(super) fn new(source: &'a Strings) -> Self {
        Self {
            source,
            renumbered: vec![NONE; source.len()],
            values: Strings::default(),
            attributes: Vec::new(),
        }
    }

    /// Appends the attribute with the next id.
    pub(super) fn push(&mut self, shape_idx: usize, cells: impl Iterator<Item = u32>) {
        let shape = u32::try_from(shape_idx).expect("a template has few lines");
        self.attributes.push(shape);
        for cell in cells {
            let value = &mut self.renumbered[cell as usize];
            if *value == NONE {
                *value = self.values.intern(self.source.get(cell));
            }
            self.attributes.push(*value);
        }
    }

    /// Returns the strings and the attributes.
    pub(super) fn finish(self) -> (Strings, Vec<u32>) {
        (self.values, self.attributes)
    }
}
