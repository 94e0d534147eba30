//! The numbers that training uses where nothing else is asked for.
//!
//! They were chosen on a held-out tenth of the training part of CoNLL-2000 (every tenth
//! sentence, 4 to 6 seeds, F1 after 3, 6 and 10 passes), never on test data. With ADF, after ten
//! passes, min-freq 1 and 2 gave 93.84 and 93.91; l2 0.3, 0.5, 0.7, 1 and 2 gave 93.96, 93.94,
//! 93.95, 93.90 and 93.68; thresholds from 0 to 0.1 and two threads made no difference beyond
//! what seeds make.

use std::num::{NonZeroU32, NonZeroUsize};

use asyn::core::simulate::CostModel;

/// How many passes.
pub(crate) const PASSES: u32 = 10;
/// The seed of all randomness.
pub(crate) const SEED: u64 = 1;
/// λ of the objective `Σ ℓ + λ/2 ‖w‖²`.
pub(crate) const L2: f64 = 0.5;

/// The first step size of ADF, for tokens of so many attributes at the most.
pub(crate) const ADF_RATE: f64 = 0.2;
/// The attributes of a token up to which it holds.
pub(crate) const ADF_ATTRIBUTES: f64 = 20.0;
/// The first step size of SGD and averaged SGD.
pub(crate) const SGD_RATE: f64 = 0.2;
/// By what the step size is multiplied from pass to pass.
pub(crate) const DECAY: f64 = 0.8;
/// The factor a window of ADF for what no example uses.
pub(crate) const ALPHA: f64 = 0.995;
/// The factor a window of ADF for what every example uses.
pub(crate) const BETA: f64 = 0.6;
/// The windows of ADF in a pass.
pub(crate) const WINDOWS: u32 = 10;
/// The passes after which an inverse-time step size has halved.
pub(crate) const HALF_LIFE: f64 = 5.0;
/// The first pass whose iterates averaged SGD averages.
pub(crate) const AVERAGE_FROM: u32 = 3;

/// Examples a step.
pub(crate) const ACCUMULATE: u32 = 1;
/// Steps after which the sums of whole tensors are written.
///
/// On held-out parts, two threads, means of three or four seeds: 2, 4 and 8 gave 94.75, 94.61 and
/// 94.33 with the template `seg` on MSR, 94.05, 94.07 and 94.05 with `chunking`, at the same speed;
/// with 1, passes of chunking took 1.8 times as long.
pub(crate) const SUMS_EVERY: u32 = 2;
/// The size below which a row gradient is written stochastically.
pub(crate) const SPARSE_THRESHOLD: f64 = 0.05;
/// The rows that each worker of AsynGrad keeps for itself when there are several workers.
pub(crate) const REPLICA_ROWS: u32 = 256;
/// The steps in which a worker merges all its replicas once.
pub(crate) const MERGE_EVERY: u32 = 16;
/// How many steps a worker of the strategy bounded may be ahead.
pub(crate) const STALENESS: u32 = 3;
/// Examples between two quiet points.
pub(crate) const SEGMENT: usize = 1 << 14;

/// How often an attribute must occur to be kept.
pub(crate) const MIN_FREQ: u32 = 2;
/// How often an attribute must occur to become a rich edge attribute.
pub(crate) const EDGE_MIN_FREQ: u32 = 11;

/// The step size of Adam and RMSProp.
pub(crate) const ADAM_RATE: f64 = 1e-3;
/// The step size of descent with momentum, whose steps add up to twenty times it with β₁ = 0.95.
pub(crate) const MOMENTUM_RATE: f64 = 1e-2;
/// What Adam's mean of gradients keeps in a step, and its mean of squares (Sun, COLING 2016).
pub(crate) const BETA_1: f64 = 0.95;
pub(crate) const BETA_2: f64 = 0.95;
/// ε of Adam (Sun, COLING 2016).
pub(crate) const EPSILON: f64 = 1e-4;
/// The share of inputs that training a network sets to 0.
pub(crate) const DROPOUT: f64 = 0.0;
/// The probability with which training takes a rare value for an unknown one.
pub(crate) const UNKNOWN: f64 = 0.5;
/// The deviation of diagonal initial weights.
pub(crate) const DIAGONAL: f32 = 0.5;
/// The lengths of input vectors, by task (Sun, COLING 2016, table 2).
pub(crate) const TAGGING_INPUT: usize = 170;
pub(crate) const CHUNKING_INPUT: usize = 280;
pub(crate) const SEGMENTATION_INPUT: usize = 220;
/// Examples between two quiet points of a network, whose examples take longer.
pub(crate) const NETWORK_SEGMENT: usize = 1 << 10;

/// Below how many sentences a step each worker keeps copies of a network's matrices.
///
/// A step writes all of them, whose lines other workers then fetch. With 170 units and one sentence
/// a step, two threads ran at 0.6 to 1.7 times the speed of one in place, by how near the host had
/// the cores, and at 1.6 to 1.8 times with copies; with eight sentences, in place, at 1.9 to 2.0.
pub(crate) const NETWORK_COPIES_BELOW: u32 = 4;
/// The steps in which a worker merges these copies once.
///
/// With 1, 2, 4, 8 and 16, two threads made 21, 26, 29, 29 and 31 thousand tokens a second, and
/// the accuracy after a pass over the parts of speech of CoNLL-2000 was 94.91, 94.95, 94.93, 94.86
/// and 94.57, means of two to four runs; serial, 17 thousand and 94.70.
pub(crate) const NETWORK_MERGE_EVERY: u32 = 4;

/// Returns the first step size of ADF where a token has so many attributes on average.
///
/// A step moves the score of a token by the sum of what it moves each of its weights, so it is the
/// smaller the more there are. On development files, or a tenth of the training part
/// (`asyn train crf FILE -p NAME -d FILE|10% --rate X --seed S`, seeds 1 to 4, serial and with two
/// threads), steps of 0.1 and 0.2 gave 77.9 and 77.4 with the template `ner`, 94.7 and 94.6 with
/// `seg`, 94.7 and 94.6 with `chunking-rich`, 95.1 and 95.0 with `np`; 0.2 gave 94.8 with `pos` and
/// 94.1 with `chunking`. With 20 attributes, as `chunking` has, the larger step learns faster.
pub(crate) fn adf_rate(attributes: f64) -> f64 {
    ADF_RATE * (ADF_ATTRIBUTES / attributes.max(1.0)).min(1.0)
}

/// The passes of EM over parallel text.
pub(crate) const EM_PASSES: NonZeroU32 = NonZeroU32::new(5).unwrap();
/// The passes of Model 1 before those of another aligner.
pub(crate) const FIRST_PASSES: u32 = 5;
/// The probability of the empty word (Och and Ney 2003).
pub(crate) const EMPTY_WORD: f32 = 0.2;
/// How fast the prior of Model 2 falls with the distance from the diagonal (Dyer, Chahuneau and
/// Smith 2013).
pub(crate) const TENSION: f32 = 4.0;
/// The counts that every translation is worth before any is seen, chosen by the error rate on the
/// 37 pairs of the trial part of the Hansards and on the first half of `dev200` from Spanish to
/// English: 0.005 had 15.7 and 30.9 there, 0.01 17.0 and 31.6, none at all 24.5 and 36.8, by steps
/// (k + 2)^-0.7.
pub(crate) const TRANSLATION_PRIOR: f32 = 0.005;
/// The least memory that word alignment can be held to.
pub(crate) const LEAST_MEMORY: u64 = 16_000_000;
/// What things cost a simulated Bi-LSTM, whose matrices many vectors are multiplied with. With 170
/// units one worker makes 32 thousand tokens a second and two 1.84 times as many, where 37 thousand
/// and 1.86 times were measured (AMD EPYC of family 26, 25 November 2026).
pub(crate) const BILSTM_IN_PLACE: CostModel =
    CostModel { load: 0.25, store: 1.0, miss: 0.3, compute: 0.4, grain: 20_000.0 };
/// A gradient in place loads the weights of the recurrence at each token, one on a copy once a
/// sentence: a thirtieth of the loads for the same computation.
pub(crate) const BILSTM_COPIED: CostModel = CostModel { compute: 19.0, ..BILSTM_IN_PLACE };
/// α of stepwise EM for the hidden Markov model (Gimpel, Das and Smith 2010). Steps by the length of
/// a pass, as word aligners have them, end in worse optima: on EWT, many-to-one 39 to 42 % in three
/// runs, where 0.7 has 63 to 67.
pub(crate) const HMM_POWER: f32 = 0.7;
/// The most pairs of a step of stepwise EM, unless it is asked for.
pub(crate) const MOST_PAIRS_A_STEP: u32 = 1000;
/// The most words of a side of a pair that is trained on.
pub(crate) const MOST_WORDS: NonZeroUsize = NonZeroUsize::new(200).unwrap();

/// The states of a hidden Markov model: the tags of the Penn Treebank.
pub(crate) const STATES: NonZeroUsize = NonZeroUsize::new(45).unwrap();
/// The passes of EM over words.
pub(crate) const HMM_PASSES: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// The words whose counts each worker of AsynGrad keeps for itself when there are several workers.
pub(crate) const HMM_REPLICA_ROWS: u32 = 512;
/// The sentences of a step of EM over words (Gimpel, Das and Smith 2010).
pub(crate) const HMM_ACCUMULATE: NonZeroU32 = NonZeroU32::new(4).unwrap();
