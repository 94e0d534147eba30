//! The models of `asyn`.
//!
//! | Model      | What it is                                             |
//! | ---------- | ------------------------------------------------------ |
//! | [`Crf`]    | linear-chain conditional random field with rich edges  |
//! | [`Aligner`] | word alignment by expectation maximisation           |
//! | [`AgreeingAligners`] | the same in both directions, trained to agree |
//! | [`Hmm`]    | hidden Markov model over words, trained without labels  |
//! | [`BiLstm`] | bidirectional LSTM over vectors of words and characters |
//!
//! What a CRF says of a sentence:
//!
//! | Question                                        | Answer                                      |
//! | ----------------------------------------------- | ------------------------------------------- |
//! | the best labels                                 | [`Decode`](asyn_core::Decode), the fast way |
//! | the best labels that [`Constraints`] allow      | [`Crf::decode_within`]                      |
//! | the probability of each label                   | [`Crf::marginals`]                          |
//! | the second best labels, probabilities of spans  | [`Crf::lattice`]                            |
//! | which weights a score is made of                | [`Crf::explain`]                            |
//!
//! A model says where its weights lie and computes gradients and answers; it never
//! spawns a thread and never writes a weight. Training belongs to `asyn-core`.

mod alignment;
mod bilstm;
mod crf;
mod error;
mod hmm;
mod kernel;

pub use alignment::{
    AgreeingAligners, AgreementWorkspace, Aligner, AlignmentPair, AlignmentWorkspace,
    Cooccurrences, Distortion,
};
pub use bilstm::{BiLstm, BiLstmSpec, BiLstmWorkspace, Characters, Column, Initial, OutputLayer};
pub use crf::{
    BestFirst, Constraints, Contribution, Crf, CrfShape, CrfWorkspace, Lattice, Marginals, Pieces,
    Sequence, Source,
};
pub use error::{Error, Result};
pub use hmm::{Hmm, HmmWorkspace};
