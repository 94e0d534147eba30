//! Corpora for asyn: readers, feature templates, vocabulary and encoding.

pub mod conlleval;
mod corpus;
mod encoder;
mod error;
mod model_file;
mod parallel;
pub mod planted;
mod random;
mod reader;
mod strings;
mod template;

pub use corpus::{Corpus, Sentence};
pub use encoder::{
    EncodeScratch, Encoded, EncodedCorpus, Encoder, UNKNOWN_LABEL, VocabularyOptions,
};
pub use error::{Error, ModelFault, Result, TemplateFault};
pub use model_file::{MODEL_VERSION, ModelFile, Tensor};
pub use reader::{open_columns, read_columns};
pub use template::{MAX_ROW, Template, Warning};
