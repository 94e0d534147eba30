//! Corpora for asyn: column files in, numbers out, model files kept.
//!
//! | Type                          | What it is                                                     |
//! | ----------------------------- | -------------------------------------------------------------- |
//! | [`Corpus`], [`Sentence`]      | tokens in columns, from [`read_columns`] or [`open_columns`]   |
//! | [`Format`]                    | the formats that a corpus can be read from                     |
//! | [`Conllu`]                    | CoNLL-U without loss, its fields as columns                    |
//! | [`Template`]                  | the template language of CRF++, with a lint                    |
//! | [`Encoder`], [`Encoded`]      | the frozen vocabulary, and a sentence as attribute ids         |
//! | [`TokenIds`], [`TokenEncoder`] | a sentence as ids of words and characters, and how it becomes one |
//! | [`Scheme`]                    | IOB1, IOB2, IOBES, BILOU and BMES, with repairs                |
//! | [`conlleval::Counts`]         | chunk scores as the classic scorer computes and prints them    |
//! | [`spans::Counts`]             | scores of spans in any of the tag schemes                      |
//! | [`Grammar`]                   | which label sequences a tag scheme allows                      |
//! | [`sighan::Counts`]            | word scores, in and out of vocabulary                          |
//! | [`Bitext`], [`Links`], [`GoldLinks`] | parallel text, and alignments of its words        |
//! | [`AlignmentScore`]            | alignment error rate                                           |
//! | [`Clusters`]                  | many-to-one accuracy and V-measure of induced states           |
//! | [`Bootstrap`]                 | how sure a score is, and a difference between two              |
//! | [`planted::chunking`]         | corpora whose best possible score is known                     |
//! | [`Imported`]                  | a model of CRFsuite or CRF++                                   |
//! | [`ModelFile`]                 | tensors, bytes and strings in one checked safetensors file     |
//!
//! From a corpus to examples, to a score and to a file:
//!
//! ```
//! use asyn_data::conlleval::Counts;
//! use asyn_data::{Encoder, ModelFile, Template, VocabularyOptions, planted};
//!
//! let planted = planted::chunking(300, 17);
//! let (train, held_out) = planted.corpus().split(0.1, 1);
//!
//! let template = Template::builtin("chunking").expect("it comes with the crate");
//! assert!(template.lint(train.n_columns())?.is_empty());
//! let options = VocabularyOptions { rich_edges: true, threads: 2, ..Default::default() };
//! let (encoder, examples) = Encoder::build(&train, template, &options)?;
//! assert_eq!((examples.len(), examples[0].attributes_of(0).len()), (270, 19));
//! assert!(encoder.n_rich() < encoder.n_attributes());
//!
//! // A model that always answers with the first label.
//! let test = encoder.encode(&held_out, 2)?;
//! let mut counts = Counts::with_labels(encoder.labels());
//! for sentence in &test.sentences {
//!     counts.add_ids(&sentence.labels, &vec![0; sentence.n_tokens()]);
//! }
//! assert!(counts.score().f1() < planted.best_score(&held_out).f1());
//!
//! let mut model = ModelFile::new("example");
//! encoder.to_tensors(&mut model);
//! let bytes = model.to_bytes()?;
//! let loaded = Encoder::from_tensors(&ModelFile::from_bytes("memory", &bytes, "example")?, 1)?;
//! assert_eq!(loaded.encode(&held_out, 1)?, test);
//! # Ok::<(), asyn_data::Error>(())
//! ```
//!
//! Everything here is read and computed the same way on every machine and with
//! any number of threads. The crate prints nothing, and knows nothing of what
//! the weights of a model mean.

mod alignment;
mod bootstrap;
mod clusters;
pub mod conlleval;
mod conllu;
mod corpus;
mod crfsuite;
mod encoder;
mod error;
mod format;
mod grammar;
mod half;
mod import;
mod model_file;
mod parallel;
pub mod planted;
mod random;
mod reader;
mod scheme;
mod segmented;
pub mod sighan;
pub mod spans;
mod strings;
mod template;
mod token_encoder;
mod token_ids;
mod trees;
mod word_vectors;

pub use alignment::{
    AlignmentScore, Bitext, BitextParts, GoldLinks, Link, Links, Side, Symmetry, Words, read_gold,
    read_links,
};
pub use bootstrap::{Bootstrap, Comparison, Interval};
pub use clusters::Clusters;
pub use conllu::{Conllu, Field, write_conllu};
pub use corpus::{Corpus, Sentence};
pub use crfsuite::{read_attributes, write_attributes};
pub use encoder::{
    EncodeScratch, Encoded, EncodedCorpus, Encoder, Renumbering, Spelling, UNKNOWN_LABEL,
    VocabularyOptions,
};
pub use error::{ConlluFault, Error, ModelFault, Result, TemplateFault};
pub use format::{Format, FormatOptions};
pub use grammar::Grammar;
pub use import::{Imported, import_crfpp, import_crfsuite};
pub use model_file::{LentTensor, MODEL_VERSION, ModelFile, Tensor, Visit};
pub use reader::{open_columns, open_scored, open_text, read_columns};
pub use scheme::{Repair, Scheme};
pub use segmented::{join_words, read_plain, read_segmented, write_plain, write_segmented};
pub use template::{MAX_ROW, Template, Warning};
pub use token_encoder::{ColumnSize, TokenEncoder};
pub use token_ids::TokenIds;
pub use trees::read_trees;
pub use word_vectors::WordVectors;
