//! Models of other programs: an encoder for their attributes, and their scores by its numbers.
//!
//! | Program  | File                                     | It reads then              |
//! | -------- | ---------------------------------------- | -------------------------- |
//! | CRFsuite | the binary model, `lCRF`                 | attribute files of CRFsuite |
//! | CRF++    | the text model that `crf_learn -t` writes | column files               |
//!
//! What a file says of lengths and places is checked before it is used.

mod crfpp;
mod crfsuite;

pub use crfpp::import_crfpp;
pub use crfsuite::import_crfsuite;

use crate::encoder::Encoder;

/// A model of another program.
///
/// Scores that name the same place are to be summed.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The template, the attributes and the labels.
    pub encoder: Encoder,
    /// What an attribute of a token adds to the score of a label: attribute, label, score.
    pub nodes: Vec<(u32, u16, f32)>,
    /// What a pair of labels has whatever the tokens are: previous label, label, score.
    pub edges: Vec<(u16, u16, f32)>,
    /// What a rich attribute adds to a pair of labels: attribute, previous label, label, score.
    pub rich: Vec<(u32, u16, u16, f32)>,
}
