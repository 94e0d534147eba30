//! Batch EM: the expected counts of all examples replace those of the pass before.
//!
//! Workers add to a table beside the weights, which do not change within a pass; all strategies
//! compute the same but for the order of sums, and for additions that races lose.

use super::{Multinomials, sum_up};
use crate::gradient::Gradient;
use crate::layout::Layout;
use crate::shared::SharedWeights;
use crate::update::{Step, Training, Update, Window, add};
use crate::worker::Worker;

/// Batch EM (Dempster, Laird and Rubin, 1977).
///
/// ```
/// use asyn_core::{BatchEm, Trainer};
///
/// assert!(Trainer::builder().update(BatchEm::default()).passes(5).build().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BatchEm {
    /// The distributions whose totals are weights.
    pub multinomials: Vec<Multinomials>,
}

/// What [`BatchEm`] keeps during a run.
#[derive(Debug)]
pub struct BatchEmState {
    layout: Layout,
    n_examples: u64,
    counts: SharedWeights,
}

impl BatchEm {
    /// Takes the counts of the pass that has ended.
    fn take(&self, state: &BatchEmState, weights: &mut SharedWeights) {
        weights.copy_from(&state.counts);
        sum_up(&self.multinomials, &state.layout, weights);
    }
}

impl Update for BatchEm {
    type State = BatchEmState;

    fn name(&self) -> &'static str {
        "batch-em"
    }

    fn describe(&self) -> String {
        "batch em".to_owned()
    }

    fn start(&self, training: &Training<'_>) -> BatchEmState {
        let counts = SharedWeights::zeroed(training.layout.len());
        let n_examples = training.n_examples as u64;
        BatchEmState { layout: training.layout.clone(), n_examples, counts }
    }

    fn tables<'s>(&self, state: &'s BatchEmState) -> Vec<&'s SharedWeights> {
        vec![&state.counts]
    }

    fn window_end(&self, state: &BatchEmState, ticket: u64) -> u64 {
        (ticket / state.n_examples + 1) * state.n_examples
    }

    fn between(&self, state: &mut BatchEmState, window: &Window, weights: &mut SharedWeights) {
        if window.first_ticket.is_multiple_of(state.n_examples) {
            if window.first_ticket > 0 {
                self.take(state, weights);
            } else {
                sum_up(&self.multinomials, &state.layout, weights);
            }
            state.counts.as_mut_slice().fill(0.0);
        }
    }

    fn apply(
        &self,
        _state: &BatchEmState,
        step: &Step,
        gradient: &Gradient,
        worker: &mut Worker<'_>,
    ) {
        add(1, 1.0, step.writes_sums, gradient, worker);
    }

    fn readout(&self, state: &BatchEmState, ticket: u64, weights: &mut SharedWeights) {
        if ticket > 0 && ticket.is_multiple_of(state.n_examples) {
            self.take(state, weights);
        }
    }
}
