//! How a worker takes steps of Adam.
//!
//! A step changes three tables at once: the weights, table 0, and their two moments. Writes to
//! the weights go through the instruments as all others do.

use super::{Worker, Write};
use crate::Real;
use crate::gradient::{Outer, Sum};
use crate::layout::TensorId;
use crate::shared::{AdamStep, Lists, MissedSteps, SharedWeights, WeightsView};

/// What is done to weights and their moments.
type Act<'v> = dyn Fn(&WeightsView<'_>, [&WeightsView<'_>; 2]) + 'v;

impl Worker<'_> {
    /// Takes a step of Adam on a row with its `gradient`; `moments` are the tables of `m` and `v`.
    ///
    /// # Panics
    ///
    /// Panics if the row is out of range or the gradient is not as long as the tensor's stride.
    pub fn adam_row(
        &self,
        moments: [usize; 2],
        place: (TensorId, u32),
        step: &AdamStep,
        gradient: &[Real],
    ) {
        self.change_row(moments, place, &|w, moments| w.adam_step(moments, step, gradient));
    }

    /// Takes the steps of Adam without a gradient that a row `missed`.
    ///
    /// # Panics
    ///
    /// Panics if the row is out of range.
    pub fn adam_catch_up_row(
        &self,
        moments: [usize; 2],
        place: (TensorId, u32),
        missed: &MissedSteps<'_>,
    ) {
        self.change_row(moments, place, &|w, moments| w.adam_catch_up(moments, missed));
    }

    /// Takes a step of Adam on a whole tensor with its summed gradient.
    pub fn adam_whole(&self, moments: [usize; 2], sum: &Sum, step: &AdamStep) {
        let act: &Act<'_> = &|w, moments| {
            self.act(w, moments, &|w, moments| w.adam_step(moments, step, &sum.values));
        };
        let [w, m, v] =
            [0, moments[0], moments[1]].map(|table| self.whole_for_writing(table, sum.tensor));
        let live = || act(&w, [&m, &v]);
        if self.is_replicated(sum.tensor) {
            return live();
        }
        let write = || {
            self.announce(0, self.whole_block(sum.tensor), || match self.shadow(0) {
                Some(mut shadow) => {
                    shadow.write(w, |copy| act(&copy.view(0, w.len()), [&m, &v]));
                }
                None => live(),
            });
        };
        let start = self.layout.tensor(sum.tensor).start;
        match self.ledger(0) {
            Some(mut ledger) if ledger.watches(start, w.len()) => {
                let before = Moments::copy([&m, &v]);
                let apply = |copy: &SharedWeights| before.act(&copy.view(0, w.len()), act);
                ledger.write_whole(sum.tensor, w, 1, apply, write);
            }
            _ => write(),
        }
    }

    /// Takes a step of Adam on a tensor stored as panels, with a sum of outer products.
    ///
    /// By compare and swap nothing is written here: see [`Worker::add_outer`].
    pub fn adam_outer(&self, moments: [usize; 2], outer: &Outer, step: &AdamStep) {
        let [w, m, v] =
            [0, moments[0], moments[1]].map(|table| self.panels_for_writing(table, outer.tensor));
        let (x, delta, n) = (&outer.x, &outer.delta, outer.n);
        if self.is_replicated(outer.tensor) {
            return w.rank_adam_step([&m, &v], step, x, delta, n);
        }
        let view = self.whole_for_writing(0, outer.tensor);
        self.announce(0, self.whole_block(outer.tensor), || match self.shadow(0) {
            Some(mut shadow) => shadow.write(view, |copy| {
                copy.panels(0, w.k(), w.n()).rank_adam_step([&m, &v], step, x, delta, n);
            }),
            None => w.rank_adam_step([&m, &v], step, x, delta, n),
        });
    }

    fn change_row(&self, moments: [usize; 2], (tensor, row): (TensorId, u32), act: &Act<'_>) {
        let act: &Act<'_> = &|w, moments| self.act(w, moments, act);
        let [w, m, v] =
            [0, moments[0], moments[1]].map(|table| self.row_for_writing(table, tensor, row));
        let live = || act(&w, [&m, &v]);
        let first = self.hot_rows(0, tensor).map_or(0, |hot| hot.n_rows());
        if (row as usize) < first {
            return live();
        }
        let place = self.layout.tensor(tensor);
        let block = place.first_block + row as usize;
        let start = place.start + row as usize * w.len();
        let write = || {
            self.announce(0, std::iter::once(block), || match self.shadow(0) {
                Some(mut shadow) => {
                    shadow.write(w, |copy| act(&copy.view(0, w.len()), [&m, &v]));
                }
                None => live(),
            });
        };
        match self.ledger(0) {
            Some(mut ledger) if ledger.watches(start, w.len()) => {
                let (rows, row) = (self.rows(0, tensor), [row]);
                let before = Moments::copy([&m, &v]);
                let lists = Lists::new(&row, &[0, 1]);
                ledger.write_rows(
                    tensor,
                    &rows,
                    first,
                    lists,
                    |rows, _, _| before.act(&rows.row(0), act),
                    write,
                );
            }
            _ => write(),
        }
    }

    /// Does `act`, or adds what it would change by compare and swap.
    fn act(&self, weights: &WeightsView<'_>, moments: [&WeightsView<'_>; 2], act: &Act<'_>) {
        if self.write == Write::Racy {
            return act(weights, moments);
        }
        let change = SharedWeights::zeroed(weights.len());
        let change = change.view(0, weights.len());
        act(&change, moments);
        let mut values = vec![0.0; weights.len()];
        change.read_into(&mut values);
        weights.add_scaled_cas(1.0, &values);
    }
}

/// The moments of a block as they were before a step, for what is only tried.
struct Moments([Vec<Real>; 2]);

impl Moments {
    fn copy(moments: [&WeightsView<'_>; 2]) -> Self {
        Self(moments.map(|moment| {
            let mut values = vec![0.0; moment.len()];
            moment.read_into(&mut values);
            values
        }))
    }

    /// Does to `weights` and a copy of the moments what a step does.
    fn act(&self, weights: &WeightsView<'_>, act: &Act<'_>) {
        let copies = [&self.0[0], &self.0[1]].map(|values| {
            let copy = SharedWeights::zeroed(values.len());
            copy.view(0, values.len()).write_from(values);
            copy
        });
        act(weights, [&copies[0].view(0, weights.len()), &copies[1].view(0, weights.len())]);
    }
}
