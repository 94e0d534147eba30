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
use crate::layout::Layout;
use crate::shared::Vectorised;
use crate::snapshot::Snapshot;
use crate::touched::Touched;
use crate::worker::Worker;

/// The size of a [`Sketch`]: norms are estimated to about `√(2 / 1024)`, 4 %.
const BUCKETS: usize = 1024;

/// The coordinates that are compared at once; every block starts on a multiple of it.
const RUN: usize = 8;

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
/// Eight neighbouring coordinates share a hash and have a bucket each, so that only coordinates
/// of different hashes meet.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sketch {
    /// Empty, or all buckets: the sum of `s − g` and the sum of `g`.
    buckets: Vec<[[f64; RUN]; 2]>,
}

impl Sketch {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "the upper bits are what is kept")]
    fn record(&mut self, run: usize, error: [Real; RUN], value: [Real; RUN]) {
        const GROUPS: usize = BUCKETS / RUN;
        if self.buckets.is_empty() {
            self.buckets = vec![[[0.0; RUN]; 2]; GROUPS];
        }
        // Multiplicative hashing: the upper bits choose the buckets and the next one the sign.
        let hash = (run as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let sign = if hash >> 53 & 1 == 0 { 1.0 } else { -1.0 };
        let [errors, values] = &mut self.buckets[(hash >> 54) as usize % GROUPS];
        for i in 0..RUN {
            errors[i] += sign * f64::from(error[i]);
            values[i] += sign * f64::from(value[i]);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        let more = other.buckets.as_flattened().as_flattened();
        let sums = self.buckets.as_flattened_mut().as_flattened_mut();
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }

    pub(super) fn bias(&self) -> f64 {
        let norm = |at: usize| {
            self.buckets.iter().flat_map(|sides| sides[at]).map(|sum| sum * sum).sum::<f64>().sqrt()
        };
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
    /// `s` and `g`, in the order of the floats of the copy.
    values: [Vec<Real>; 2],
}

impl Pair {
    pub(super) fn new(layout: &Layout, reads_again: bool, optimum: Option<Arc<[Real]>>) -> Self {
        Self {
            reference: Snapshot::new(layout),
            again: reads_again.then(|| Snapshot::new(layout)),
            optimum,
            scale: 1.0,
            gradient: Gradient::new(0.0),
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
            self.values[side].clear();
            self.values[side].resize(self.reference.len(), 0.0);
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
        let [s, g] = &self.values;
        let mut sums = Sums::default();
        let blocks = self.reference.blocks(layout).map(|(start, read)| (start, read.len()));
        Comparison { blocks, s, g, sums: &mut sums, sketch }.run();
        let projection = self.optimum.as_ref().map(|optimum| self.projection(layout, optimum));
        sums.probe(ticket, projection)
    }

    /// Returns `(g − s)ᵀ (w − w*)`.
    fn projection(&self, layout: &Layout, optimum: &[Real]) -> f64 {
        let errors = self.values[1].iter().zip(&self.values[0]).map(|(g, s)| f64::from(g - s));
        let weights = self.reference.blocks(layout).flat_map(|(start, read)| {
            (0..read.len()).map(move |i| {
                f64::from(self.scale) * f64::from(read.get(i)) - f64::from(optimum[start + i])
            })
        });
        errors.zip(weights).map(|(error, weight)| error * weight).sum()
    }

    /// Adds `sign` times a gradient, or the own one, to the values of a side.
    fn accumulate(&mut self, layout: &Layout, side: usize, sign: Real, other: Option<&Gradient>) {
        let Self { reference, gradient, values, .. } = self;
        let gradient = other.unwrap_or(gradient);
        Accumulation { layout, reference, gradient, sign, values: &mut values[side] }.run();
    }
}

/// Adds `sign` times a gradient to values in the order of a copy.
struct Accumulation<'a> {
    layout: &'a Layout,
    reference: &'a Snapshot,
    gradient: &'a Gradient,
    sign: Real,
    values: &'a mut [Real],
}

impl Vectorised for Accumulation<'_> {
    #[inline(always)]
    fn compute(self) {
        for spreads in self.gradient.raw_spreads() {
            let (tensor, lists) = (spreads.tensor(), spreads.lists());
            let stride = spreads.values().len() / lists.len().max(1);
            let vectors = spreads.values().chunks_exact(stride.max(1));
            let slots = self.reference.listed_slots(tensor, lists.ids());
            let first = self.reference.start(tensor);
            for ((vector, &scale), ends) in
                vectors.zip(spreads.scales()).zip(lists.offsets().windows(2))
            {
                let scale = self.sign * scale;
                let (vector, _) = vector.as_chunks::<RUN>();
                for position in ends[0] as usize..ends[1] as usize {
                    let at = match slots {
                        Some(slots) => Some(first + slots[position] as usize * stride),
                        None => self.reference.place(tensor, lists.ids()[position]),
                    };
                    let Some(at) = at else { continue };
                    let (values, _) = self.values[at..at + stride].as_chunks_mut::<RUN>();
                    for (values, added) in values.iter_mut().zip(vector) {
                        for i in 0..RUN {
                            values[i] += scale * added[i];
                        }
                    }
                }
            }
        }
        self.gradient.visit_others(self.layout, |tensor, row, offset, scale, added| {
            // Sums of earlier steps may be of tensors that this step does not touch.
            let Some(at) = self.reference.place(tensor, row) else { return };
            let scale = self.sign * scale;
            let values = &mut self.values[at + offset..][..added.len()];
            for (value, &added) in values.iter_mut().zip(added) {
                *value += scale * added;
            }
        });
    }
}

/// Compares `s` and `g`, whose blocks are given by their starts in the weights and their lengths.
struct Comparison<'a, B> {
    blocks: B,
    s: &'a [Real],
    g: &'a [Real],
    sums: &'a mut Sums,
    sketch: &'a mut Sketch,
}

impl<B: Iterator<Item = (usize, usize)>> Vectorised for Comparison<'_, B> {
    #[inline(always)]
    fn compute(self) {
        // In registers until the end.
        let mut sums = Sums::default();
        let mut at = 0;
        for (start, len) in self.blocks {
            let [s, g] = [self.s, self.g].map(|side| side[at..at + len].chunks(RUN));
            at += len;
            for (run, (s, g)) in (start / RUN..).zip(s.zip(g)) {
                let [s, g] = [s, g].map(padded);
                sums.add(s, g);
                self.sketch.record(run, std::array::from_fn(|i| s[i] - g[i]), g);
            }
        }
        *self.sums = sums;
    }
}

/// What is summed over the coordinates of `s` and `g`, with one sum for each place in a run.
#[derive(Debug, Default)]
struct Sums {
    error: [f64; RUN],
    racy: [f64; RUN],
    clean: [f64; RUN],
    product: [f64; RUN],
    coordinates: [u32; RUN],
    differing: [u32; RUN],
    far: [u32; RUN],
    sign_flips: [u32; RUN],
}

impl Sums {
    #[inline(always)]
    fn add(&mut self, s: [Real; RUN], g: [Real; RUN]) {
        // One loop for each sum: the compiler turns each into a few vector instructions.
        let difference: [Real; RUN] = std::array::from_fn(|i| s[i] - g[i]);
        add_products(&mut self.error, difference, difference);
        add_products(&mut self.racy, s, s);
        add_products(&mut self.clean, g, g);
        add_products(&mut self.product, s, g);
        count(&mut self.coordinates, |i| (s[i] != 0.0) | (g[i] != 0.0));
        count(&mut self.differing, |i| s[i] != g[i]);
        count(&mut self.far, |i| difference[i].abs() > 0.01 * g[i].abs());
        count(&mut self.sign_flips, |i| (s[i] > 0.0) & (g[i] < 0.0) | (s[i] < 0.0) & (g[i] > 0.0));
    }

    fn probe(&self, ticket: u64, projection: Option<f64>) -> Probe {
        let [coordinates, differing, far, sign_flips] =
            [self.coordinates, self.differing, self.far, self.sign_flips]
                .map(|counts| counts.into_iter().map(u64::from).sum());
        let [error, racy, clean, product] = [self.error, self.racy, self.clean, self.product]
            .map(|sums| sums.into_iter().sum::<f64>());
        let is_equal = differing == 0;
        Probe {
            ticket,
            relative_error: if is_equal { 0.0 } else { ratio(error.sqrt(), clean.sqrt()) },
            cosine: if is_equal { 1.0 } else { ratio(product, racy.sqrt() * clean.sqrt()) },
            coordinates,
            differing,
            far,
            sign_flips,
            projection,
        }
    }
}

#[inline(always)]
fn add_products(sums: &mut [f64; RUN], a: [Real; RUN], b: [Real; RUN]) {
    for i in 0..RUN {
        sums[i] += f64::from(a[i]) * f64::from(b[i]);
    }
}

#[inline(always)]
fn count(counts: &mut [u32; RUN], is_counted: impl Fn(usize) -> bool) {
    for (i, count) in counts.iter_mut().enumerate() {
        *count += u32::from(is_counted(i));
    }
}

/// Returns up to a run of values, with zeros after the last.
#[inline(always)]
fn padded(values: &[Real]) -> [Real; RUN] {
    match values.try_into() {
        Ok(run) => run,
        Err(_) => std::array::from_fn(|i| values.get(i).copied().unwrap_or(0.0)),
    }
}

/// Returns `a / b`; 0 if `a` is 0.
fn ratio(a: f64, b: f64) -> f64 {
    if a == 0.0 { 0.0 } else { a / b }
}
