//! By how much a gradient changed.

use super::Gradient;
use crate::Real;
use crate::layout::Layout;

impl Gradient {
    /// Adds by how much the gradient of an example changed: `now`, less `before` if there is one.
    ///
    /// # Panics
    ///
    /// Panics if the two do not add to the same weights in the same order.
    pub(crate) fn add_change(&mut self, layout: &Layout, now: &Self, before: Option<&Self>) {
        for spreads in now.spreads.iter().filter(|spreads| !spreads.rows.is_empty()) {
            let mut values = spreads.values.clone();
            let old =
                before.and_then(|it| it.spreads.iter().find(|it| it.tensor == spreads.tensor));
            if let Some(old) = old {
                assert_eq!(spreads.rows, old.rows, "an example has the same rows every time");
                subtract(&mut values, &old.values);
            }
            let stride = values.len() / spreads.scales.len();
            for (list, values) in values.chunks_exact(stride).enumerate() {
                self.add_rows(spreads.tensor, spreads.lists().get(list), values);
            }
        }
        for sum in &now.sums {
            let values = self.sum(layout, sum.tensor);
            values.iter_mut().zip(&sum.values).for_each(|(sum, value)| *sum += value);
        }
        for sum in before.iter().flat_map(|before| &before.sums) {
            subtract(self.sum(layout, sum.tensor), &sum.values);
        }
        for outer in &now.outers {
            self.add_outer(outer.tensor, &outer.x, &outer.delta, outer.n);
        }
        for outer in before.iter().flat_map(|before| &before.outers) {
            let delta: Vec<Real> = outer.delta.iter().map(|delta| -delta).collect();
            self.add_outer(outer.tensor, &outer.x, &delta, outer.n);
        }
        for cells in &now.cells {
            let mut values = cells.values.clone();
            let old = before.and_then(|it| it.cells.iter().find(|it| it.tensor == cells.tensor));
            if let Some(old) = old {
                assert_eq!(cells.indices, old.indices, "an example has the same cells every time");
                subtract(&mut values, &old.values);
            }
            self.add_cells(cells.tensor, &cells.indices, &values);
        }
    }
}

/// Subtracts each of `values` from the one of `from` beside it.
fn subtract(from: &mut [Real], values: &[Real]) {
    from.iter_mut().zip(values).for_each(|(from, value)| *from -= value);
}
