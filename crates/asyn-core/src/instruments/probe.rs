//! The gradient that a worker computed, beside the one on a copy of the same weights.
//!
//! Before a sampled step reads, the blocks that it will touch are copied. The step then
//! computes its gradient `s` as always, and once more, `g`, on the copy: same kernels, same
//! examples, same scratch memory, so without a race the two agree to the bit. Both are added up
//! by block and compared.
//!
//! Sparse stochastic writes are left out of the comparison: `s` is taken before the lottery, or
//! the lottery's noise would drown the error. Of sums that grow over several steps, only what
//! this step added is compared. What a model keeps from earlier steps, as
//! [`Worker::whole_version`] allows, serves both gradients.

use std::sync::Arc;

use super::Changes;
use crate::Real;
use crate::gradient::Gradient;
use crate::layout::{Layout, Shape, TensorId};
use crate::snapshot::Snapshot;
use crate::touched::Touched;
use crate::worker::Worker;

/// Marks a block that is in neither gradient.
const ABSENT: u32 = u32::MAX;

/// The size of a [`Sketch`]: norms are estimated to about `√(2 / 1024)`, 4 %.
const BUCKETS: usize = 1024;

/// One probed step.
///
/// Counts nothing that is not an effect on the gradient. The copy itself may be torn if an update
/// is under way while it is taken, which over-counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probe {
    /// The ticket of the step's first example.
    pub ticket: u64,
    /// `‖s − g‖ / ‖g‖`; 0 if both are 0.
    pub relative_error: f64,
    /// The cosine of `s` and `g`; 1 if they are equal.
    pub cosine: f64,
    /// The coordinates that are not 0 in both.
    pub coordinates: u64,
    /// Those that differ in any bit.
    pub differing: u64,
    /// Those that differ by more than 1 % of `g`.
    pub far: u64,
    /// Those whose sign differs.
    pub sign_flips: u64,
    /// `(g − s)ᵀ (w − w*)`, where `w` is the copy and `w*` the optimum that the trainer was given,
    /// if it was; over the blocks that the step reads. Its mean is `τ` of Theorem 1 (Sun, COLING
    /// 2016).
    pub projection: Option<f64>,
}

impl Probe {
    /// Returns true if the gradient differs in any coordinate.
    #[must_use]
    pub fn is_wrong(&self) -> bool {
        self.differing > 0
    }
}

/// Quantiles of a sample; all 0 for an empty one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// Nine in ten values are at most this.
    pub p90: f64,
    /// 99 in 100 values are at most this.
    pub p99: f64,
    /// The largest value.
    pub max: f64,
}

impl Quantiles {
    /// Computes the quantiles of `values`: each is the least value with at least the share
    /// below or at it.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied().unwrap_or(0.0)
        };
        Self { p50: at(50), p90: at(90), p99: at(99), max: at(100) }
    }
}

/// The sums of gradients and of their errors, hashed into buckets with random signs.
///
/// Linear, so the sketches of workers add up, and the norm of the buckets estimates the norm
/// of the sum (Charikar, Chen and Farach-Colton, "Finding Frequent Items in Data Streams", 2002).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sketch {
    /// Empty, or all buckets: the sum of `s − g` and the sum of `g`.
    buckets: Vec<[f64; 2]>,
}

impl Sketch {
    #[allow(clippy::cast_possible_truncation, reason = "the upper bits are what is kept")]
    fn record(&mut self, index: usize, error: f64, value: f64) {
        if self.buckets.is_empty() {
            self.buckets = vec![[0.0; 2]; BUCKETS];
        }
        // Multiplicative hashing: ten bits choose the bucket and the next one the sign.
        let hash = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let sign = if hash >> 53 & 1 == 0 { 1.0 } else { -1.0 };
        let bucket = &mut self.buckets[(hash >> 54) as usize];
        bucket[0] += sign * error;
        bucket[1] += sign * value;
    }

    pub(super) fn add(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        for (bucket, other) in self.buckets.iter_mut().zip(&other.buckets) {
            bucket[0] += other[0];
            bucket[1] += other[1];
        }
    }

    pub(super) fn bias(&self) -> f64 {
        let norm = |at: usize| self.buckets.iter().map(|b| b[at] * b[at]).sum::<f64>().sqrt();
        ratio(norm(0), norm(1))
    }
}

/// The copy that a probed step is computed on again, and the two gradients.
#[derive(Debug)]
pub(crate) struct Pair {
    reference: Snapshot,
    /// The same blocks at the end of the gradient, if they are read again.
    again: Option<Snapshot>,
    optimum: Option<Arc<[Real]>>,
    scale: Real,
    gradient: Gradient,
    /// For each block of the layout, its place among `blocks` or [`ABSENT`].
    place_of: Vec<u32>,
    blocks: Vec<Block>,
    /// `s` and `g`, by block.
    values: [Vec<f64>; 2],
}

/// A block in one of the gradients.
#[derive(Debug)]
struct Block {
    number: usize,
    tensor: TensorId,
    row: u32,
    /// Where it starts in the weight vector, and in the values.
    start: usize,
    at: usize,
    len: usize,
}

impl Pair {
    pub(super) fn new(layout: &Layout, reads_again: bool, optimum: Option<Arc<[Real]>>) -> Self {
        Self {
            reference: Snapshot::new(layout),
            again: reads_again.then(|| Snapshot::new(layout)),
            optimum,
            scale: 1.0,
            gradient: Gradient::new(0.0),
            place_of: vec![ABSENT; layout.n_blocks()],
            blocks: Vec::new(),
            values: [Vec::new(), Vec::new()],
        }
    }

    pub(super) fn plan(&mut self, layout: &Layout, touched: &Touched) {
        self.reference.plan(layout, touched);
        if let Some(again) = &mut self.again {
            again.plan(layout, touched);
        }
    }

    pub(super) fn copy(&mut self, worker: &Worker<'_>, touched: &Touched) {
        worker.copy_into(&mut self.reference, touched);
    }

    /// Reads the copied blocks again, if that is asked for.
    pub(super) fn read_again(
        &mut self,
        worker: &Worker<'_>,
        touched: &Touched,
        changes: &mut Changes,
    ) {
        if let Some(again) = &mut self.again {
            worker.copy_into(again, touched);
            changes.record(worker.scale(), self.reference.beside(again));
        }
    }

    /// Gets ready before `gradient`, which may hold sums of earlier steps, is computed.
    pub(crate) fn start(&mut self, layout: &Layout, gradient: &mut Gradient) {
        gradient.keep_raw(true);
        self.gradient.clear();
        self.gradient.copy_sums(gradient);
        for side in 0..2 {
            self.accumulate(layout, side, -1.0, None);
        }
    }

    /// Returns what the gradient is computed on and into again.
    pub(crate) fn again(
        &mut self,
        worker: &Worker<'_>,
        version: u64,
        compute: impl FnOnce(&Worker<'_>, &mut Gradient),
    ) {
        self.scale = worker.scale();
        compute(&worker.reference(&mut self.reference, version), &mut self.gradient);
    }

    pub(super) fn compare(
        &mut self,
        layout: &Layout,
        ticket: u64,
        gradient: &Gradient,
        sketch: &mut Sketch,
    ) -> Probe {
        self.accumulate(layout, 0, 1.0, Some(gradient));
        self.accumulate(layout, 1, 1.0, None);
        let mut probe = Probe {
            ticket,
            relative_error: 0.0,
            cosine: 1.0,
            coordinates: 0,
            differing: 0,
            far: 0,
            sign_flips: 0,
            projection: self.optimum.is_some().then_some(0.0),
        };
        let [mut error, mut racy, mut clean, mut product] = [0.0; 4];
        for block in &self.blocks {
            self.place_of[block.number] = ABSENT;
            let range = block.at..block.at + block.len;
            if let Some((projection, optimum)) =
                probe.projection.as_mut().zip(self.optimum.as_ref())
                && let Some(read) = self.reference.block(block.tensor, block.row)
            {
                let optimum = &optimum[block.start..];
                *projection += (0..block.len)
                    .map(|i| {
                        let error = self.values[1][block.at + i] - self.values[0][block.at + i];
                        let weight = f64::from(self.scale) * f64::from(read.get(i));
                        error * (weight - f64::from(optimum[i]))
                    })
                    .sum::<f64>();
            }
            let pairs = self.values[0][range.clone()].iter().zip(&self.values[1][range]);
            for (index, (&s, &g)) in (block.start..).zip(pairs) {
                if s == 0.0 && g == 0.0 {
                    continue;
                }
                let difference = s - g;
                probe.coordinates += 1;
                probe.differing += u64::from(s.to_bits() != g.to_bits());
                probe.far += u64::from(difference.abs() > 0.01 * g.abs());
                probe.sign_flips += u64::from(s * g < 0.0);
                error += difference * difference;
                racy += s * s;
                clean += g * g;
                product += s * g;
                sketch.record(index, difference, g);
            }
        }
        self.blocks.clear();
        self.values.iter_mut().for_each(Vec::clear);
        if probe.differing > 0 {
            probe.relative_error = ratio(error.sqrt(), clean.sqrt());
            probe.cosine = ratio(product, racy.sqrt() * clean.sqrt());
        }
        probe
    }

    /// Adds `sign` times a gradient, or the own one, to the values of a side.
    fn accumulate(&mut self, layout: &Layout, side: usize, sign: f64, other: Option<&Gradient>) {
        let Self { gradient, place_of, blocks, values, .. } = self;
        let mut add = |id: TensorId, offset: usize, scale: f32, added: &[f32]| {
            let tensor = layout.tensor(id);
            let (number, first, len) = match tensor.shape {
                Shape::Rows { stride, .. } => {
                    (tensor.first_block + offset / stride, offset / stride * stride, stride)
                }
                Shape::Dense { .. } | Shape::Panels { .. } => {
                    (tensor.first_block, 0, tensor.stored_len())
                }
            };
            if place_of[number] == ABSENT {
                place_of[number] = u32::try_from(blocks.len()).expect("blocks are numbered by u32");
                let at = values[0].len();
                let row =
                    u32::try_from(number - tensor.first_block).expect("rows are numbered by u32");
                blocks.push(Block {
                    number,
                    tensor: id,
                    row,
                    start: tensor.start + first,
                    at,
                    len,
                });
                values.iter_mut().for_each(|values| values.resize(at + len, 0.0));
            }
            let at = blocks[place_of[number] as usize].at + (offset - first);
            let scale = sign * f64::from(scale);
            for (value, &added) in values[side][at..].iter_mut().zip(added) {
                *value += scale * f64::from(added);
            }
        };
        other.unwrap_or(gradient).visit_raw(layout, &mut add);
    }
}

/// Returns `a / b`; 0 if `a` is 0.
fn ratio(a: f64, b: f64) -> f64 {
    if a == 0.0 { 0.0 } else { a / b }
}
