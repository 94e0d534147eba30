//! The cells of a long short-term memory, forward and backward.
//!
//! One call computes one step of `n` sequences of `H` units each, `H` a multiple of 16.
//! The gates of a row, `4 H` floats, are interleaved: unit `j` has its gate `q` of `i f g o`
//! at `64 ⌊j / 16⌋ + 16 q + j mod 16`, so that all that a unit needs lies in four lines.
//!
//! ```text
//! i, f, o = σ(a + b)          g = tanh(a + b)
//! c = f ∘ c' + i ∘ g          h = o ∘ tanh(c)
//! ```
//!
//! and with the errors `dh` and `dc` of what the step made
//!
//! ```text
//! dc += dh ∘ o ∘ (1 − tanh²(c))
//! δo = dh ∘ tanh(c) ∘ o (1 − o)      δi = dc ∘ g ∘ i (1 − i)
//! δf = dc ∘ c' ∘ f (1 − f)           δg = dc ∘ i ∘ (1 − g²)
//! dc ← dc ∘ f
//! ```
//!
//! Hochreiter and Schmidhuber (1997), with the forget gate of Gers, Schmidhuber and Cummins
//! (2000) and without peepholes.
//!
//! # Underflow
//!
//! A cell or an error that is multiplied by small gates step after step would become a denormal
//! number. Those that no longer count in a sum are set to exactly 0.

use super::{Kernel, Simd};

/// Cells below this become exactly 0; their hyperbolic tangent is 0 anyway.
const LEAST_CELL: f32 = 1e-10;

/// Errors below this become exactly 0.
const LEAST_ERROR: f32 = 1e-15;

/// The units whose gates lie together.
pub(crate) const BLOCK: usize = 16;

/// One step forward.
pub(crate) struct Forward<'a> {
    /// `n × 4H`: the sums at the gates without bias; they become the activations.
    pub(crate) gates: &'a mut [f32],
    /// `4H`.
    pub(crate) bias: &'a [f32],
    /// The cells of the step before, of the first sequences; those of the others are 0.
    pub(crate) previous: &'a [f32],
    /// `n × H`, becomes `c`.
    pub(crate) cells: &'a mut [f32],
    /// `n × H`, becomes `tanh(c)`.
    pub(crate) squashed: &'a mut [f32],
    /// Becomes `h`: `n` rows, `hidden_stride` floats from one to the next.
    pub(crate) hidden: &'a mut [f32],
    pub(crate) hidden_stride: usize,
    /// Becomes `h` as well, likewise.
    pub(crate) output: &'a mut [f32],
    pub(crate) output_stride: usize,
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let units = self.bias.len() / 4;
        let mut previous = self.previous.chunks_exact(units);
        let rows = self.gates.chunks_exact_mut(4 * units);
        let rows = rows.zip(self.cells.chunks_exact_mut(units));
        let rows = rows.zip(self.squashed.chunks_exact_mut(units));
        let rows = rows.zip(self.hidden.chunks_mut(self.hidden_stride));
        let rows = rows.zip(self.output.chunks_mut(self.output_stride));
        for ((((gates, cells), squashed), hidden), output) in rows {
            let previous = previous.next();
            for block in (0..units).step_by(BLOCK) {
                for at in (block..block + BLOCK).step_by(S::LANES) {
                    let gate = 4 * block + at - block;
                    let lane = |q: usize| gate + q * BLOCK..gate + q * BLOCK + S::LANES;
                    let lanes = at..at + S::LANES;
                    let sum = s.add(s.load(&gates[lane(0)]), s.load(&self.bias[lane(0)]));
                    let input = s.sigmoid(sum);
                    let sum = s.add(s.load(&gates[lane(1)]), s.load(&self.bias[lane(1)]));
                    let forget = s.sigmoid(sum);
                    let sum = s.add(s.load(&gates[lane(2)]), s.load(&self.bias[lane(2)]));
                    let candidate = s.tanh(sum);
                    let sum = s.add(s.load(&gates[lane(3)]), s.load(&self.bias[lane(3)]));
                    let open = s.sigmoid(sum);
                    let before = match previous {
                        Some(previous) => s.load(&previous[lanes.clone()]),
                        None => s.zero(),
                    };
                    let cell = s.mul_add(forget, before, s.mul(input, candidate));
                    let cell = s.drop_below(cell, LEAST_CELL);
                    let tanh = s.tanh(cell);
                    let value = s.mul(open, tanh);
                    s.store(input, &mut gates[lane(0)]);
                    s.store(forget, &mut gates[lane(1)]);
                    s.store(candidate, &mut gates[lane(2)]);
                    s.store(open, &mut gates[lane(3)]);
                    s.store(cell, &mut cells[lanes.clone()]);
                    s.store(tanh, &mut squashed[lanes.clone()]);
                    s.store(value, &mut hidden[lanes.clone()]);
                    s.store(value, &mut output[lanes]);
                }
            }
        }
    }
}

/// One step backward.
pub(crate) struct Backward<'a> {
    /// `n × 4H`: the activations; they become the errors `δ` at their sums.
    pub(crate) gates: &'a mut [f32],
    /// The cells of the step before, of the first sequences; those of the others are 0.
    pub(crate) previous: &'a [f32],
    /// `n × H`: `tanh(c)`.
    pub(crate) squashed: &'a [f32],
    /// The errors of `h` from above: `n` rows, `output_stride` floats from one to the next.
    pub(crate) output: &'a [f32],
    pub(crate) output_stride: usize,
    /// The errors of `h` from the step after, likewise.
    pub(crate) hidden: &'a [f32],
    pub(crate) hidden_stride: usize,
    /// `n × H`: the errors of `c` from the step after; they become those for the step before.
    pub(crate) cells: &'a mut [f32],
    /// `4H`, to which the errors of all rows are added.
    pub(crate) bias: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let units = self.bias.len() / 4;
        let one = s.splat(1.0);
        let mut previous = self.previous.chunks_exact(units);
        let rows = self.gates.chunks_exact_mut(4 * units);
        let rows = rows.zip(self.squashed.chunks_exact(units));
        let rows = rows.zip(self.output.chunks(self.output_stride));
        let rows = rows.zip(self.hidden.chunks(self.hidden_stride));
        let rows = rows.zip(self.cells.chunks_exact_mut(units));
        for ((((gates, squashed), output), hidden), cells) in rows {
            let previous = previous.next();
            for block in (0..units).step_by(BLOCK) {
                for at in (block..block + BLOCK).step_by(S::LANES) {
                    let gate = 4 * block + at - block;
                    let lane = |q: usize| gate + q * BLOCK..gate + q * BLOCK + S::LANES;
                    let lanes = at..at + S::LANES;
                    let input = s.load(&gates[lane(0)]);
                    let forget = s.load(&gates[lane(1)]);
                    let candidate = s.load(&gates[lane(2)]);
                    let open = s.load(&gates[lane(3)]);
                    let tanh = s.load(&squashed[lanes.clone()]);
                    let before = match previous {
                        Some(previous) => s.load(&previous[lanes.clone()]),
                        None => s.zero(),
                    };
                    let dh = s.add(s.load(&output[lanes.clone()]), s.load(&hidden[lanes.clone()]));
                    let dh = s.drop_below(dh, LEAST_ERROR);
                    let slope = s.sub(one, s.mul(tanh, tanh));
                    let dc = s.load(&cells[lanes.clone()]);
                    let dc = s.mul_add(s.mul(dh, open), slope, dc);
                    let dc = s.drop_below(dc, LEAST_ERROR);
                    let errors = [
                        s.mul(s.mul(dc, candidate), s.mul(input, s.sub(one, input))),
                        s.mul(s.mul(dc, before), s.mul(forget, s.sub(one, forget))),
                        s.mul(s.mul(dc, input), s.sub(one, s.mul(candidate, candidate))),
                        s.mul(s.mul(dh, tanh), s.mul(open, s.sub(one, open))),
                    ];
                    s.store(s.mul(dc, forget), &mut cells[lanes]);
                    for q in 0..4 {
                        s.store(errors[q], &mut gates[lane(q)]);
                        let bias = &mut self.bias[lane(q)];
                        s.store(s.add(s.load(bias), errors[q]), bias);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::dispatch;

    struct Activate<'a>(&'a mut [f32], &'a mut [f32]);

    impl Kernel for Activate<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let pairs = self.0.chunks_exact_mut(S::LANES).zip(self.1.chunks_exact_mut(S::LANES));
            for (sigmoid, tanh) in pairs {
                s.store(s.sigmoid(s.load(sigmoid)), sigmoid);
                s.store(s.tanh(s.load(tanh)), tanh);
            }
        }
    }

    #[test]
    fn activations_are_accurate_and_keep_what_is_not_a_number() {
        let mut inputs: Vec<f32> = (-6000..6000).map(|i| i as f32 * 0.005).collect();
        inputs.extend([0.0, 1e-6, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY]);
        inputs.extend([f32::NAN; 16]);
        inputs.truncate(inputs.len() / 16 * 16);
        let (mut sigmoid, mut tanh) = (inputs.clone(), inputs.clone());
        dispatch(Activate(&mut sigmoid, &mut tanh));
        for (&x, (&sigmoid, &tanh)) in inputs.iter().zip(sigmoid.iter().zip(&tanh)) {
            if x.is_nan() {
                assert!(sigmoid.is_nan() && tanh.is_nan());
                continue;
            }
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(sigmoid) - exact).abs() < 1e-7, "σ({x}) = {sigmoid}");
            let exact = f64::from(x).tanh();
            assert!((f64::from(tanh) - exact).abs() < 2e-7, "tanh({x}) = {tanh}");
        }
        assert!(inputs.last().is_some_and(|x| x.is_nan()));
    }
}
