//! Trains structured models on all the cores of a CPU, asynchronously.
//!
//! This crate is what the command `asyn` is made of, in one place for programs: it adds to the
//! crates below only what joins them.
//!
//! | Item          | What it is                                                            |
//! | ------------- | --------------------------------------------------------------------- |
//! | [`Tagger`]    | a model with the encoder that its numbers belong to; a model file     |
//! | [`SequenceModel`], [`Examples`] | a CRF or a Bi-LSTM, and sentences encoded for it    |
//! | [`Labeller`]  | one thread's scratch memory for labelling sentences with it           |
//! | [`WordAligner`], [`AlignmentTask`], [`AgreementTask`] | a word aligner with its words, and its training |
//! | [`StateTagger`] | a hidden Markov model with its words                               |
//! | [`HeldOut`]   | sentences with gold labels, to be scored on all the cores             |
//! | [`core`]      | shared weights, strategies, update rules and the trainer              |
//! | [`sync`]      | the strategies that coordinate their workers                          |
//! | [`data`]      | corpora, templates, scores, planted data and model files              |
//! | [`models`]    | the models                                                            |
//!
//! A chunker, from a corpus to a score:
//!
//! ```
//! use asyn::core::{Adf, AsynGrad, Trainer};
//! use asyn::data::{Encoder, Template, VocabularyOptions, planted};
//! use asyn::{HeldOut, Tagger};
//!
//! let planted = planted::chunking(300, 17);
//! let (train, test) = planted.corpus().split(0.1, 1);
//! let template = Template::builtin("chunking").expect("it comes with the crate");
//! let (encoder, examples) = Encoder::build(&train, template, &VocabularyOptions::default())?;
//! let mut tagger = Tagger::untrained(encoder)?;
//!
//! let trainer = Trainer::builder().strategy(AsynGrad).update(Adf::default()).threads(2).passes(4).build()?;
//! tagger.fit(&trainer, &examples, &mut ())?;
//!
//! let held_out = HeldOut::new(tagger.encoder(), tagger.model(), &test, 2)?;
//! let score = held_out.score(tagger.model(), tagger.weights(), 2);
//! assert!(score.f1() > 60.0 && score.f1() < planted.best_score(&test).f1());
//! # Ok::<(), asyn::Error>(())
//! ```
//!
//! The library prints nothing; the command is described in `docs/command.md`.

mod alignment_task;
mod error;
mod held_out;
mod labeller;
mod sequence_model;
mod state_tagger;
mod tagger;
mod word_aligner;

pub use asyn_core as core;
pub use asyn_data as data;
pub use asyn_models as models;
pub use asyn_sync as sync;

pub use alignment_task::{AgreementTask, AlignmentTask};
pub use error::{Error, Result};
pub use held_out::HeldOut;
pub use labeller::Labeller;
pub use sequence_model::{Examples, SequenceExample, SequenceModel};
pub use state_tagger::{HMM_KIND, StateTagger};
pub use tagger::{BILSTM_KIND, KIND, Tagger};
pub use word_aligner::{ALIGNER_KIND, Direction, DirectionSettings, WordAligner};
