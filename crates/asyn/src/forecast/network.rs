//! What the memory of a run of a Bi-LSTM depends on.
//!
//! For `L` stored weights, and matrices of `k` by `n`:
//!
//! | Part          | Bytes                                                                       |
//! | ------------- | --------------------------------------------------------------------------- |
//! | weights       | 4 L a copy: the live ones, the tables of the update rule, the last good ones and those that are read out, and those of the best pass |
//! | workers       | 4 L without the vectors, where they compute on snapshots; with copies of the matrices, twice that for each table that workers share |
//! | long sentence | for each worker and token 8 Σ (k + n): states, errors, and the factors of the gradient |

use asyn::core::{Model, Shape};
use asyn::data::TokenIds;
use asyn::models::BiLstm;

use crate::choice::{MomentsChoice, ReadChoice, StrategyChoice, UpdateChoice};
use crate::settings::Settings;

/// The bytes of a weight.
const WEIGHT: u64 = 4;
/// How many times the inputs and outputs of a matrix are held for each token: as what is computed,
/// and as factors of the gradient.
const TIMES: u64 = 2;
/// The tokens that are labelled at once.
const LABELLED: usize = 256;

/// The sizes of a Bi-LSTM and of its training data.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    /// The bytes of all weights, and of those that are no vectors.
    pub(super) stored: u64,
    whole: u64,
    /// The bytes of a token and of a character that are computed.
    of_token: u64,
    of_character: u64,
    /// The tokens of the longest sentence, and of one in the mean.
    longest: usize,
    mean: usize,
    /// The characters of a token, in the mean.
    characters: f64,
}

impl Sizes {
    pub(super) fn new(model: &BiLstm, examples: &[TokenIds]) -> Self {
        let mut sizes = Self {
            stored: 0,
            whole: 0,
            of_token: 0,
            of_character: 0,
            longest: 0,
            mean: 0,
            characters: 0.0,
        };
        for tensor in model.layout().tensors() {
            let bytes = WEIGHT * tensor.stored_len() as u64;
            sizes.stored += bytes;
            if matches!(tensor.shape, Shape::Rows { .. }) {
                continue;
            }
            sizes.whole += bytes;
            if matches!(tensor.shape, Shape::Panels { .. }) {
                let (k, n) = tensor.dim();
                let computed = TIMES * WEIGHT * (k + n) as u64;
                match tensor.name.starts_with("characters") {
                    true => sizes.of_character += computed,
                    false => sizes.of_token += computed,
                }
            }
        }
        sizes.longest = examples.iter().map(TokenIds::n_tokens).max().unwrap_or(0);
        let n_tokens: usize = examples.iter().map(TokenIds::n_tokens).sum();
        sizes.mean = n_tokens / examples.len().max(1);
        let n_characters: usize = examples.iter().map(|example| example.characters.len()).sum();
        sizes.characters = n_characters as f64 / n_tokens.max(1) as f64;
        sizes
    }

    /// Returns how many tables of the update rule all workers share.
    fn shared_tables(settings: &Settings) -> u64 {
        let moments = settings.bilstm.as_ref().map_or(MomentsChoice::Shared, |it| it.moments);
        match (settings.update, moments) {
            (UpdateChoice::Sgd, _) | (_, MomentsChoice::Private) => 0,
            (_, MomentsChoice::Shared) => 2,
            (_, MomentsChoice::Mixed) => 1,
        }
    }

    /// Returns how many tables the update rule keeps for `workers`.
    fn tables(settings: &Settings, workers: u64) -> u64 {
        let shared = Self::shared_tables(settings);
        let own = if settings.update == UpdateChoice::Sgd { 0 } else { 2 - shared };
        shared + own * workers
    }

    /// Returns what is held while training, by what for.
    pub(super) fn parts(
        &self,
        settings: &Settings,
        workers: u64,
        longest_dev: Option<usize>,
    ) -> [(String, u64); 3] {
        let tables = Self::tables(settings, workers);
        let best = u64::from(longest_dev.is_some());
        // The last good weights, and those that are looked at beside them.
        let good = 2;
        let mut copies = 1 + tables + good + best;
        // A run folder holds the tables of a checkpoint, and the file that they are written to.
        copies += if settings.model.is_none() { 1 + tables + best } else { 0 };
        let copies_weights = settings.read == ReadChoice::Snapshot
            || matches!(settings.strategy, StrategyChoice::Locked | StrategyChoice::RoundRobin);
        let of_worker = if settings.replicas.is_some_and(|replicas| replicas.0.is_some()) {
            // A copy, and what it was when it was last merged.
            2 * (1 + Self::shared_tables(settings)) * self.whole
        } else if copies_weights {
            self.whole
        } else {
            0
        };
        let others = u64::from(settings.accumulate.saturating_sub(1));
        let step = self.longest as u64 + others * self.mean as u64;
        let labelled = longest_dev.map_or(0, |longest| longest.max(LABELLED)) as u64;
        let scored = settings.threads.get() as u64 * labelled * self.of_tokens() / TIMES;
        [
            ("the weights".to_owned(), copies * self.stored),
            (format!("{workers} workers"), workers * of_worker),
            (
                format!("a sentence of {} tokens", self.longest),
                workers * step * self.of_tokens() + scored,
            ),
        ]
    }

    /// Returns the bytes of a token with its characters.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of memory")]
    fn of_tokens(&self) -> u64 {
        self.of_token + (self.characters * self.of_character as f64) as u64
    }
}
