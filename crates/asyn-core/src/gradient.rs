//! A gradient that costs what it touches.
//!
//! It is a list of parts, each a compact description of what it adds to the weights:
//!
//! | Part       | Adds                                   | Used for                    |
//! | ---------- | -------------------------------------- | --------------------------- |
//! | [`Spreads`] | vectors, each to a list of rows       | sparse attributes of tokens |
//! | [`Sum`]    | a whole tensor, summed over examples   | small dense tensors          |
//! | [`Outer`]  | `Xᵀ Δ`, kept as its two factors        | weight matrices              |
//! | [`Cells`]  | single values                          | sparse counts, anything else |
//!
//! All attributes of a token share one vector of node errors, and all rich
//! attributes share one matrix of edge errors: the vector is stored once and
//! applied to each row.
//!
//! # Stochastic sparse writes
//!
//! A spread whose largest entry `e` is below a threshold `h` is kept with
//! probability `p = max(e / h, p₀)` and multiplied by `1 / p`. The gradient stays
//! unbiased, its variance grows little, and the rows that several workers fight
//! over are written far less often. `p₀` bounds the factor, so that a
//! regulariser that is applied on touch stays a small step.

mod change;

use ndarray::{ArrayView2, Axis};

use crate::Real;
use crate::layout::{Layout, Shape, TensorId};
use crate::seed::SplitMix64;
use crate::shared::Lists;

/// The least probability with which a small spread is kept.
///
/// At 1/8, shrinking on touch by `1 − γ λ / (n p)` remains a step of less than 1 for
/// `γ λ = 0.1`, even for a row that occurs once.
const LEAST_KEPT: Real = 0.125;

/// Vectors, each of which is added to a list of rows of one tensor.
#[derive(Debug, Clone)]
pub struct Spreads {
    tensor: TensorId,
    rows: Vec<u32>,
    offsets: Vec<u32>,
    scales: Vec<Real>,
    values: Vec<Real>,
}

impl Spreads {
    /// Returns the tensor whose rows are meant.
    #[must_use]
    pub fn tensor(&self) -> TensorId {
        self.tensor
    }

    /// Returns the rows, one list for each vector.
    #[must_use]
    pub fn lists(&self) -> Lists<'_> {
        Lists::new(&self.rows, &self.offsets)
    }

    /// Returns the factor of each vector: 1, or more after a stochastic sparse write.
    #[must_use]
    pub fn scales(&self) -> &[Real] {
        &self.scales
    }

    /// Returns the vectors, one after another, each as long as the tensor's stride.
    #[must_use]
    pub fn values(&self) -> &[Real] {
        &self.values
    }

    /// Calls `visit` with each row, ascending, with the sum of its vectors by their scales, and
    /// with the sum of these scales: a row that is used twice takes one step with the sum.
    pub(crate) fn each_row(&self, mut visit: impl FnMut(u32, &[Real], Real)) {
        let stride = self.values.len() / self.scales.len().max(1);
        let mut uses: Vec<(u32, usize)> = (0..self.scales.len())
            .flat_map(|list| self.lists().get(list).iter().map(move |&row| (row, list)))
            .collect();
        uses.sort_unstable();
        let mut sum = vec![0.0; stride];
        for uses in uses.chunk_by(|a, b| a.0 == b.0) {
            sum.fill(0.0);
            let mut n_uses = 0.0;
            for &(_, list) in uses {
                let scale = self.scales[list];
                n_uses += scale;
                for (sum, value) in sum.iter_mut().zip(&self.values[list * stride..][..stride]) {
                    *sum += scale * value;
                }
            }
            visit(uses[0].0, &sum, n_uses);
        }
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.offsets.truncate(1);
        self.scales.clear();
        self.values.clear();
    }
}

/// The gradient of a whole tensor, summed over examples.
#[derive(Debug, Clone)]
pub struct Sum {
    /// The tensor.
    pub tensor: TensorId,
    /// The sum, as the tensor is stored.
    pub values: Vec<Real>,
    /// How many examples the sum covers.
    pub n_examples: u32,
}

/// A sum of outer products `Xᵀ Δ` for a tensor stored as panels.
#[derive(Debug, Clone)]
pub struct Outer {
    /// The tensor, of `inputs × columns`.
    pub tensor: TensorId,
    /// The input vectors, `n × inputs`.
    pub x: Vec<Real>,
    /// The errors at the outputs, `n × columns` with columns padded to 16.
    pub delta: Vec<Real>,
    /// The number of products.
    pub n: usize,
}

/// How many rows of factors are multiplied with all at a time.
const PAIRS: usize = 64;

impl Outer {
    /// Returns the sum of the squares of `Xᵀ Δ`, for a tensor with so many inputs: from the
    /// products of all pairs of rows, `X Xᵀ` and `Δ Δᵀ`, without the matrix.
    ///
    /// # Panics
    ///
    /// If there are not `n` rows of so many inputs.
    #[must_use]
    pub fn squared_norm(&self, inputs: usize) -> f64 {
        let columns = self.delta.len() / self.n.max(1);
        let rows = |values, width| ArrayView2::from_shape((self.n, width), values).expect("n rows");
        let (x, delta) = (rows(&self.x, inputs), rows(&self.delta, columns));
        let blocks = x.axis_chunks_iter(Axis(0), PAIRS).zip(delta.axis_chunks_iter(Axis(0), PAIRS));
        let products = |(some_x, some_delta): (ArrayView2<'_, Real>, ArrayView2<'_, Real>)| {
            let (of_x, of_delta) = (some_x.dot(&x.t()), some_delta.dot(&delta.t()));
            of_x.iter().zip(&of_delta).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
        };
        blocks.map(products).sum()
    }
}

/// Values for single weights of one tensor.
#[derive(Debug, Clone)]
pub struct Cells {
    /// The tensor.
    pub tensor: TensorId,
    /// The places of the weights, counted as the tensor is stored; one may occur many times.
    pub indices: Vec<u32>,
    /// What is added to each.
    pub values: Vec<Real>,
}

impl Cells {
    /// Iterates over tensor, place and value of each.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TensorId, u32, Real)> + '_ {
        let cells = self.indices.iter().zip(&self.values);
        cells.map(|(&index, &value)| (self.tensor, index, value))
    }
}

/// The gradient of the loss of one or more examples.
#[derive(Debug, Clone)]
pub struct Gradient {
    spreads: Vec<Spreads>,
    /// All spreads as they were before the lottery, while they are kept.
    raw: Vec<Spreads>,
    keeps_raw: bool,
    sums: Vec<Sum>,
    outers: Vec<Outer>,
    cells: Vec<Cells>,
    n_examples: u32,
    threshold: Real,
    random: SplitMix64,
}

impl Gradient {
    /// Makes an empty gradient. `threshold` is the size below which spreads are
    /// written stochastically; 0 writes them all.
    #[must_use]
    pub fn new(threshold: Real) -> Self {
        Self {
            spreads: Vec::new(),
            raw: Vec::new(),
            keeps_raw: false,
            sums: Vec::new(),
            outers: Vec::new(),
            cells: Vec::new(),
            n_examples: 0,
            threshold,
            random: SplitMix64::new(0),
        }
    }

    /// Sets the random stream that decides which small spreads are kept.
    pub fn set_random(&mut self, random: SplitMix64) {
        self.random = random;
    }

    /// Counts `n` more examples, which the sums then cover as well.
    pub fn count_examples(&mut self, n: usize) {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        self.n_examples += n;
        for sum in &mut self.sums {
            sum.n_examples += n;
        }
    }

    /// Returns how many examples were counted since the last [`Gradient::clear`].
    #[must_use]
    pub fn n_examples(&self) -> u32 {
        self.n_examples
    }

    /// Adds `values` to each of `rows` of `tensor`; `values` is as long as the tensor's stride.
    ///
    /// With a threshold, small values may be skipped, or scaled up instead.
    #[inline]
    pub fn add_rows(&mut self, tensor: TensorId, rows: &[u32], values: &[Real]) {
        let largest = if self.threshold > 0.0 { largest_magnitude(values) } else { 0.0 };
        self.add_sized_rows(tensor, rows, values, largest);
    }

    /// As [`Gradient::add_rows`], for values whose largest magnitude is known to be `largest`.
    ///
    /// # Panics
    ///
    /// Panics if a step has more than 2³² rows.
    #[inline]
    pub fn add_sized_rows(
        &mut self,
        tensor: TensorId,
        rows: &[u32],
        values: &[Real],
        largest: Real,
    ) {
        if rows.is_empty() {
            return;
        }
        if self.keeps_raw {
            push(&mut self.raw, tensor, rows, 1.0, values);
        }
        let Some(scale) = self.lottery(largest) else { return };
        push(&mut self.spreads, tensor, rows, scale, values);
    }

    /// Returns the sum of a whole tensor, to be added to; 0 where nothing was added yet.
    pub fn sum(&mut self, layout: &Layout, tensor: TensorId) -> &mut [Real] {
        let at = self.sums.iter().position(|sum| sum.tensor == tensor).unwrap_or_else(|| {
            let values = vec![0.0; layout.tensor(tensor).stored_len()];
            self.sums.push(Sum { tensor, values, n_examples: 0 });
            self.sums.len() - 1
        });
        &mut self.sums[at].values
    }

    /// Adds `Xᵀ Δ` to a tensor stored as panels: `n` rows of `x` and of `delta`.
    ///
    /// # Panics
    ///
    /// Panics if the lengths of `x` and `delta` are not multiples of `n`.
    pub fn add_outer(&mut self, tensor: TensorId, x: &[Real], delta: &[Real], n: usize) {
        if n == 0 {
            return;
        }
        assert!(x.len().is_multiple_of(n) && delta.len().is_multiple_of(n), "ragged factors");
        let at = self.outers.iter().position(|outer| outer.tensor == tensor).unwrap_or_else(|| {
            self.outers.push(Outer { tensor, x: Vec::new(), delta: Vec::new(), n: 0 });
            self.outers.len() - 1
        });
        let outer = &mut self.outers[at];
        outer.x.extend_from_slice(x);
        outer.delta.extend_from_slice(delta);
        outer.n += n;
    }

    /// Adds each of `values` to the weight at the place beside it in `indices`, counted as `tensor` is
    /// stored.
    ///
    /// # Panics
    ///
    /// Panics if there is not one value for each place.
    #[inline]
    pub fn add_cells(&mut self, tensor: TensorId, indices: &[u32], values: &[Real]) {
        assert_eq!(indices.len(), values.len(), "one value for each place");
        let at = self.cells.iter().position(|cells| cells.tensor == tensor).unwrap_or_else(|| {
            self.cells.push(Cells { tensor, indices: Vec::new(), values: Vec::new() });
            self.cells.len() - 1
        });
        self.cells[at].indices.extend_from_slice(indices);
        self.cells[at].values.extend_from_slice(values);
    }

    /// Makes the gradient of one of the [`cells`](Self::cells): of its row, or of its whole tensor.
    pub(crate) fn of_cell(layout: &Layout, cell: (TensorId, u32, Real)) -> Self {
        let (tensor, index, value) = cell;
        let mut gradient = Self::new(0.0);
        match layout.tensor(tensor).shape {
            Shape::Rows { stride, .. } => {
                let stride_of_ids = u32::try_from(stride).expect("an index counts cells by u32");
                let mut values = vec![0.0; stride];
                values[index as usize % stride] = value;
                gradient.add_rows(tensor, &[index / stride_of_ids], &values);
            }
            Shape::Dense { .. } | Shape::Panels { .. } => {
                gradient.sum(layout, tensor)[index as usize] = value;
            }
        }
        gradient
    }

    /// Returns the parts that go to rows, one for each tensor.
    #[must_use]
    pub fn spreads(&self) -> &[Spreads] {
        &self.spreads
    }

    /// Returns the sums of whole tensors.
    #[must_use]
    pub fn sums(&self) -> &[Sum] {
        &self.sums
    }

    /// Returns the sums of outer products.
    #[must_use]
    pub fn outers(&self) -> &[Outer] {
        &self.outers
    }

    /// Returns the single values, one part for each tensor, in the order in which tensors first came.
    #[must_use]
    pub fn cells(&self) -> &[Cells] {
        &self.cells
    }

    /// Empties all parts but the sums, at the cost of what was added.
    pub fn clear(&mut self) {
        self.spreads.iter_mut().for_each(Spreads::clear);
        self.raw.iter_mut().for_each(Spreads::clear);
        self.keeps_raw = false;
        for outer in &mut self.outers {
            outer.x.clear();
            outer.delta.clear();
            outer.n = 0;
        }
        for cells in &mut self.cells {
            cells.indices.clear();
            cells.values.clear();
        }
        self.n_examples = 0;
    }

    /// Sets the sums to 0.
    pub fn clear_sums(&mut self) {
        for sum in &mut self.sums {
            sum.values.fill(0.0);
            sum.n_examples = 0;
        }
    }

    /// Adds the gradient to a plain vector laid out as the weights are: for tests
    /// and for full objectives.
    ///
    /// # Panics
    ///
    /// Panics if `out` is shorter than the layout.
    pub fn add_to(&self, layout: &Layout, out: &mut [f64]) {
        for spreads in &self.spreads {
            let start = layout.tensor(spreads.tensor).start;
            let lists = spreads.lists();
            for (i, &scale) in spreads.scales.iter().enumerate() {
                let stride = spreads.values.len() / lists.len();
                let values = &spreads.values[i * stride..][..stride];
                for &row in lists.get(i) {
                    let at = start + row as usize * stride;
                    for (out, &value) in out[at..].iter_mut().zip(values) {
                        *out += f64::from(scale * value);
                    }
                }
            }
        }
        for sum in &self.sums {
            let start = layout.tensor(sum.tensor).start;
            for (out, &value) in out[start..].iter_mut().zip(&sum.values) {
                *out += f64::from(value);
            }
        }
        for outer in &self.outers {
            let (inputs, columns) = layout.tensor(outer.tensor).dim();
            let start = layout.tensor(outer.tensor).start;
            let padded = columns.next_multiple_of(16);
            for (x, delta) in outer.x.chunks_exact(inputs).zip(outer.delta.chunks_exact(padded)) {
                for (panel, delta) in delta.chunks_exact(16).enumerate() {
                    for (input, &x) in x.iter().enumerate() {
                        let at = start + (panel * inputs + input) * 16;
                        for (out, &delta) in out[at..].iter_mut().zip(delta) {
                            *out += f64::from(x) * f64::from(delta);
                        }
                    }
                }
            }
        }
        for (tensor, index, value) in self.cells.iter().flat_map(Cells::iter) {
            out[layout.tensor(tensor).start + index as usize] += f64::from(value);
        }
    }

    /// Keeps spreads as they are before the lottery too, until the next [`Gradient::clear`].
    pub(crate) fn keep_raw(&mut self, keep: bool) {
        self.keeps_raw = keep && self.threshold > 0.0;
    }

    /// Makes the sums those of another gradient.
    pub(crate) fn copy_sums(&mut self, other: &Self) {
        self.sums.clone_from(&other.sums);
    }

    /// Returns the parts that go to rows, from before the lottery if they were kept.
    pub(crate) fn raw_spreads(&self) -> &[Spreads] {
        if self.keeps_raw { &self.raw } else { &self.spreads }
    }

    /// Calls `add` for each run of weights that the other parts add to, with the block, as its
    /// tensor and row, the offset in it, and a factor and values whose product is added.
    #[inline(always)]
    pub(crate) fn visit_others(
        &self,
        layout: &Layout,
        mut add: impl FnMut(TensorId, u32, usize, Real, &[Real]),
    ) {
        for sum in &self.sums {
            add(sum.tensor, 0, 0, 1.0, &sum.values);
        }
        for outer in &self.outers {
            let (inputs, columns) = layout.tensor(outer.tensor).dim();
            let padded = columns.next_multiple_of(16);
            for (x, delta) in outer.x.chunks_exact(inputs).zip(outer.delta.chunks_exact(padded)) {
                for (panel, delta) in delta.chunks_exact(16).enumerate() {
                    for (input, &x) in x.iter().enumerate() {
                        add(outer.tensor, 0, (panel * inputs + input) * 16, x, delta);
                    }
                }
            }
        }
        for (tensor, index, value) in self.cells.iter().flat_map(Cells::iter) {
            let (row, offset) = match layout.tensor(tensor).shape {
                Shape::Rows { stride, .. } => {
                    let stride = u32::try_from(stride).expect("an index counts cells by u32");
                    (index / stride, index % stride)
                }
                Shape::Dense { .. } | Shape::Panels { .. } => (0, index),
            };
            add(tensor, row, offset as usize, 1.0, &[value]);
        }
    }

    /// Returns the factor with which values up to `largest` are kept, or `None` if they are skipped.
    #[inline]
    fn lottery(&mut self, largest: Real) -> Option<Real> {
        if largest >= self.threshold {
            return Some(1.0);
        }
        let kept = (largest / self.threshold).max(LEAST_KEPT);
        (self.random.unit() < kept).then(|| 1.0 / kept)
    }
}

/// Appends a vector and its rows to the spreads of a tensor.
#[inline]
fn push(all: &mut Vec<Spreads>, tensor: TensorId, rows: &[u32], scale: Real, values: &[Real]) {
    let at = all.iter().position(|spreads| spreads.tensor == tensor);
    let spreads = match at {
        Some(at) => &mut all[at],
        None => start_spreads(all, tensor),
    };
    spreads.rows.extend_from_slice(rows);
    spreads.offsets.push(u32::try_from(spreads.rows.len()).expect("a step has few rows"));
    spreads.scales.push(scale);
    spreads.values.extend_from_slice(values);
}

#[cold]
fn start_spreads(all: &mut Vec<Spreads>, tensor: TensorId) -> &mut Spreads {
    all.push(Spreads {
        tensor,
        rows: Vec::new(),
        offsets: vec![0],
        scales: Vec::new(),
        values: Vec::new(),
    });
    all.last_mut().expect("it was just pushed")
}

/// Returns the largest absolute value, 0 for no values.
#[inline]
fn largest_magnitude(values: &[Real]) -> Real {
    // Eight running maxima, so that the compiler keeps them in one vector register.
    let (chunks, rest) = values.as_chunks::<8>();
    let mut largest = [0.0 as Real; 8];
    for chunk in chunks {
        for (largest, &value) in largest.iter_mut().zip(chunk) {
            *largest = if value.abs() > *largest { value.abs() } else { *largest };
        }
    }
    rest.iter().copied().map(Real::abs).chain(largest).fold(0.0, Real::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "40,000 draws of safe arithmetic take minutes")]
    fn sparse_writes_are_unbiased() {
        let mut layout = Layout::default();
        let tensor = layout.rows("rows", 1, 8);
        let values = [0.003, -0.001, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let mut sum = vec![0.0; layout.len()];
        let mut gradient = Gradient::new(0.02);
        gradient.set_random(SplitMix64::new(3));
        let n = 40_000;
        let mut kept = 0;
        for _ in 0..n {
            gradient.clear();
            gradient.add_rows(tensor, &[0], &values);
            kept += gradient.spreads().first().map_or(0, |spreads| spreads.scales().len());
            gradient.add_to(&layout, &mut sum);
        }
        let mean = sum[0] / f64::from(n);
        // Kept with probability 0.15: the standard error of the mean is 0.003 * sqrt(0.85/0.15/n).
        assert!(
            (mean - 0.003).abs() < 5.0 * 0.003 * (0.85f64 / 0.15 / f64::from(n)).sqrt(),
            "{mean}"
        );
        let kept = u32::try_from(kept).expect("at most one part a draw");
        assert!((0.14..0.16).contains(&(f64::from(kept) / f64::from(n))), "{kept}");
    }

    #[test]
    fn clearing_leaves_nothing_behind() {
        let mut layout = Layout::default();
        let rows = layout.rows("rows", 4, 8);
        let dense = layout.dense("dense", 2, 2);
        let panels = layout.panels("panels", 2, 3);
        let mut gradient = Gradient::new(0.0);
        gradient.add_rows(rows, &[1, 3], &[1.0; 8]);
        gradient.sum(&layout, dense)[0] = 2.0;
        gradient.add_outer(panels, &[1.0, 2.0], &[0.5; 16], 1);
        gradient.add_cells(dense, &[3], &[1.0]);
        gradient.count_examples(2);
        gradient.clear();
        gradient.clear_sums();
        let mut out = vec![0.0; layout.len()];
        gradient.add_to(&layout, &mut out);
        assert!(out.iter().all(|&value| value == 0.0));
        assert_eq!(gradient.n_examples(), 0);
    }

    #[test]
    fn an_outer_product_lands_in_its_panels() {
        let mut layout = Layout::default();
        let panels = layout.panels("panels", 2, 3);
        let mut gradient = Gradient::new(0.0);
        let mut delta = [0.0; 16];
        delta[..3].copy_from_slice(&[1.0, 10.0, 100.0]);
        gradient.add_outer(panels, &[1.0, 2.0], &delta, 1);
        let mut out = vec![0.0; layout.len()];
        gradient.add_to(&layout, &mut out);
        assert_eq!(out[..3], [1.0, 10.0, 100.0]);
        assert_eq!(out[16..19], [2.0, 20.0, 200.0]);
    }
}
