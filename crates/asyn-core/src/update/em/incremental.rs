//! Incremental EM: the expected counts of an example replace those of the same example before.
//!
//! With the expected counts `s_i` of each example kept, counts are always their sum, and a step on
//! example `i` is
//!
//! ```text
//! μ ← μ + s_i′ − s_i,    s_i ← s_i′
//! ```
//!
//! (Neal and Hinton, "A View of the EM Algorithm that Justifies Incremental, Sparse, and Other
//! Variants", 1998). In the first pass, where there is no `s_i` yet, counts are added to those that
//! training starts from, and at its end these are taken away. So it is after a run is resumed, up to
//! the end of the first whole pass.
//!
//! Differences are rounded, and those that races lose are never made up for, so counts that are to
//! vanish may end below 0; at quiet points those become 0.

use super::{Multinomials, sum_up};
use crate::gradient::Gradient;
use crate::layout::Layout;
use crate::remembered::Remembered;
use crate::replica::Merge;
use crate::shared::SharedWeights;
use crate::update::{Step, Training, Update, Window, add};
use crate::worker::Worker;

/// Incremental EM. It keeps the expected counts of every example.
///
/// A step is by how much counts changed, so instruments that compute its gradient a second time
/// have nothing to compare it with: a trainer of both is refused.
///
/// ```
/// use asyn_core::{IncrementalEm, Trainer};
///
/// assert!(Trainer::builder().update(IncrementalEm::default()).passes(5).build().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IncrementalEm {
    /// The distributions whose totals are weights.
    pub multinomials: Vec<Multinomials>,
}

/// What [`IncrementalEm`] keeps during a run.
#[derive(Debug)]
pub struct IncrementalEmState {
    layout: Layout,
    n_examples: u64,
    /// The counts that training starts from.
    initial: SharedWeights,
    remembered: Remembered,
    /// The ticket before which those are taken away, once it is known.
    end_of_first: Option<u64>,
}

impl IncrementalEm {
    /// Takes away the counts that training started from, if the pass that ended is the first.
    fn end_first(&self, state: &IncrementalEmState, ticket: u64, weights: &mut SharedWeights) {
        if Some(ticket) == state.end_of_first {
            let initial = state.initial.to_vec();
            for (count, initial) in weights.as_mut_slice().iter_mut().zip(&initial) {
                *count -= initial;
            }
        }
    }

    fn sum_up(&self, state: &IncrementalEmState, weights: &mut SharedWeights) -> f64 {
        // What is not a number stays so, and ends the run.
        weights.as_mut_slice().iter_mut().filter(|count| **count < 0.0).for_each(|it| *it = 0.0);
        sum_up(&self.multinomials, &state.layout, weights)
    }
}

fn copy(weights: &SharedWeights) -> SharedWeights {
    let copy = SharedWeights::zeroed(weights.len());
    copy.copy_from(weights);
    copy
}

impl Update for IncrementalEm {
    type State = IncrementalEmState;

    fn name(&self) -> &'static str {
        "incremental-em"
    }

    fn describe(&self) -> String {
        "incremental em".to_owned()
    }

    fn start(&self, training: &Training<'_>) -> IncrementalEmState {
        IncrementalEmState {
            layout: training.layout.clone(),
            n_examples: training.n_examples as u64,
            initial: SharedWeights::zeroed(training.layout.len()),
            remembered: Remembered::new(training.n_examples),
            end_of_first: None,
        }
    }

    fn tables<'s>(&self, state: &'s IncrementalEmState) -> Vec<&'s SharedWeights> {
        vec![&state.initial]
    }

    /// Steps do not write the counts that training starts from.
    fn merges(&self, _state: &IncrementalEmState, _table: usize) -> Merge {
        Merge::Never
    }

    fn window_end(&self, state: &IncrementalEmState, ticket: u64) -> u64 {
        (ticket / state.n_examples + 1) * state.n_examples
    }

    fn between(
        &self,
        state: &mut IncrementalEmState,
        window: &Window,
        weights: &mut SharedWeights,
    ) {
        self.end_first(state, window.first_ticket, weights);
        self.sum_up(state, weights);
        if state.end_of_first.is_none() {
            let passes = window.first_ticket.div_ceil(state.n_examples) + 1;
            state.end_of_first = Some(passes * state.n_examples);
            state.initial = copy(weights);
        }
    }

    fn remembers(&self) -> bool {
        true
    }

    fn remembered<'s>(&self, state: &'s IncrementalEmState) -> Option<&'s Remembered> {
        Some(&state.remembered)
    }

    fn apply(
        &self,
        _state: &IncrementalEmState,
        step: &Step,
        gradient: &Gradient,
        worker: &mut Worker<'_>,
    ) {
        add(0, 1.0, step.writes_sums, gradient, worker);
    }

    fn lost_mass(&self, state: &IncrementalEmState, weights: &mut SharedWeights) -> Option<f64> {
        Some(self.sum_up(state, weights))
    }

    fn readout(&self, state: &IncrementalEmState, ticket: u64, weights: &mut SharedWeights) {
        self.end_first(state, ticket, weights);
        self.sum_up(state, weights);
    }
}
