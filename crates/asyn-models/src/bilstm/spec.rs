//! What a tagger looks like, and what of it can be asked for.

use crate::error::{Error, Result};

/// The most labels that a model may have, as for a CRF.
const MOST_LABELS: usize = 4096;

/// The most numbers of a vector and units of a layer, and the most layers: what a damaged file asks
/// for beyond that is refused before anything has that size.
const MOST_UNITS: usize = 16_384;
const MOST_LAYERS: usize = 256;

/// What a [`BiLstm`](super::BiLstm) looks like.
///
/// | Task (Sun, COLING 2016)  | Input and hidden units |
/// | ------------------------ | ---------------------- |
/// | part-of-speech tagging   | 170                    |
/// | chunking                 | 280                    |
/// | word segmentation        | 220                    |
#[derive(Debug, Clone, PartialEq)]
pub struct BiLstmSpec {
    /// The columns of a token, at least one.
    pub columns: Vec<Column>,
    /// The characters of a token, if they are looked at.
    pub characters: Option<Characters>,
    /// The hidden units of each direction, 1 to 16,384.
    pub hidden: usize,
    /// The bidirectional layers, 1 to 256.
    pub layers: usize,
    /// The number of labels, 1 to 4096.
    pub labels: usize,
    /// How labels follow from their scores.
    pub output: OutputLayer,
    /// The share of the inputs of each layer and of the output layer that training sets to 0, at
    /// least 0 and below 1; what is left is scaled up.
    pub dropout: f32,
    /// The probability with which training replaces a rare id by the unknown one, 0 to 1.
    pub unknown: f32,
    /// What training starts from.
    pub initial: Initial,
}

/// A column of a token, whose ids have a vector each. Id 0 is the unknown one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// The number of ids, at least 1.
    pub rows: usize,
    /// The length of a vector, 1 to 16,384.
    pub width: usize,
    /// The first rare id: ids are numbered by falling frequency, so those from here on
    /// occur once in the training corpus. Equal to `rows` if none is to be replaced.
    pub first_rare: u32,
}

/// A bidirectional layer over the characters of a token; its last states join the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Characters {
    /// The number of character ids, at least 1.
    pub rows: usize,
    /// The length of the vector of a character, 1 to 16,384.
    pub width: usize,
    /// The hidden units of each direction, 1 to 16,384.
    pub hidden: usize,
}

/// How labels follow from their scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputLayer {
    /// Each token on its own.
    #[default]
    Softmax,
    /// A conditional random field over the sentence, with one matrix of transitions.
    Crf,
}

/// What the weights of the recurrent layers start from. The forget gates' biases start at 1, other
/// biases and transitions at 0, the output layer as [`Initial::Xavier`], and vectors of `n` floats
/// uniformly within `±√(3/n)`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Initial {
    /// Diagonal matrices with normal entries of this standard deviation, for each gate.
    DiagNormal(f32),
    /// Orthogonal matrices between the units for each gate (Saxe, McClelland and Ganguli, 2014),
    /// and otherwise as [`Initial::Xavier`].
    #[default]
    Orthogonal,
    /// Uniformly within `±√(6 / (inputs + outputs))`, for each gate (Glorot and Bengio, 2010).
    Xavier,
}

impl BiLstmSpec {
    /// Checks all numbers.
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=MOST_LABELS).contains(&self.labels) {
            return Err(Error::Labels { most: MOST_LABELS, actual: self.labels });
        }
        let mut counts = vec![("the columns", self.columns.len())];
        let mut sizes = vec![("the hidden units", self.hidden)];
        for column in &self.columns {
            counts.push(("the ids of a column", column.rows));
            sizes.push(("the length of a vector", column.width));
        }
        if let Some(characters) = &self.characters {
            counts.push(("the ids of characters", characters.rows));
            sizes.push(("the length of the vector of a character", characters.width));
            sizes.push(("the hidden units for characters", characters.hidden));
        }
        for (what, count) in counts {
            if count == 0 {
                return Err(Error::Setting { what, range: "at least 1", actual: 0.0 });
            }
        }
        for (what, size) in sizes {
            if !(1..=MOST_UNITS).contains(&size) {
                let actual = size as f32;
                return Err(Error::Setting { what, range: "1 to 16,384", actual });
            }
        }
        if !(1..=MOST_LAYERS).contains(&self.layers) {
            let actual = self.layers as f32;
            return Err(Error::Setting { what: "the layers", range: "1 to 256", actual });
        }
        let share = |what, range, actual: f32, is_allowed| match is_allowed {
            true => Ok(()),
            false => Err(Error::Setting { what, range, actual }),
        };
        let rate = self.dropout;
        share("the dropout rate", "at least 0 and below 1", rate, (0.0..1.0).contains(&rate))?;
        let rate = self.unknown;
        share("the rate of unknown words", "0 to 1", rate, (0.0..=1.0).contains(&rate))?;
        if let Initial::DiagNormal(s) = self.initial {
            let is_allowed = s > 0.0 && s.is_finite();
            share("the deviation of initial weights", "above 0", s, is_allowed)?;
        }
        Ok(())
    }
}
