//! What one worker sees of the shared weights.
//!
//! Models read through a [`Worker`], and update rules write through it. The
//! worker decides where a block is: live in shared memory, in a snapshot, or in
//! the worker's own replica of the hot rows. That is one branch a call.
//!
//! Tables: table 0 is the weights; the tables after it belong to the update
//! rule, one float a weight each, laid out alike.

mod adam;
mod write;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Real;
use crate::instruments::{Announcer, Ledger, Shadow, Versions};
use crate::layout::{Layout, Shape, TensorId};
use crate::replica::Replica;
use crate::shared::{Lists, PanelView, RowsView, SharedWeights, WeightsView};
use crate::snapshot::Snapshot;

/// How many workers were made in this process.
static WORKERS: AtomicU64 = AtomicU64::new(0);

/// How many floats at the start of a row tensor are taken to be in the cache of a worker.
const CACHED_FLOATS: usize = 1 << 16;

/// How a worker reads weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Read {
    /// Live weights, whenever a value is needed. Other workers may write between
    /// two reads of a step: the gradient-error case of AsynGrad.
    #[default]
    InPlace,
    /// A copy of the touched blocks, taken before the gradient. The copy may be
    /// torn, but it does not change under the gradient: the gradient-delay case.
    Snapshot,
}

/// How a worker writes weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Write {
    /// Load, add, store: two workers that meet on a weight may lose an addition.
    #[default]
    Racy,
    /// Compare and swap a weight: no addition is lost, at many times the cost.
    Cas,
}

/// One worker's window on the shared weights.
///
/// # Memory model
///
/// Every access to shared weights is relaxed: a read returns some value that was
/// written to that weight, blocks that are read together may come from different
/// moments, and nothing is ordered between weights. Between segments a single
/// thread holds the weights, and sees everything that was written.
#[derive(Debug)]
pub struct Worker<'a> {
    index: usize,
    layout: &'a Layout,
    tables: Vec<&'a SharedWeights>,
    write: Write,
    private: Private<'a>,
    /// A table, and its touched blocks as they were when the step read, if they are kept.
    kept: Option<(usize, &'a mut Snapshot)>,
    /// Where writes to the weights are noted, if they are.
    ledger: Option<RefCell<&'a mut Ledger>>,
    /// Where writes to the weights are announced, if they are.
    announcer: Option<RefCell<Announcer<'a>>>,
    /// What writes in sampled steps, if they write by exchange.
    shadow: Option<RefCell<Shadow>>,
    scale: Real,
    whole_version: u64,
    scratch: [Vec<Real>; 2],
}

/// The private memory that stands between a worker and the shared weights.
#[derive(Debug)]
pub(crate) enum Private<'a> {
    None,
    Snapshot(&'a mut Snapshot),
    Replica(&'a mut Replica),
}

impl<'a> Worker<'a> {
    /// Makes a worker that only reads, for decoding and evaluation.
    #[must_use]
    pub fn reader(layout: &'a Layout, weights: &'a SharedWeights) -> Self {
        Self::new(0, layout, vec![weights], Write::Racy, Private::None)
    }

    pub(crate) fn new(
        index: usize,
        layout: &'a Layout,
        tables: Vec<&'a SharedWeights>,
        write: Write,
        private: Private<'a>,
    ) -> Self {
        assert!(
            tables.iter().all(|table| table.len() >= layout.len()),
            "a weight vector is shorter than the model's layout"
        );
        // Two workers must not agree on a version, or what a model derived from the tensors of
        // one would be taken for the other's.
        let whole_version = WORKERS.fetch_add(1, Ordering::Relaxed) << 32;
        Self {
            index,
            layout,
            tables,
            write,
            private,
            kept: None,
            ledger: None,
            announcer: None,
            shadow: None,
            scale: 1.0,
            whole_version,
            scratch: Default::default(),
        }
    }

    /// Makes the worker keep what each step touches of a table as it was when the step read.
    pub(crate) fn with_kept(mut self, kept: Option<(usize, &'a mut Snapshot)>) -> Self {
        self.kept = kept;
        self
    }

    /// Makes the worker note what it writes to the weights.
    pub(crate) fn with_ledger(mut self, ledger: Option<&'a mut Ledger>) -> Self {
        self.ledger = ledger.map(RefCell::new);
        self
    }

    /// Makes the worker announce which blocks it writes.
    pub(crate) fn with_versions(mut self, versions: Option<&'a Versions>) -> Self {
        self.announcer = versions.map(|it| RefCell::new(Announcer::new(it, self.index)));
        self
    }

    /// Makes the worker write through `shadow`, unless it compares and swaps anyway.
    pub(crate) fn with_shadow(mut self, shadow: Option<Shadow>) -> Self {
        self.shadow = shadow.filter(|_| self.write == Write::Racy).map(RefCell::new);
        self
    }

    /// Returns what the worker writes through in sampled steps, if it does.
    pub(crate) fn shadow_mut(&mut self) -> Option<&mut Shadow> {
        self.shadow.as_mut().map(RefCell::get_mut)
    }

    /// Returns where the worker announces what it writes, if it does.
    pub(crate) fn announcer(&mut self) -> Option<&mut Announcer<'a>> {
        self.announcer.as_mut().map(RefCell::get_mut)
    }

    /// Returns the worker's number, counted from 0.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns the layout of the weights.
    #[must_use]
    pub fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// Sets the factor by which stored values are multiplied when they are read.
    ///
    /// Update rules that keep `w` as `s v` set `s` here before each gradient.
    pub fn set_scale(&mut self, scale: Real) {
        self.scale = scale;
    }

    /// Returns the factor by which stored values are multiplied when they are read.
    ///
    /// Only reads through a bare view need it.
    #[must_use]
    pub fn scale(&self) -> Real {
        self.scale
    }

    /// Returns a number that changes whenever this worker's whole tensors may have changed.
    ///
    /// A model may keep what it derives from a whole tensor, such as the
    /// exponentials of transition weights, until the number changes. It changes
    /// at every write of summed gradients by this worker, which bounds the age of
    /// what is kept.
    #[must_use]
    pub fn whole_version(&self) -> u64 {
        self.whole_version
    }

    /// Sets the start of `out[i * width..]` to the sum of the rows of list `i`, for each list.
    ///
    /// One call for all tokens of a sentence costs little more than one for a token.
    ///
    /// # Panics
    ///
    /// Panics if a row is out of range, `width` is less than the tensor's stride, or `out` is
    /// shorter than `width` floats a list.
    #[inline]
    pub fn sum_lists(&self, tensor: TensorId, lists: Lists<'_>, out: &mut [Real], width: usize) {
        let out = &mut out[..lists.len() * width];
        match &self.private {
            Private::Snapshot(snapshot) => snapshot.sum_lists(tensor, lists, out, width),
            Private::None => self.rows(0, tensor).sum_lists(None, lists, out, width),
            Private::Replica(replica) => {
                let hot = replica.rows(0, tensor);
                self.rows(0, tensor).sum_lists(hot.as_ref(), lists, out, width);
            }
        }
        self.apply_scale(out);
    }

    /// Asks for `rows` of a row tensor to be brought near, because they will be read soon.
    ///
    /// Frequent rows, which have small numbers, are in a cache anyway and are left out. A hint:
    /// it reads nothing.
    ///
    /// # Panics
    ///
    /// Panics if a row is out of range.
    #[inline]
    pub fn prefetch_rows(&self, tensor: TensorId, rows: &[u32]) {
        let all = self.rows(0, tensor);
        let first = CACHED_FLOATS / all.stride();
        all.prefetch(rows, u32::try_from(first).unwrap_or(u32::MAX));
    }

    /// Copies the single weights at `indices` of a row tensor to `out`, counted as the tensor is
    /// stored. They lack [`Worker::scale`].
    ///
    /// # Panics
    ///
    /// Panics if a place is out of range, or there is not one place in `out` for each.
    #[inline]
    pub fn gather(&self, tensor: TensorId, indices: &[u32], out: &mut [Real]) {
        match &self.private {
            Private::Snapshot(snapshot) => snapshot.gather(tensor, indices, out),
            Private::None | Private::Replica(_) => {
                let front = self.front(0, tensor);
                let tensor = self.layout.tensor(tensor);
                let view = self.tables[0].view(tensor.start, tensor.stored_len());
                view.gather(front.as_ref(), indices, out);
            }
        }
    }

    /// Sets the first stride of `out` to the sum of `rows` of a row tensor.
    ///
    /// # Panics
    ///
    /// Panics if a row is out of range or `out` is too short.
    #[inline]
    pub fn sum_rows(&self, tensor: TensorId, rows: &[u32], out: &mut [Real]) {
        let n = u32::try_from(rows.len()).expect("a list of ids is short");
        self.sum_lists(tensor, Lists::new(rows, &[0, n]), out, self.stride(tensor));
    }

    /// Copies a tensor that is read as a whole, as it is stored.
    ///
    /// # Panics
    ///
    /// Panics if `out` has another length than the tensor as stored.
    pub fn read_whole(&self, tensor: TensorId, out: &mut [Real]) {
        self.whole(0, tensor).read_into(out);
        self.apply_scale(out);
    }

    /// Returns a view of one row. Values read through it lack [`Worker::scale`].
    ///
    /// # Panics
    ///
    /// Panics if the row is out of range.
    #[must_use]
    pub fn row(&self, tensor: TensorId, row: u32) -> WeightsView<'_> {
        match &self.private {
            Private::Snapshot(snapshot) => snapshot.row(tensor, row),
            Private::Replica(replica) => match replica.rows(0, tensor) {
                Some(hot) if (row as usize) < hot.n_rows() => hot.row(row),
                _ => self.rows(0, tensor).row(row),
            },
            Private::None => self.rows(0, tensor).row(row),
        }
    }

    /// Returns a view of a tensor that is read as a whole. Values read through it lack
    /// [`Worker::scale`].
    #[must_use]
    pub fn view(&self, tensor: TensorId) -> WeightsView<'_> {
        self.whole(0, tensor)
    }

    /// Returns a view of a tensor stored as panels. Products with it lack [`Worker::scale`].
    ///
    /// # Panics
    ///
    /// Panics if the tensor is stored otherwise.
    #[must_use]
    pub fn panels(&self, tensor: TensorId) -> PanelView<'_> {
        match &self.private {
            Private::Snapshot(snapshot) => snapshot.panels(tensor),
            Private::None | Private::Replica(_) => self.panels_for_writing(0, tensor),
        }
    }

    /// Lends two buffers that live as long as the worker, for what an update rule computes
    /// row by row.
    pub fn with_scratch(&mut self, work: impl FnOnce(&Self, &mut Vec<Real>, &mut Vec<Real>)) {
        let [mut first, mut second] = std::mem::take(&mut self.scratch);
        work(self, &mut first, &mut second);
        self.scratch = [first, second];
    }

    /// Notes that summed gradients were written.
    pub(crate) fn bump_whole_version(&mut self) {
        self.whole_version += 1;
    }

    /// Copies the touched blocks into the snapshot, if this worker reads from one.
    pub(crate) fn take_snapshot(&mut self) {
        if let Private::Snapshot(snapshot) = &mut self.private {
            snapshot.copy(self.layout, self.tables[0]);
            self.whole_version += 1;
        }
    }

    /// Copies what this worker would read from outside of a snapshot into `copy`, which was planned
    /// for the same blocks.
    pub(crate) fn copy_into(&self, copy: &mut Snapshot, touched: &crate::Touched) {
        copy.copy(self.layout, self.tables[0]);
        let Private::Replica(replica) = &self.private else { return };
        let mut values = Vec::new();
        let mut overlay = |local: &WeightsView<'_>, copied: &WeightsView<'_>| {
            values.resize(local.len(), 0.0);
            local.read_into(&mut values);
            copied.write_from(&values);
        };
        for (tensor, rows) in touched.rows() {
            let Some(hot) = replica.rows(0, tensor) else { continue };
            for &row in rows.iter().filter(|&&row| (row as usize) < hot.n_rows()) {
                overlay(&hot.row(row), &copy.row(tensor, row));
            }
        }
        for &tensor in touched.whole() {
            if let Some(local) = replica.whole(0, tensor) {
                overlay(&local, &copy.whole(tensor));
            }
        }
    }

    /// Returns a worker that reads from `copy` what this one reads, with `version` as its
    /// [`Worker::whole_version`].
    pub(crate) fn reference<'s>(&'s self, copy: &'s mut Snapshot, version: u64) -> Worker<'s> {
        Worker {
            index: self.index,
            layout: self.layout,
            tables: self.tables.clone(),
            write: self.write,
            private: Private::Snapshot(copy),
            kept: None,
            ledger: None,
            announcer: None,
            shadow: None,
            scale: self.scale,
            whole_version: version,
            scratch: Default::default(),
        }
    }

    /// Decides which blocks the next copies hold, if this worker makes any.
    pub(crate) fn plan_copies(&mut self, touched: &crate::Touched) {
        if let Private::Snapshot(snapshot) = &mut self.private {
            snapshot.plan(self.layout, touched);
        }
        if let Some((_, kept)) = &mut self.kept {
            kept.plan(self.layout, touched);
        }
    }

    /// Copies the touched blocks of the table that is kept, if one is.
    pub(crate) fn keep(&mut self) {
        if let Some((table, kept)) = &mut self.kept {
            kept.copy(self.layout, self.tables[*table]);
        }
    }

    /// Returns a row of the table that is kept, as it was when the step read.
    pub(crate) fn kept_row(&self, tensor: TensorId, row: u32) -> WeightsView<'_> {
        let (_, kept) = self.kept.as_ref().expect("a rule that looks back keeps a table");
        kept.row(tensor, row)
    }

    /// Returns a whole tensor of the table that is kept, if the step touches it.
    pub(crate) fn kept_whole(&self, tensor: TensorId) -> Option<WeightsView<'_>> {
        let (_, kept) = self.kept.as_ref()?;
        kept.place(tensor, 0).map(|_| kept.whole(tensor))
    }

    /// Returns true if the gradient is computed on a snapshot.
    pub(crate) fn reads_snapshot(&self) -> bool {
        matches!(self.private, Private::Snapshot(_))
    }

    /// Merges a share of the replica with the shared weights, if there is a replica.
    pub(crate) fn merge_share(&mut self) {
        if let Private::Replica(replica) = &mut self.private
            && replica.merge_share(
                &self.tables,
                self.ledger.as_mut().map(|it| &mut **it.get_mut()),
                self.announcer.as_mut().map(RefCell::get_mut),
                self.shadow.as_mut().map(RefCell::get_mut).filter(|shadow| shadow.is_on()),
            )
        {
            self.whole_version += 1;
        }
    }

    /// Starts a segment: the replica, if there is one, becomes a fresh copy.
    pub(crate) fn refresh(&mut self) {
        if let Private::Replica(replica) = &mut self.private {
            replica.refresh(&self.tables);
        }
        self.whole_version += 1;
    }

    fn stride(&self, id: TensorId) -> usize {
        let tensor = self.layout.tensor(id);
        match tensor.shape {
            Shape::Rows { stride, .. } => stride,
            Shape::Dense { .. } | Shape::Panels { .. } => {
                panic!("tensor {} is not made of rows", tensor.name)
            }
        }
    }

    fn rows(&self, table: usize, id: TensorId) -> RowsView<'a> {
        let tensor = self.layout.tensor(id);
        let Shape::Rows { rows, stride, .. } = tensor.shape else {
            panic!("tensor {} is not made of rows", tensor.name);
        };
        self.tables[table].rows(tensor.start, rows, stride)
    }

    /// Writes go to the replica where there is one, and never to a snapshot.
    fn panels_for_writing(&self, table: usize, id: TensorId) -> PanelView<'_> {
        let tensor = self.layout.tensor(id);
        let Shape::Panels { inputs, columns } = tensor.shape else {
            panic!("tensor {} is not made of panels", tensor.name);
        };
        if let Private::Replica(replica) = &self.private
            && let Some(local) = replica.panels(table, id, (inputs, columns))
        {
            return local;
        }
        self.tables[table].panels(tensor.start, inputs, columns)
    }

    fn whole(&self, table: usize, id: TensorId) -> WeightsView<'_> {
        match &self.private {
            Private::Snapshot(snapshot) if table == 0 => snapshot.whole(id),
            _ => self.whole_for_writing(table, id),
        }
    }

    /// Writes go to the replica where there is one, and never to a snapshot.
    pub(crate) fn whole_for_writing(&self, table: usize, id: TensorId) -> WeightsView<'_> {
        if let Private::Replica(replica) = &self.private
            && let Some(local) = replica.whole(table, id)
        {
            return local;
        }
        let tensor = self.layout.tensor(id);
        self.tables[table].view(tensor.start, tensor.stored_len())
    }

    /// As [`whole_for_writing`](Self::whole_for_writing), for one row.
    pub(crate) fn row_for_writing(
        &self,
        table: usize,
        tensor: TensorId,
        row: u32,
    ) -> WeightsView<'_> {
        if let Private::Replica(replica) = &self.private
            && let Some(hot) = replica.rows(table, tensor)
            && (row as usize) < hot.n_rows()
        {
            return hot.row(row);
        }
        self.rows(table, tensor).row(row)
    }

    /// Returns the replica of the first rows of a tensor, if there is one.
    fn hot_rows(&self, table: usize, tensor: TensorId) -> Option<RowsView<'_>> {
        match &self.private {
            Private::Replica(replica) => replica.rows(table, tensor),
            Private::None | Private::Snapshot(_) => None,
        }
    }

    /// As [`hot_rows`](Self::hot_rows), one after another.
    fn front(&self, table: usize, tensor: TensorId) -> Option<WeightsView<'_>> {
        match &self.private {
            Private::Replica(replica) => replica.front(table, tensor),
            Private::None | Private::Snapshot(_) => None,
        }
    }

    #[inline]
    #[allow(clippy::float_cmp, reason = "1 is set exactly, and means that nothing is to be done")]
    fn apply_scale(&self, out: &mut [Real]) {
        if self.scale != 1.0 {
            for value in out {
                *value *= self.scale;
            }
        }
    }
}
