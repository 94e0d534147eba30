//! Corpora for asyn: readers, feature templates, vocabulary and encoding.

mod corpus;
mod encoder;
mod error;
mod parallel;
mod random;
mod reader;
mod strings;
mod template;

pub use corpus::{Corpus, Sentence};
pub use encoder::{
    EncodeScratch, Encoded, EncodedCorpus, Encoder, UNKNOWN_LABEL, VocabularyOptions,
};
pub use error::{Error, Result, TemplateFault};
pub use reader::{open_columns, read_columns};
pub use template::{MAX_ROW, Template, Warning};
