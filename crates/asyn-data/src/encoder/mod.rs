//! From tokens to attribute ids.
//!
//! [`Encoder::build`] counts the attributes of the training corpus in one pass
//! and freezes them; afterwards [`Encoder::encode_sentence`] looks attributes
//! up and drops those that were never counted. Strings are hashed once a cell
//! and never joined: an attribute is followed through its cells as numbers.
//!
//! An encoder knows ids and how many there are, and nothing of weights.

mod chain;
mod count;
mod dictionary;
mod encoded;
mod extend;
mod fill;
mod given;
mod rows;
mod spelling;
mod tensors;
mod vocabulary;
mod window;

use std::collections::BTreeMap;

pub use encoded::{Encoded, EncodedCorpus, UNKNOWN_LABEL};
pub use extend::Renumbering;
pub use spelling::Spelling;

use crate::corpus::{Corpus, Sentence};
use crate::error::{Error, Result};
use crate::parallel;
use crate::scheme::Scheme;
use crate::strings::Strings;
use crate::template::Template;
use count::Counted;
use dictionary::{Dictionary, Joined};
use fill::Padding;
use rows::Rows;
use vocabulary::{Vocabulary, VocabularyWriter};
use window::{Plan, Window};

/// How many sentences a thread takes at a time.
const SENTENCES_AT_A_TIME: usize = 64;

/// Which attributes are kept, and which of them also see pairs of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VocabularyOptions<'l> {
    /// The number of times that an attribute must occur to be kept; 0 and 1 keep all.
    pub min_freq: u32,
    /// Whether frequent node attributes become rich edge attributes too.
    pub rich_edges: bool,
    /// The number of times that a node attribute must occur to become rich.
    ///
    /// 11 is "more than 10", the threshold of Sun (COLING 2016).
    pub edge_min_freq: u32,
    /// Words for `%word` and `%known` beside those of the training labels, one a line.
    pub lexicon: &'l str,
    /// The tag scheme that labels are learned in, where that is not the scheme of the corpus.
    pub scheme: Option<Scheme>,
    /// The number of threads that count.
    pub threads: usize,
}

impl Default for VocabularyOptions<'_> {
    fn default() -> Self {
        Self {
            min_freq: 1,
            rich_edges: false,
            edge_min_freq: 11,
            lexicon: "",
            scheme: None,
            threads: 1,
        }
    }
}

/// A template with a frozen vocabulary and the labels.
///
/// Ids of attributes are given by falling frequency, then by first occurrence; the attributes of
/// `B` lines come before all others. Labels are numbered by first occurrence.
///
/// ```
/// use asyn_data::{Encoder, Template, VocabularyOptions, read_columns};
///
/// let train = read_columns("train", "He PRP B-NP\nran VBD B-VP\n".as_bytes())?;
/// let template = Template::parse("tags", "U0:%x[0,1]\nU1:%x[-1,1]\nB\n")?;
/// let (encoder, examples) = Encoder::build(&train, template, &VocabularyOptions::default())?;
/// assert_eq!(encoder.labels(), ["B-NP", "B-VP"]);
/// assert_eq!(encoder.attribute(3), "U1:PRP");
/// assert_eq!(examples[0].attributes_of(1), [2, 3]);
/// # Ok::<(), asyn_data::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Encoder {
    template: Template,
    plan: Plan,
    vocabulary: Vocabulary,
    /// Empty where the template looks no words up.
    dictionary: Dictionary,
    padding: Padding,
    labels: Vec<String>,
    label_ids: Strings,
    n_rich: usize,
    n_columns: usize,
    /// What all label sequences of training keep to.
    scheme: Option<Scheme>,
    /// How labels are written, where that is not how they are learned.
    spelling: Option<Spelling>,
}

/// The memory that encoding a sentence needs; one a thread, for any number of sentences.
#[derive(Debug, Default)]
pub struct EncodeScratch {
    window: Window,
    rows: Rows,
    joined: Joined,
    memory: String,
}

impl Encoder {
    /// Counts the attributes of a training corpus, whose last column is the label, and encodes it.
    ///
    /// # Errors
    ///
    /// [`Error::Columns`] when there is no column beside the label, [`Error::Template`] when the
    /// template reads a column that is missing, [`Error::Label`] when labels are to be learned in
    /// another scheme and one is not that of a chunk, and [`Error::TooMany`] when there are 65,535
    /// labels or more, or 2^32 cells in attributes.
    pub fn build(
        corpus: &Corpus,
        template: Template,
        options: &VocabularyOptions<'_>,
    ) -> Result<(Self, Vec<Encoded>)> {
        if corpus.n_columns() < 2 {
            return Err(Error::Columns {
                name: corpus.name().to_owned(),
                expected: 2,
                actual: corpus.n_columns(),
            });
        }
        template.check_columns(corpus.n_columns())?;
        let of_file = options.scheme.and_then(|_| Scheme::of_corpus(corpus));
        let written = of_file.filter(|_| of_file != options.scheme);
        let respelt = match options.scheme {
            None => None,
            Some(scheme) => {
                let mut respelt = corpus.clone();
                scheme.convert(&mut respelt)?;
                Some(respelt)
            }
        };
        let corpus = respelt.as_ref().unwrap_or(corpus);
        let label_ids: Strings = corpus.sentences().flat_map(|s| s.labels()).collect();
        if label_ids.len() >= usize::from(UNKNOWN_LABEL) {
            return Err(Error::TooMany {
                name: corpus.name().to_owned(),
                what: "labels",
                limit: u64::from(UNKNOWN_LABEL) - 1,
                actual: label_ids.len() as u64,
            });
        }
        let plan = Plan::new(&template);
        let dictionary = if template.uses_dictionary() {
            Dictionary::new(corpus, options.lexicon)
        } else {
            Dictionary::default()
        };
        let (values, window) = fill::whole_corpus(corpus, &plan, &dictionary);
        let counted = Counted::new(&template, &plan, &window, &corpus.starts, options);
        let mut writer = VocabularyWriter::new(&values);
        for example in &counted.examples {
            let line = &plan.lines[example.line_idx];
            writer.push(line.shape_idx, window.cells(&line.places, example.position));
        }
        let (values, attributes) = writer.finish();
        let n_numbers = attributes.len() as u64;
        let vocabulary = Vocabulary::new(&template, values, attributes, options.threads)
            .ok_or_else(|| Error::TooMany {
                name: corpus.name().to_owned(),
                what: "cells in attributes",
                limit: u64::from(u32::MAX),
                actual: n_numbers,
            })?;
        let encoder = Self::assemble(
            template,
            vocabulary,
            dictionary,
            label_ids,
            counted.n_rich,
            corpus.n_columns(),
        );
        let examples = encoder.encode_counted(corpus, &counted, options.threads);
        let sequences = examples.iter().map(|example| example.labels.as_slice());
        let scheme = options.scheme.or_else(|| Scheme::of_sequences(&encoder.labels, sequences));
        Ok((encoder.with_scheme(scheme, written), examples))
    }

    /// Returns the number of attributes; ids are below it.
    pub fn n_attributes(&self) -> usize {
        self.vocabulary.n_attributes()
    }

    /// Returns the number of rich edge attributes: those with the ids below it.
    pub fn n_rich(&self) -> usize {
        self.n_rich
    }

    /// Returns the labels in the order of their ids.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Returns the id of a label, or [`UNKNOWN_LABEL`].
    pub fn label_id(&self, label: &str) -> u16 {
        u16::try_from(self.label_ids.find(label)).unwrap_or(UNKNOWN_LABEL)
    }

    /// Returns whether the template asks for plain transitions.
    pub fn has_transitions(&self) -> bool {
        self.template.has_transitions()
    }

    /// Returns the template.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Returns the number of columns of the training corpus, the label included.
    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// Returns the text of an attribute: its line of the template with the cells filled in.
    ///
    /// # Panics
    ///
    /// If there is no such attribute.
    pub fn attribute(&self, id: u32) -> String {
        self.vocabulary.text(&self.template, id)
    }

    /// Returns how many different lines the template has.
    pub(crate) fn n_shapes(&self) -> usize {
        self.template.shapes().len()
    }

    /// Returns which line of the template an attribute is of.
    pub(crate) fn shape_of(&self, id: u32) -> usize {
        self.vocabulary.attribute(id)[0] as usize
    }

    /// Encodes a corpus with labels, such as a development or test set.
    ///
    /// Attributes that the vocabulary does not have are dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Columns`] when the corpus has not as many columns as the training corpus.
    pub fn encode(&self, corpus: &Corpus, threads: usize) -> Result<EncodedCorpus> {
        if corpus.n_columns() != self.n_columns {
            return Err(Error::Columns {
                name: corpus.name().to_owned(),
                expected: self.n_columns,
                actual: corpus.n_columns(),
            });
        }
        let sentences = in_chunks(corpus, threads, EncodeScratch::default, |scratch, idx| {
            let sentence = corpus.sentence(idx);
            let mut encoded = Encoded::default();
            self.encode_sentence(&sentence, scratch, &mut encoded);
            encoded.labels = self.learned_labels(&sentence);
            encoded
        });
        let mut unknown_labels = BTreeMap::new();
        for (sentence, encoded) in corpus.sentences().zip(&sentences) {
            for (label, &id) in sentence.labels().zip(&encoded.labels) {
                if id == UNKNOWN_LABEL {
                    *unknown_labels.entry(label.to_owned()).or_default() += 1;
                }
            }
        }
        Ok(EncodedCorpus { sentences, unknown_labels })
    }

    /// Checks that a corpus has the columns that [`Encoder::encode_sentence`] reads; it needs no label.
    ///
    /// # Errors
    ///
    /// [`Error::Columns`] when the corpus is too narrow.
    pub fn check_columns(&self, corpus: &Corpus) -> Result<()> {
        match self.plan.last_column() {
            Some(last) if last >= corpus.n_columns() => Err(Error::Columns {
                name: corpus.name().to_owned(),
                expected: last + 1,
                actual: corpus.n_columns(),
            }),
            _ => Ok(()),
        }
    }

    /// Encodes one sentence into `encoded`, without labels.
    ///
    /// Nothing is allocated once `scratch` and `encoded` have met a sentence of this length.
    ///
    /// # Panics
    ///
    /// If [`Encoder::check_columns`] refuses the corpus.
    pub fn encode_sentence(
        &self,
        sentence: &Sentence<'_>,
        scratch: &mut EncodeScratch,
        encoded: &mut Encoded,
    ) {
        self.fill_window(sentence, scratch);
        let EncodeScratch { window, rows, .. } = scratch;
        let tokens = 0..sentence.len();
        rows.clear(sentence.len(), self.plan.lines.len());
        for (line_idx, line) in self.plan.lines.iter().enumerate() {
            let chain = self.vocabulary.chain(line.shape_idx);
            let ids = tokens
                .clone()
                .map(|token| chain.find(window.cells(&line.places, self.plan.pad + token)));
            rows.fill(line_idx, ids);
        }
        rows.write(encoded);
    }

    fn assemble(
        template: Template,
        vocabulary: Vocabulary,
        dictionary: Dictionary,
        label_ids: Strings,
        n_rich: usize,
        n_columns: usize,
    ) -> Self {
        let plan = Plan::new(&template);
        Self {
            padding: Padding::new(plan.pad, |cell| vocabulary.values.find(cell)),
            labels: label_ids.iter().map(str::to_owned).collect(),
            template,
            plan,
            vocabulary,
            dictionary,
            label_ids,
            n_rich,
            n_columns,
            scheme: None,
            spelling: None,
        }
    }

    /// Encodes the corpus that was just counted: every attribute was found already.
    fn encode_counted(&self, corpus: &Corpus, counted: &Counted, threads: usize) -> Vec<Encoded> {
        let lines = counted.lines();
        in_chunks(corpus, threads, Rows::default, |rows, idx| {
            let tokens = corpus.starts[idx]..corpus.starts[idx + 1];
            rows.clear(tokens.len(), lines.len());
            for (line_idx, line) in lines.iter().enumerate() {
                rows.fill(line_idx, tokens.clone().map(|token| line.id(token)));
            }
            let mut encoded = Encoded::default();
            rows.write(&mut encoded);
            let labels = corpus.sentence(idx).labels();
            encoded.labels = labels.map(|label| self.label_id(label)).collect();
            encoded
        })
    }
}

/// Calls `work` on the index of every sentence, some sentences at a time on each thread.
fn in_chunks<S>(
    corpus: &Corpus,
    threads: usize,
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Encoded + Sync,
) -> Vec<Encoded> {
    let n_sentences = corpus.n_sentences();
    let n_chunks = n_sentences.div_ceil(SENTENCES_AT_A_TIME);
    let chunks = parallel::map(threads, n_chunks, scratch, |scratch, chunk| {
        let start = chunk * SENTENCES_AT_A_TIME;
        let end = n_sentences.min(start + SENTENCES_AT_A_TIME);
        (start..end).map(|idx| work(scratch, idx)).collect::<Vec<_>>()
    });
    chunks.into_iter().flatten().collect()
}
