//! From tokens to one id a column, for models that look up a vector for each.
//!
//! A column is a line of a template: the attributes that the line makes are the values of the
//! column. So the words that a network sees, their shapes, affixes or tags, are said in the same
//! language as the attributes of a CRF, and a column is frozen, saved and looked up as these are.
//! Characters are those of the first column of the corpus, as they are.
//!
//! Id 0 of each column, and of the characters, stands for all that training did not see.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::corpus::{Corpus, Sentence};
use crate::encoder::{EncodeScratch, Encoded, Encoder};
use crate::error::{Error, ModelFault, Result};
use crate::model_file::ModelFile;
use crate::parallel;
use crate::token_ids::TokenIds;

const CHARACTERS: &str = "encoder.characters";

/// How many sentences a thread takes at a time.
const SENTENCES_AT_A_TIME: usize = 64;

/// The columns that the lines of an encoder's template are, and the characters.
///
/// ```
/// use asyn_data::{Encoder, Template, TokenEncoder, VocabularyOptions, read_columns};
///
/// let train = read_columns("train", "He PRP B-NP\nran VBD B-VP\nhe PRP B-NP\n".as_bytes())?;
/// let template = Template::parse("words", "U0:%lower[0,0]\nU1:%x[0,1]\n")?;
/// let (encoder, _) = Encoder::build(&train, template, &VocabularyOptions::default())?;
/// let columns = TokenEncoder::new(&encoder, &train, true);
/// // Words and tags; "he" is the most frequent word, "ran" occurs once.
/// let sizes: Vec<_> = columns.columns().collect();
/// assert_eq!((sizes[0].n_ids, sizes[0].first_rare), (3, 2));
/// let sentences = columns.encode(&encoder, &train, 1);
/// assert_eq!(sentences[0].ids, [1, 1, 2, 2, 1, 1]);
/// # Ok::<(), asyn_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEncoder {
    /// The column of each attribute, and the id that it has there.
    places: Vec<(u32, u32)>,
    columns: Vec<ColumnSize>,
    /// The id of each character, if characters are looked at.
    characters: Option<FxHashMap<char, u32>>,
}

/// How many values a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnSize {
    /// The number of ids, 0 for what is unknown included.
    pub n_ids: u32,
    /// The ids from here on occur once in the training corpus; `n_ids` where that is not known.
    pub first_rare: u32,
}

impl TokenEncoder {
    /// Makes columns of the lines of a template that was counted on a training corpus, and numbers
    /// its characters by falling frequency if they are to be looked at.
    ///
    /// Where several lines have the same text around their cells, they are one column, which has
    /// the value of the last of them.
    ///
    /// # Panics
    ///
    /// If there are more than 2³² attributes.
    pub fn new(encoder: &Encoder, corpus: &Corpus, with_characters: bool) -> Self {
        let characters = with_characters.then(|| count_characters(corpus));
        let mut columns = Self::of_encoder(encoder, characters);
        let mut counts: Vec<Vec<u32>> =
            columns.columns.iter().map(|column| vec![0; column.n_ids as usize]).collect();
        let (mut scratch, mut encoded) = (EncodeScratch::default(), Encoded::default());
        for sentence in corpus.sentences() {
            encoder.encode_sentence(&sentence, &mut scratch, &mut encoded);
            for &attribute in &encoded.attributes {
                let (column, id) = columns.places[attribute as usize];
                counts[column as usize][id as usize] += 1;
            }
        }
        for (column, counts) in columns.columns.iter_mut().zip(&counts) {
            let n_rare = counts[1..].iter().rev().take_while(|&&count| count <= 1).count();
            column.first_rare = column.n_ids - u32::try_from(n_rare).expect("ids are u32");
        }
        columns
    }

    fn of_encoder(encoder: &Encoder, characters: Option<FxHashMap<char, u32>>) -> Self {
        let mut columns = vec![ColumnSize { n_ids: 1, first_rare: 1 }; encoder.n_shapes()];
        let n_attributes = u32::try_from(encoder.n_attributes()).expect("attribute ids are u32");
        // Attributes are numbered by falling frequency, and so are the ids of each column.
        let places = (0..n_attributes)
            .map(|attribute| {
                let column = encoder.shape_of(attribute);
                let size = &mut columns[column];
                size.n_ids += 1;
                size.first_rare = size.n_ids;
                (u32::try_from(column).expect("a template has few lines"), size.n_ids - 1)
            })
            .collect();
        Self { places, columns, characters }
    }

    /// Adds the characters of other columns behind those that are here.
    ///
    /// # Panics
    ///
    /// If there are more than 2³² characters.
    #[must_use]
    pub fn with_characters_of(mut self, other: &Self) -> Self {
        if let (Some(here), Some(there)) = (&mut self.characters, &other.characters) {
            let by_id: BTreeMap<u32, char> = there.iter().map(|(&c, &id)| (id, c)).collect();
            for c in by_id.into_values() {
                let next = u32::try_from(here.len() + 1).expect("characters are fewer than 2^32");
                here.entry(c).or_insert(next);
            }
        }
        self
    }

    /// Returns the column of an attribute of the encoder, and the id that it has there.
    ///
    /// # Panics
    ///
    /// If there is no such attribute.
    pub fn place(&self, attribute: u32) -> (usize, u32) {
        let (column, id) = self.places[attribute as usize];
        (column as usize, id)
    }

    /// Returns the ids of the characters, if characters are looked at.
    pub fn characters(&self) -> impl Iterator<Item = (char, u32)> + '_ {
        self.characters.iter().flatten().map(|(&c, &id)| (c, id))
    }

    /// Returns the columns, in the order of the template's lines.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = ColumnSize> + '_ {
        self.columns.iter().copied()
    }

    /// Returns the number of character ids, 0 for unknown ones included, if characters are looked at.
    pub fn n_characters(&self) -> Option<usize> {
        self.characters.as_ref().map(|characters| characters.len() + 1)
    }

    /// Returns the text of each id of a column, in the order of the ids from 1 on: the line of the
    /// template with its cells filled in, without what stands before the first `:`.
    ///
    /// # Panics
    ///
    /// If there are more than 2³² attributes.
    pub fn values(&self, encoder: &Encoder, column: usize) -> Vec<String> {
        let of_column = |&(_, place): &(usize, &(u32, u32))| place.0 as usize == column;
        let attributes = self.places.iter().enumerate().filter(of_column);
        attributes
            .map(|(attribute, _)| {
                let text = encoder.attribute(u32::try_from(attribute).expect("ids are u32"));
                text.split_once(':').map_or(text.clone(), |(_, value)| value.to_owned())
            })
            .collect()
    }

    /// Encodes one sentence into `out`, without labels.
    ///
    /// # Panics
    ///
    /// If [`Encoder::check_columns`] refuses the corpus.
    pub fn encode_sentence(
        &self,
        encoder: &Encoder,
        sentence: &Sentence<'_>,
        (scratch, encoded): (&mut EncodeScratch, &mut Encoded),
        out: &mut TokenIds,
    ) {
        encoder.encode_sentence(sentence, scratch, encoded);
        let n_columns = self.columns.len();
        out.ids.clear();
        out.ids.resize(sentence.len() * n_columns, 0);
        out.characters.clear();
        out.offsets.clear();
        out.labels.clear();
        out.offsets.push(0);
        for (token, ids) in out.ids.chunks_exact_mut(n_columns).enumerate() {
            for &attribute in encoded.attributes_of(token) {
                let (column, id) = self.places[attribute as usize];
                ids[column as usize] = id;
            }
            if let Some(characters) = &self.characters {
                let word = sentence.column(token, 0).chars();
                out.characters.extend(word.map(|c| characters.get(&c).copied().unwrap_or(0)));
            }
            out.offsets.push(u32::try_from(out.characters.len()).expect("a sentence is short"));
        }
    }

    /// Encodes a corpus with labels.
    ///
    /// # Panics
    ///
    /// If [`Encoder::check_columns`] refuses the corpus.
    pub fn encode(&self, encoder: &Encoder, corpus: &Corpus, threads: usize) -> Vec<TokenIds> {
        let n_sentences = corpus.n_sentences();
        let n_chunks = n_sentences.div_ceil(SENTENCES_AT_A_TIME);
        let state = || (EncodeScratch::default(), Encoded::default());
        let chunks = parallel::map(threads, n_chunks, state, |(scratch, encoded), chunk| {
            let start = chunk * SENTENCES_AT_A_TIME;
            (start..n_sentences.min(start + SENTENCES_AT_A_TIME))
                .map(|idx| {
                    let sentence = corpus.sentence(idx);
                    let mut ids = TokenIds::default();
                    self.encode_sentence(encoder, &sentence, (scratch, encoded), &mut ids);
                    ids.labels = encoder.learned_labels(&sentence);
                    ids
                })
                .collect::<Vec<_>>()
        });
        chunks.into_iter().flatten().collect()
    }

    /// Puts what the encoder does not say into a model file.
    pub fn to_tensors(&self, model: &mut ModelFile) {
        let Some(characters) = &self.characters else { return };
        let by_id: BTreeMap<u32, char> = characters.iter().map(|(&c, &id)| (id, c)).collect();
        let text: String = by_id.into_values().collect();
        model.blobs.insert(CHARACTERS.to_owned(), text.into_bytes());
    }

    /// Makes the columns of an encoder out of a model file.
    ///
    /// # Errors
    ///
    /// [`Error::Model`] when the characters are not distinct or not text.
    pub fn from_tensors(encoder: &Encoder, model: &ModelFile) -> Result<Self> {
        let characters = match model.blobs.get(CHARACTERS) {
            None => None,
            Some(bytes) => Some(read_characters(bytes).ok_or_else(|| Error::Model {
                name: format!("the encoder of a {} model", model.kind),
                fault: ModelFault::Content { name: CHARACTERS },
            })?),
        };
        Ok(Self::of_encoder(encoder, characters))
    }
}

fn read_characters(bytes: &[u8]) -> Option<FxHashMap<char, u32>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let characters: FxHashMap<char, u32> = text.chars().zip(1..).collect();
    (characters.len() == text.chars().count()).then_some(characters)
}

/// Numbers the characters of the first column by falling frequency, then by first occurrence.
fn count_characters(corpus: &Corpus) -> FxHashMap<char, u32> {
    let mut counts: FxHashMap<char, (u64, usize)> = FxHashMap::default();
    for sentence in corpus.sentences() {
        for token in 0..sentence.len() {
            for c in sentence.column(token, 0).chars() {
                let first = counts.len();
                counts.entry(c).or_insert((0, first)).0 += 1;
            }
        }
    }
    let mut by_count: Vec<(char, (u64, usize))> = counts.into_iter().collect();
    by_count.sort_unstable_by_key(|&(_, (count, first))| (std::cmp::Reverse(count), first));
    by_count.into_iter().map(|(c, _)| c).zip(1..).collect()
}
