//! Encoders made from others: with a part of the attributes, or with those of two.

use super::vocabulary::Vocabulary;
use super::{Encoded, Encoder, UNKNOWN_LABEL};
use crate::error::{Error, Result};
use crate::strings::NONE;

/// Where the attributes and labels of two encoders are in the one that joins them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renumbering {
    /// The id of each attribute of the encoder that was extended.
    pub attributes: Vec<u32>,
    /// The id of each attribute of the other one.
    pub other_attributes: Vec<u32>,
    /// The id of each label of the other one; the labels of the first keep theirs.
    pub other_labels: Vec<u16>,
}

impl Renumbering {
    /// Gives the attributes of a sentence of the first encoder their ids in the joined one.
    pub fn renumber(&self, sentence: &mut Encoded) {
        for id in &mut sentence.attributes {
            *id = self.attributes[*id as usize];
        }
        for bounds in sentence.offsets.windows(2) {
            sentence.attributes[bounds[0] as usize..bounds[1] as usize].sort_unstable();
        }
    }
}

impl Encoder {
    /// Returns the words of the dictionary, one a line; none where the template looks none up.
    #[must_use]
    pub fn lexicon(&self) -> String {
        self.dictionary.words.iter().flat_map(|word| [word, "\n"]).collect()
    }

    /// Returns the encoder with the attributes `ids` alone, which are ascending and are numbered
    /// in this order; its tables are built by `threads` threads.
    ///
    /// # Panics
    ///
    /// If there is no attribute of such an id.
    #[must_use]
    pub fn select(&self, ids: &[u32], threads: usize) -> Self {
        let cells = ids.iter().flat_map(|&id| self.vocabulary.attribute(id)).copied().collect();
        let n_rich = ids.iter().take_while(|&&id| (id as usize) < self.n_rich).count();
        let values = self.vocabulary.values.clone();
        let vocabulary = Vocabulary::new(&self.template, values, cells, threads)
            .expect("a part of a vocabulary is one");
        Self::assemble(
            self.template.clone(),
            vocabulary,
            self.dictionary.clone(),
            self.label_ids.clone(),
            n_rich,
            self.n_columns,
        )
        .with_scheme(self.scheme, self.written_scheme())
    }

    /// Returns an encoder that also has the labels and attributes of `other`, which has the same
    /// template; its tables are built by `threads` threads.
    ///
    /// Words are looked up in the dictionary of this encoder: give the words of the other to
    /// [`VocabularyOptions::lexicon`](super::VocabularyOptions) when it is built.
    ///
    /// Labels are written as this encoder writes them; a tag scheme is kept where both have it.
    /// Attributes that are rich in either stay rich, and come first; otherwise the order of each
    /// encoder is kept, that of this one before what `other` adds.
    ///
    /// # Errors
    ///
    /// [`Error::TooMany`] when attributes of both have 2^32 cells.
    ///
    /// # Panics
    ///
    /// If the templates differ.
    pub fn join(&self, other: &Self, threads: usize) -> Result<(Self, Renumbering)> {
        assert_eq!(self.template.text(), other.template.text(), "encoders of one template");
        let mut values = self.vocabulary.values.clone();
        let numbers: Vec<u32> = other.vocabulary.values.iter().map(|v| values.intern(v)).collect();
        let renumbered = |id: u32| {
            let attribute = other.vocabulary.attribute(id);
            attribute[1..].iter().map(|&cell| numbers[cell as usize])
        };
        // Where this encoder has the attributes of the other.
        let find = |id: u32| {
            let shape_idx = other.vocabulary.attribute(id)[0] as usize;
            self.vocabulary.chain(shape_idx).find(renumbered(id))
        };
        let ids = |n: usize| 0..u32::try_from(n).expect("attribute ids are u32");
        let found: Vec<u32> = ids(other.n_attributes()).map(find).collect();

        // Rich attributes first, of either; `true` stands for those that only the other has.
        let (rich, others) = found.split_at(other.n_rich);
        let is_rich = |id: u32| (id as usize) < self.n_rich;
        let mut order: Vec<(bool, u32)> = ids(self.n_rich).map(|id| (false, id)).collect();
        let new_rich = (0..).zip(rich).filter(|&(_, &here)| here == NONE || !is_rich(here));
        order.extend(
            new_rich.map(|(id, &here)| if here == NONE { (true, id) } else { (false, here) }),
        );
        let n_rich = order.len();
        let mut is_placed = vec![false; self.n_attributes()];
        order.iter().filter(|it| !it.0).for_each(|it| is_placed[it.1 as usize] = true);
        order.extend((0..).zip(&is_placed).filter(|it| !it.1).map(|(id, _)| (false, id)));
        let first = ids(other.n_rich).end;
        order.extend((first..).zip(others).filter(|it| *it.1 == NONE).map(|(id, _)| (true, id)));

        let mut cells = Vec::new();
        let mut here = vec![NONE; self.n_attributes()];
        let mut there = vec![NONE; other.n_attributes()];
        for (place, &(is_other, id)) in (0..).zip(&order) {
            if is_other {
                there[id as usize] = place;
                cells.push(other.vocabulary.attribute(id)[0]);
                cells.extend(renumbered(id));
            } else {
                here[id as usize] = place;
                cells.extend(self.vocabulary.attribute(id));
            }
        }
        for (place, &found) in there.iter_mut().zip(&found).filter(|it| *it.1 != NONE) {
            *place = here[found as usize];
        }
        let mut label_ids = self.label_ids.clone();
        let other_labels = other.labels.iter().map(|label| label_ids.intern(label));
        let other_labels =
            other_labels.map(|id| u16::try_from(id).unwrap_or(UNKNOWN_LABEL)).collect();
        let n_cells = cells.len() as u64;
        let vocabulary =
            Vocabulary::new(&self.template, values, cells, threads).ok_or_else(|| {
                let name = "the model and the training data together".to_owned();
                let (what, limit) = ("cells in attributes", u64::from(u32::MAX));
                Error::TooMany { name, what, limit, actual: n_cells }
            })?;
        let template = self.template.clone();
        let dictionary = self.dictionary.clone();
        let joined =
            Self::assemble(template, vocabulary, dictionary, label_ids, n_rich, self.n_columns);
        let scheme = self.scheme.filter(|_| self.scheme == other.scheme);
        let joined = joined.with_scheme(scheme, self.written_scheme());
        Ok((joined, Renumbering { attributes: here, other_attributes: there, other_labels }))
    }
}
