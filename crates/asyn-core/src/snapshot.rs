//! A private copy of the blocks that a step touches.
//!
//! Taken before the gradient, so that the gradient is exact at one point, even
//! if that point is torn: some of its blocks may be older than others. Rows are
//! copied once however often they are read.

use crate::Real;
use crate::layout::{Layout, Shape, TensorId};
use crate::shared::{Lists, PanelView, RowsView, SharedWeights, WeightsView};
use crate::touched::Touched;

/// Marks a row that is not in the snapshot.
const ABSENT: u32 = u32::MAX;

/// One worker's snapshot.
#[derive(Debug)]
pub(crate) struct Snapshot {
    tensors: Vec<Copied>,
    slots: std::cell::RefCell<Vec<u32>>,
}

/// The copied blocks of one tensor.
#[derive(Debug)]
struct Copied {
    shape: Shape,
    copy: SharedWeights,
    /// For each row of the tensor, its place in the copy or [`ABSENT`].
    slot_of: Vec<u32>,
    /// The rows in the copy, by place.
    rows: Vec<u32>,
    /// The rows as the model listed them, and the place of each.
    listed: Vec<u32>,
    listed_slots: Vec<u32>,
    /// Whether the tensor is read as a whole in this step.
    whole: bool,
    /// The floats in use.
    len: usize,
    /// Where they start if those of all tensors are counted on.
    at: usize,
}

impl Snapshot {
    pub(crate) fn new(layout: &Layout) -> Self {
        let tensors = layout
            .tensors()
            .iter()
            .map(|tensor| {
                let (n_rows, len) = match tensor.shape {
                    Shape::Rows { rows, .. } => (rows, 0),
                    Shape::Dense { .. } | Shape::Panels { .. } => (0, tensor.stored_len()),
                };
                Copied {
                    shape: tensor.shape,
                    copy: SharedWeights::zeroed(len),
                    slot_of: vec![ABSENT; n_rows],
                    rows: Vec::new(),
                    listed: Vec::new(),
                    listed_slots: Vec::new(),
                    whole: false,
                    len,
                    at: 0,
                }
            })
            .collect();
        Self { tensors, slots: std::cell::RefCell::default() }
    }

    /// Decides what the next copy holds: each touched block once.
    pub(crate) fn plan(&mut self, layout: &Layout, touched: &Touched) {
        for copied in &mut self.tensors {
            for &row in &copied.rows {
                copied.slot_of[row as usize] = ABSENT;
            }
            copied.rows.clear();
            copied.listed.clear();
            copied.listed_slots.clear();
            copied.whole = false;
        }
        for (tensor, rows) in touched.rows() {
            let copied = &mut self.tensors[tensor.index()];
            for &row in rows {
                let slot = &mut copied.slot_of[row as usize];
                if *slot == ABSENT {
                    *slot = u32::try_from(copied.rows.len()).expect("fewer rows than ids");
                    copied.rows.push(row);
                }
                copied.listed_slots.push(*slot);
            }
            copied.listed.extend_from_slice(rows);
        }
        for &tensor in touched.whole() {
            self.tensors[tensor.index()].whole = true;
        }
        let mut at = 0;
        for (copied, tensor) in self.tensors.iter_mut().zip(layout.tensors()) {
            if let Shape::Rows { stride, .. } = tensor.shape {
                copied.len = copied.rows.len() * stride;
                if copied.copy.len() < copied.len {
                    copied.copy = SharedWeights::zeroed(copied.len.next_power_of_two());
                }
            }
            copied.at = at;
            at += if copied.is_copied() { copied.len } else { 0 };
        }
    }

    /// Returns how many floats were planned.
    pub(crate) fn len(&self) -> usize {
        self.tensors.last().map_or(0, |last| last.at + if last.is_copied() { last.len } else { 0 })
    }

    /// Returns the place of a row, or of a whole tensor as row 0, among the floats that were
    /// planned, if it was.
    #[inline(always)]
    pub(crate) fn place(&self, tensor: TensorId, row: u32) -> Option<usize> {
        let copied = &self.tensors[tensor.index()];
        match copied.shape {
            Shape::Rows { stride, .. } => {
                let slot = copied.slot_of[row as usize];
                (slot != ABSENT).then(|| copied.at + slot as usize * stride)
            }
            Shape::Dense { .. } | Shape::Panels { .. } => copied.whole.then_some(copied.at),
        }
    }

    /// Returns where the floats of a tensor start among those that were planned.
    pub(crate) fn start(&self, tensor: TensorId) -> usize {
        self.tensors[tensor.index()].at
    }

    /// Returns the slot of each of `ids`, if these are the rows that the model listed.
    #[inline(always)]
    pub(crate) fn listed_slots(&self, tensor: TensorId, ids: &[u32]) -> Option<&[u32]> {
        let copied = &self.tensors[tensor.index()];
        (ids == copied.listed).then_some(&copied.listed_slots)
    }

    /// Returns each block that was planned: where it starts in the weights and its values as they
    /// were copied, in the order of their places.
    pub(crate) fn blocks<'s>(
        &'s self,
        layout: &'s Layout,
    ) -> impl Iterator<Item = (usize, WeightsView<'s>)> {
        let tensors = self.tensors.iter().zip(layout.tensors());
        tensors.filter(|(copied, _)| copied.is_copied()).flat_map(|(copied, tensor)| {
            let (n_blocks, len) = match copied.shape {
                Shape::Rows { stride, .. } => (copied.rows.len(), stride),
                Shape::Dense { .. } | Shape::Panels { .. } => (1, copied.len),
            };
            (0..n_blocks).map(move |slot| {
                let row = copied.rows.get(slot).map_or(0, |&row| row as usize);
                (tensor.start + row * len, copied.copy.view(slot * len, len))
            })
        })
    }

    /// Copies what was planned.
    pub(crate) fn copy(&mut self, layout: &Layout, weights: &SharedWeights) {
        for (copied, tensor) in self.tensors.iter_mut().zip(layout.tensors()) {
            let copy = &mut copied.copy.as_mut_slice()[..copied.len];
            match tensor.shape {
                Shape::Rows { rows, stride, .. } => {
                    weights.rows(tensor.start, rows, stride).copy_rows(&copied.rows, copy);
                }
                Shape::Dense { .. } | Shape::Panels { .. } if copied.whole => {
                    weights.view(tensor.start, copied.len).read_into(copy);
                }
                Shape::Dense { .. } | Shape::Panels { .. } => {}
            }
        }
    }

    /// Returns what was copied, in parts, each beside the same part of `other`, which was planned
    /// alike.
    pub(crate) fn beside<'s>(
        &'s mut self,
        other: &'s mut Self,
    ) -> impl Iterator<Item = (&'s [Real], &'s [Real])> {
        self.tensors.iter_mut().zip(&mut other.tensors).filter_map(|(copied, other)| {
            let len = copied.len;
            let is_copied = copied.is_copied();
            let sides = [copied, other].map(|copied| &copied.copy.as_mut_slice()[..len]);
            is_copied.then_some((sides[0], sides[1]))
        })
    }

    pub(crate) fn sum_lists(
        &self,
        tensor: TensorId,
        lists: Lists<'_>,
        out: &mut [Real],
        width: usize,
    ) {
        let copied = &self.tensors[tensor.index()];
        // Most models read what they listed, in the order of the list.
        if lists.ids() == copied.listed {
            let slots = Lists::new(&copied.listed_slots, lists.offsets());
            return copied.rows_view().sum_lists(None, slots, out, width);
        }
        let mut slots = self.slots.borrow_mut();
        slots.clear();
        slots.extend(lists.ids().iter().map(|&row| copied.slot(row)));
        let slots = Lists::new(&slots, lists.offsets());
        copied.rows_view().sum_lists(None, slots, out, width);
    }

    /// Copies the single weights at `indices` of a row tensor to `out`.
    pub(crate) fn gather(&self, tensor: TensorId, indices: &[u32], out: &mut [Real]) {
        let copied = &self.tensors[tensor.index()];
        let Shape::Rows { stride, .. } = copied.shape else {
            panic!("the tensor is not made of rows");
        };
        assert_eq!(indices.len(), out.len(), "one place for each index");
        let copy = copied.copy.view(0, copied.len);
        for (value, &index) in out.iter_mut().zip(indices) {
            let (row, offset) = (index as usize / stride, index as usize % stride);
            let row = u32::try_from(row).expect("rows are counted by u32");
            *value = copy.get(copied.slot(row) as usize * stride + offset);
        }
    }

    pub(crate) fn row(&self, tensor: TensorId, row: u32) -> WeightsView<'_> {
        let copied = &self.tensors[tensor.index()];
        copied.rows_view().row(copied.slot(row))
    }

    pub(crate) fn whole(&self, tensor: TensorId) -> WeightsView<'_> {
        let copied = &self.tensors[tensor.index()];
        copied.assert_whole();
        copied.copy.view(0, copied.len)
    }

    pub(crate) fn panels(&self, tensor: TensorId) -> PanelView<'_> {
        let copied = &self.tensors[tensor.index()];
        copied.assert_whole();
        let Shape::Panels { inputs, columns } = copied.shape else {
            panic!("the tensor is not made of panels");
        };
        copied.copy.panels(0, inputs, columns)
    }
}

impl Copied {
    fn is_copied(&self) -> bool {
        self.whole || !self.rows.is_empty()
    }

    fn assert_whole(&self) {
        assert!(self.whole, "a tensor was read that the model did not list as touched");
    }

    #[inline]
    fn slot(&self, row: u32) -> u32 {
        let slot = self.slot_of[row as usize];
        assert!(slot != ABSENT, "row {row} was read, which the model did not list as touched");
        slot
    }

    fn rows_view(&self) -> RowsView<'_> {
        let Shape::Rows { stride, .. } = self.shape else {
            panic!("the tensor is not made of rows");
        };
        self.copy.rows(0, self.rows.len(), stride)
    }
}
