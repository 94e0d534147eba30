//! Labels of one tag scheme, spelt in another.
//!
//! A model can learn other labels than its files have: IOBES tells more of a chunk than IOB2 does, and
//! is learned better. The labels that it answers with are then spelt as the files spell them. How a
//! label is spelt depends on whether a chunk begins at its token, right behind one of its type or not,
//! and on whether it ends there; that is looked up in tables over label ids.

use super::{Encoder, UNKNOWN_LABEL};
use crate::corpus::Sentence;
use crate::grammar::Grammar;
use crate::scheme::{Place, Scheme, Tag, follows_its_kind, is_boundary, parse};
use crate::strings::Strings;

/// How a token lies in its chunk, as numbers of [`Spelling::ids`].
const N_BEGINNINGS: usize = 3;
const GOES_ON: u8 = 0;
const BEGINS: u8 = 1;
const BEGINS_BEHIND_ITS_KIND: u8 = 2;

/// How the labels of a model are written; made by an [`Encoder`].
#[derive(Debug, Clone)]
pub struct Spelling {
    scheme: Scheme,
    labels: Vec<String>,
    label_ids: Strings,
    /// `Y × Y`, by previous label and label: how a token lies behind another.
    beginnings: Vec<u8>,
    /// For each label, `beginning × (goes on, ends)`: the number of what is written.
    ids: Vec<[u16; 2 * N_BEGINNINGS]>,
}

impl Spelling {
    /// Makes the tables for labels of chunks; any others are written as they are.
    fn new(labels: &[String], scheme: Scheme) -> Self {
        let outside = Tag { place: Place::Outside, kind: "" };
        let tags: Vec<Tag<'_>> =
            labels.iter().map(|label| parse(label).unwrap_or(outside)).collect();
        let beginning = |last: Tag<'_>, tag: Tag<'_>| match is_boundary(last, tag) {
            false => GOES_ON,
            true if follows_its_kind(last, tag) => BEGINS_BEHIND_ITS_KIND,
            true => BEGINS,
        };
        let mut label_ids = Strings::default();
        let mut ids = Vec::with_capacity(labels.len());
        for (label, &tag) in labels.iter().zip(&tags) {
            let mut spelt = [u16::MAX; 2 * N_BEGINNINGS];
            for (at, id) in (0..).zip(&mut spelt) {
                let (state, ends) = (at / 2, at % 2 == 1);
                // What no sequence of the labels leads to gets no label of its own.
                let is_met = (state == BEGINS
                    || tags.iter().any(|&last| beginning(last, tag) == state))
                    && (ends || tags.iter().any(|&next| !is_boundary(tag, next)));
                let follows = state == BEGINS_BEHIND_ITS_KIND;
                let written = match parse(label) {
                    Some(tag) => scheme.write(tag, state != GOES_ON, follows, ends),
                    None => label.clone(),
                };
                if is_met {
                    *id = u16::try_from(label_ids.intern(&written)).unwrap_or(u16::MAX);
                }
            }
            ids.push(spelt);
        }
        let pairs = tags.iter().flat_map(|&last| tags.iter().map(move |&tag| (last, tag)));
        let beginnings = pairs.map(|(last, tag)| beginning(last, tag)).collect();
        let labels = label_ids.iter().map(str::to_owned).collect();
        Self { scheme, labels, label_ids, beginnings, ids }
    }

    /// Returns the scheme that labels are written in.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Spells the labels of a sentence: `written` are numbers of [`Encoder::written_labels`].
    ///
    /// # Panics
    ///
    /// If there is no such label.
    pub fn spell(&self, labels: &[u16], written: &mut Vec<u16>) {
        let n = self.ids.len();
        let beginning =
            |last: u16, label: u16| self.beginnings[usize::from(last) * n + usize::from(label)];
        written.clear();
        let mut state = BEGINS;
        for (token, &label) in labels.iter().enumerate() {
            let next = labels.get(token + 1).map_or(BEGINS, |&next| beginning(label, next));
            let ends = usize::from(next != GOES_ON);
            written.push(self.ids[usize::from(label)][2 * usize::from(state) + ends]);
            state = next;
        }
    }
}

impl Encoder {
    /// Returns the tag scheme that all label sequences of the training corpus keep to, if there is
    /// one.
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// Returns which label sequences that scheme allows.
    pub fn grammar(&self) -> Option<Grammar> {
        self.scheme.map(|scheme| Grammar::of_scheme(scheme, &self.labels))
    }

    /// Returns how labels are written, where that is not how they are learned.
    pub fn spelling(&self) -> Option<&Spelling> {
        self.spelling.as_ref()
    }

    /// Returns the labels as the files have them.
    pub fn written_labels(&self) -> &[String] {
        self.spelling.as_ref().map_or(&self.labels, |spelling| &spelling.labels)
    }

    /// Returns the number of a label in [`Encoder::written_labels`], or [`UNKNOWN_LABEL`].
    pub fn written_id(&self, label: &str) -> u16 {
        let label_ids = self.spelling.as_ref().map_or(&self.label_ids, |it| &it.label_ids);
        u16::try_from(label_ids.find(label)).unwrap_or(UNKNOWN_LABEL)
    }

    /// Spells the labels of a sentence as the files have them: `written` are numbers of
    /// [`Encoder::written_labels`].
    ///
    /// # Panics
    ///
    /// If there is no such label.
    pub fn spell(&self, labels: &[u16], written: &mut Vec<u16>) {
        match &self.spelling {
            Some(spelling) => spelling.spell(labels, written),
            None => {
                written.clear();
                written.extend_from_slice(labels);
            }
        }
    }

    /// Returns whether label `label` of [`Encoder::labels`] is written so somewhere.
    ///
    /// # Panics
    ///
    /// If there is no such label.
    pub fn may_be_written(&self, label: u16, written: u16) -> bool {
        let of_spelling = |spelling: &Spelling| spelling.ids[usize::from(label)].contains(&written);
        self.spelling.as_ref().map_or(label == written, of_spelling)
    }

    /// Sets the scheme that labels keep to, and the one that they are written in.
    pub(super) fn with_scheme(self, scheme: Option<Scheme>, written: Option<Scheme>) -> Self {
        let spelling = written.map(|written| Spelling::new(&self.labels, written));
        Self { scheme, spelling, ..self }
    }

    /// Returns the scheme that labels are written in, where they are learned in another.
    pub(super) fn written_scheme(&self) -> Option<Scheme> {
        self.spelling.as_ref().map(Spelling::scheme)
    }

    /// Returns the ids of the labels of a sentence, as they are learned.
    pub(crate) fn learned_labels(&self, sentence: &Sentence<'_>) -> Vec<u16> {
        let labels: Vec<&str> = sentence.labels().collect();
        let respelt = self.spelling.as_ref().and(self.scheme).and_then(|it| it.respell(&labels));
        match respelt {
            Some(labels) => labels.iter().map(|label| self.label_id(label)).collect(),
            None => labels.iter().map(|label| self.label_id(label)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// All labels of a scheme for two types, and of none.
    fn labels(letters: &str) -> Vec<String> {
        let of_kind = |kind| letters.chars().map(move |letter| format!("{letter}-{kind}"));
        ["X", "Y"].into_iter().flat_map(of_kind).chain(["O".to_owned()]).collect()
    }

    #[test]
    fn numbers_are_spelt_as_strings_are_between_all_schemes() {
        let mut random = Random::new(5);
        for letters in ["BI", "BIES", "BILU", "BMES"] {
            let inner = labels(letters);
            for scheme in Scheme::ALL {
                let spelling = Spelling::new(&inner, scheme);
                let mut written = Vec::new();
                for len in 0..40 {
                    // Valid or not: there are no two ways to read a sequence.
                    let n = inner.len() as u64;
                    let draw = |_| u16::try_from(random.below(n)).unwrap();
                    let ids: Vec<u16> = (0..len).map(draw).collect();
                    let strings: Vec<&str> =
                        ids.iter().map(|&id| inner[usize::from(id)].as_str()).collect();
                    spelling.spell(&ids, &mut written);
                    let spelt = written.iter().map(|&id| spelling.labels[usize::from(id)].clone());
                    assert_eq!(spelt.collect::<Vec<_>>(), scheme.respell(&strings).unwrap());
                }
            }
        }
    }

    #[test]
    fn labels_that_nothing_leads_to_are_not_written() {
        let inner = ["O", "S-X", "B-Y", "E-Y"].map(str::to_owned);
        let spelling = Spelling::new(&inner, Scheme::Iob2);
        assert_eq!(spelling.labels, ["O", "B-X", "B-Y", "I-Y"]);
    }
}
