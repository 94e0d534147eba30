//! How a worker writes, and where that is noted and announced.
//!
//! Writes to the weights, table 0, go through the instruments, if any are on: a ledger notes what
//! each is meant to add, and an announcer tells other workers which blocks are being written.

use std::cell::{RefCell, RefMut};

use super::{Private, Worker, Write};
use crate::Real;
use crate::gradient::{Cells, Outer, Spreads, Sum};
use crate::instruments::{Ledger, Shadow};
use crate::layout::{Shape, TensorId};
use crate::shared::{Lists, PanelView, RowsView, SharedWeights, WeightsView};
use crate::touched::Touched;

/// Positions in lists of rows; `None` for all of them in their order.
type Positions<'p> = Option<&'p [usize]>;

impl<'a> Worker<'a> {
    /// Adds `a` times each vector of `spreads`, and its scale, to its rows in `table`.
    pub fn add_rows(&self, table: usize, spreads: &Spreads, a: Real) {
        let (scales, values) = (spreads.scales(), spreads.values());
        self.write_rows(table, spreads, |rows, hot, lists, _| match self.write {
            Write::Racy => rows.add_lists(hot, lists, a, scales, values),
            Write::Cas => rows.add_lists_cas(hot, lists, a, scales, values),
        });
    }

    /// Replaces each row of `spreads` by `keep row + rate vector`, with one `keep` and `rate`
    /// for each row in the lists. The scales of the vectors are not applied.
    ///
    /// # Panics
    ///
    /// Panics if there is not one `keep` and one `rate` for each row.
    pub fn blend_rows(&self, table: usize, spreads: &Spreads, keep: &[Real], rate: &[Real]) {
        let values = spreads.values();
        self.write_rows(table, spreads, |rows, hot, lists, positions| {
            let of = |all: &[Real], positions: &[usize]| -> Vec<Real> {
                positions.iter().map(|&at| all[at]).collect()
            };
            let picked = positions.map(|positions| (of(keep, positions), of(rate, positions)));
            let (keep, rate) = picked.as_ref().map_or((keep, rate), |(k, r)| (k, r));
            match self.write {
                Write::Racy => rows.blend_lists(hot, lists, keep, rate, values),
                Write::Cas => rows.blend_lists_cas(hot, lists, keep, rate, values),
            }
        });
    }

    /// Multiplies a whole tensor by `keep` and adds `a` times a summed gradient.
    pub fn blend_whole(&self, table: usize, sum: &Sum, keep: Real, a: Real) {
        let blend = |view: WeightsView<'_>| match self.write {
            Write::Racy => view.scale_add(keep, a, &sum.values),
            Write::Cas => view.scale_add_cas(keep, a, &sum.values),
        };
        let view = self.whole_for_writing(table, sum.tensor);
        if self.is_replicated(sum.tensor) {
            return blend(view);
        }
        let apply = |copy: &SharedWeights| blend(copy.view(0, sum.values.len()));
        let write = || {
            self.announce(table, self.whole_block(sum.tensor), || match self.shadow(table) {
                Some(mut shadow) => shadow.write(view, apply),
                None => blend(view),
            });
        };
        match self.ledger(table) {
            Some(mut ledger) => {
                ledger.write_whole(sum.tensor, view, 1, apply, write);
            }
            None => write(),
        }
    }

    /// Adds `a` times a sum of outer products to a tensor stored as panels.
    pub fn add_outer(&self, table: usize, outer: &Outer, a: Real) {
        let add = |panels: PanelView<'_>| panels.rank_update(a, &outer.x, &outer.delta, outer.n);
        let panels = self.panels_for_writing(table, outer.tensor);
        if self.is_replicated(outer.tensor) {
            return add(panels);
        }
        let view = self.whole_for_writing(table, outer.tensor);
        let apply = |copy: &SharedWeights| add(copy.panels(0, panels.k(), panels.n()));
        let write = || {
            self.announce(table, self.whole_block(outer.tensor), || match self.shadow(table) {
                Some(mut shadow) => shadow.write(view, apply),
                None => add(panels),
            });
        };
        match self.ledger(table) {
            Some(mut ledger) => {
                ledger.write_whole(outer.tensor, view, outer.n, apply, write);
            }
            None => write(),
        }
    }

    /// Adds `a` times each value of `cells` to its weight in `table`.
    ///
    /// # Panics
    ///
    /// Panics if a place is out of range.
    pub fn add_cells(&self, table: usize, cells: &Cells, a: Real) {
        let is_watched =
            self.ledger.is_some() || self.announcer.is_some() || self.shadow(table).is_some();
        if is_watched || self.write == Write::Cas {
            for (tensor, index, value) in cells.iter() {
                self.add_cell(table, tensor, index, a * value);
            }
            return;
        }
        let tensor = self.layout.tensor(cells.tensor);
        let view = self.tables[table].view(tensor.start, tensor.stored_len());
        let front = self.front(table, cells.tensor);
        view.add_at(front.as_ref(), &cells.indices, a, &cells.values);
    }

    /// Adds `value` to the weight at `index` of a tensor, counted as the tensor is stored.
    fn add_cell(&self, table: usize, tensor: TensorId, index: u32, value: Real) {
        let id = tensor;
        let tensor = self.layout.tensor(tensor);
        let view = self.tables[table].view(tensor.start, tensor.stored_len());
        let index = index as usize;
        assert!(index < view.len(), "weight {index} of a tensor of {}", view.len());
        if let Some(front) = self.front(table, id).filter(|front| index < front.len()) {
            return front.set(index, front.get(index) + value);
        }
        // Kernels work on runs of weights that start at an allowed position.
        let start = index / 8 * 8;
        let at = index - start;
        let end = (start + 8).min(tensor.stored_len());
        let run = self.tables[table].view(tensor.start + start, end - start);
        let add = || match (self.write, self.shadow(table)) {
            (Write::Racy, None) => run.set(at, run.get(at) + value),
            (Write::Racy, Some(mut shadow)) => shadow.write(run, |copy| {
                let run = copy.view(0, run.len());
                run.set(at, run.get(at) + value);
            }),
            (Write::Cas, _) => {
                let mut values = [0.0; 8];
                values[at] = value;
                run.add_scaled_cas(1.0, &values[..run.len()]);
            }
        };
        let block = match tensor.shape {
            Shape::Rows { stride, .. } => tensor.first_block + index / stride,
            Shape::Dense { .. } | Shape::Panels { .. } => tensor.first_block,
        };
        let write = || self.announce(table, std::iter::once(block), add);
        match self.ledger(table) {
            Some(mut ledger) => ledger.write_cell(id, (view, index), value, write),
            None => write(),
        }
    }

    /// Writes the lists of `spreads` by `write`, which is given rows, those in front that are
    /// elsewhere, lists of rows, and for each of their ids its position in the lists of `spreads`.
    fn write_rows(
        &self,
        table: usize,
        spreads: &Spreads,
        write: impl Fn(&RowsView<'_>, Option<&RowsView<'_>>, Lists<'_>, Positions<'_>),
    ) {
        let rows = self.rows(table, spreads.tensor());
        let hot = self.hot_rows(table, spreads.tensor());
        let lists = spreads.lists();
        let first = hot.as_ref().map_or(0, RowsView::n_rows);
        let blocks = self.rows_blocks(spreads.tensor(), lists.ids(), first);
        let write_all = || {
            self.announce(table, blocks, || match self.shadow(table) {
                Some(mut shadow) => exchange_rows(&mut shadow, &rows, hot.as_ref(), lists, &write),
                None => write(&rows, hot.as_ref(), lists, None),
            });
        };
        match self.ledger(table) {
            Some(mut ledger) => {
                let apply = |rows: &RowsView<'_>, lists: Lists<'_>, positions: &[usize]| {
                    write(rows, None, lists, Some(positions));
                };
                ledger.write_rows(spreads.tensor(), &rows, first, lists, apply, write_all);
            }
            None => write_all(),
        }
    }

    /// Calls `write`, and announces that it writes `blocks`.
    pub(super) fn announce(
        &self,
        table: usize,
        blocks: impl Iterator<Item = usize> + Clone,
        write: impl FnOnce(),
    ) {
        match self.announcer.as_ref().filter(|_| table == 0) {
            Some(announcer) => announcer.borrow_mut().write(blocks, write),
            None => write(),
        }
    }

    /// Returns the numbers of the touched blocks that are read from shared memory.
    pub(crate) fn shared_blocks(&self, touched: &Touched) -> impl Iterator<Item = usize> {
        let rows = touched.rows().flat_map(|(tensor, rows)| {
            let first = self.hot_rows(0, tensor).map_or(0, |hot| hot.n_rows());
            self.rows_blocks(tensor, rows, first)
        });
        let whole = touched.whole().iter().filter(|&&tensor| !self.is_replicated(tensor));
        rows.chain(whole.flat_map(|&tensor| self.whole_block(tensor)))
    }

    /// Returns the numbers of the blocks of `rows`, those before `first` excepted.
    fn rows_blocks<'r>(
        &self,
        tensor: TensorId,
        rows: &'r [u32],
        first: usize,
    ) -> impl Iterator<Item = usize> + Clone + use<'r> {
        let first_block = self.layout.tensor(tensor).first_block;
        let rows = rows.iter().map(|&row| row as usize);
        rows.filter(move |&row| row >= first).map(move |row| first_block + row)
    }

    pub(super) fn whole_block(&self, tensor: TensorId) -> std::iter::Once<usize> {
        std::iter::once(self.layout.tensor(tensor).first_block)
    }

    /// Returns where writes to `table` are noted, if they are.
    pub(super) fn ledger(&self, table: usize) -> Option<RefMut<'_, &'a mut Ledger>> {
        self.ledger.as_ref().filter(|_| table == 0).map(RefCell::borrow_mut)
    }

    /// Returns what writes to `table` go through, if the step is sampled and writes by exchange.
    pub(super) fn shadow(&self, table: usize) -> Option<RefMut<'_, Shadow>> {
        let shadow = self.shadow.as_ref().filter(|_| table == 0)?.borrow_mut();
        shadow.is_on().then_some(shadow)
    }

    /// Returns true if this worker has a whole tensor for itself.
    pub(super) fn is_replicated(&self, tensor: TensorId) -> bool {
        matches!(&self.private, Private::Replica(replica) if replica.whole(0, tensor).is_some())
    }
}

/// Writes `lists` by `write`: those rows that are elsewhere, in `hot`, at once, and the others one
/// by one through `shadow`.
fn exchange_rows(
    shadow: &mut Shadow,
    rows: &RowsView<'_>,
    hot: Option<&RowsView<'_>>,
    lists: Lists<'_>,
    write: &impl Fn(&RowsView<'_>, Option<&RowsView<'_>>, Lists<'_>, Positions<'_>),
) {
    let first = hot.map_or(0, RowsView::n_rows);
    let (mut ids, mut offsets, mut positions) = (Vec::new(), vec![0], Vec::new());
    for (list, ends) in lists.offsets().windows(2).enumerate() {
        for position in ends[0] as usize..ends[1] as usize {
            let row = lists.ids()[position];
            if (row as usize) < first {
                ids.push(row);
                positions.push(position);
                continue;
            }
            let alone: Vec<u32> = (0..=lists.len()).map(|end| u32::from(end > list)).collect();
            shadow.write(rows.row(row), |copy| {
                let copy = copy.rows(0, 1, rows.stride());
                write(&copy, None, Lists::new(&[0], &alone), Some(&[position]));
            });
        }
        offsets.push(u32::try_from(ids.len()).expect("a step has few rows"));
    }
    write(rows, hot, Lists::new(&ids, &offsets), Some(&positions));
}
