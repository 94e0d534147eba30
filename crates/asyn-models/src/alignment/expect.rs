//! The E-steps: posteriors of the source words of each target word, and the probability of a pair.
//!
//! | Name     | Shape         | Meaning                                              |
//! | -------- | ------------- | ---------------------------------------------------- |
//! | `values` | `(l + 1) × J` | `t(f_j | e_i)`, row after row, and then the posteriors |
//! | `m`      | `(J + 1) × K` | scaled forward scores, `K = l + 1`                   |
//! | `u`      | `J × K`       | what comes to each position before its word is seen  |
//! | `a`      | `K × K`       | transitions, `(1 − p₀) ((1 − u) c(k − k′) / Σ c + u / l)`, none to 0 |
//!
//! # Hidden Markov model
//!
//! Positions are remembered through words that come from the empty word (Vogel, Ney and Tillmann,
//! "HMM-based Word Alignment in Statistical Translation", COLING 1996; Och and Ney 2003). State `k`
//! says that the last source word was the `k`th, and 0 that there was none yet:
//!
//! ```text
//! u_j(k) = Σ_k′ m_{j−1}(k′) a(k′, k)
//! m_j(k) = (t(f_j | e_k) u_j(k) + p₀ t(f_j | e_0) m_{j−1}(k)) / c_j
//! ```

use asyn_core::Real;

/// The least probability of a target word; less is taken for it, so that a loss stays finite.
const LEAST: Real = Real::MIN_POSITIVE;

/// The longest jump that has a count of its own, in either direction.
const MOST_JUMP: usize = 60;

/// The share of jumps to any word alike, whatever the counts (Och and Ney, "A Systematic Comparison of
/// Various Statistical Alignment Models", Computational Linguistics 29, 2003, section 2.1.4).
pub(super) const UNIFORM_JUMPS: Real = 0.1;

/// The number of counts of jumps.
pub(super) const N_JUMPS: usize = 2 * MOST_JUMP + 1;

/// Returns the place of the count of a jump from one position to another.
fn jump(from: usize, to: usize) -> usize {
    (to + MOST_JUMP).saturating_sub(from).min(N_JUMPS - 1)
}

/// Returns counts of jumps to start from: the next position is the most probable one.
pub(super) fn initial_jumps() -> Vec<Real> {
    let distance = |place: usize| place.abs_diff(MOST_JUMP + 1).min(10);
    let power = |n: usize| 0.5_f32.powi(i32::try_from(n).expect("a short distance"));
    (0..N_JUMPS).map(|place| power(distance(place)) + 0.01).collect()
}

/// The E-step where target words do not depend on each other: turns `values` into posteriors and
/// returns the logarithm of the probability of the pair.
pub(super) fn independent(values: &mut [Real], sums: &mut Vec<Real>, n_target: usize) -> f64 {
    sums.clear();
    sums.resize(n_target, 0.0);
    for row in values.chunks_exact(n_target) {
        for (value, sum) in row.iter().zip(&mut *sums) {
            *sum += *value;
        }
    }
    let mut log = 0.0;
    for sum in &mut *sums {
        log += f64::from(sum.max(LEAST)).ln();
        *sum = if *sum < LEAST { 0.0 } else { 1.0 / *sum };
    }
    for row in values.chunks_exact_mut(n_target) {
        for (value, factor) in row.iter_mut().zip(&*sums) {
            *value *= factor;
        }
    }
    log
}

/// Multiplies `values` by `p₀` in the row of the empty word, and elsewhere by
/// `(1 − p₀) e^{−λ |i / l − j / J|}`, normalised over `i` (Dyer, Chahuneau and Smith, "A Simple,
/// Fast, and Effective Reparameterization of IBM Model 2", NAACL 2013).
#[allow(clippy::cast_precision_loss, reason = "sentences are short")]
pub(super) fn weigh_by_diagonal(
    values: &mut [Real],
    n_target: usize,
    tension: Real,
    empty: Real,
    priors: &mut Vec<Real>,
) {
    let n_source = values.len() / n_target - 1;
    priors.resize(n_source, 0.0);
    values[..n_target].iter_mut().for_each(|value| *value *= empty);
    for target in 0..n_target {
        let at = (target + 1) as Real / n_target as Real;
        let mut sum = 0.0;
        for (source, prior) in priors.iter_mut().enumerate() {
            *prior = (-tension * ((source + 1) as Real / n_source as Real - at).abs()).exp();
            sum += *prior;
        }
        let factor = (1.0 - empty) / sum;
        for (source, prior) in priors.iter().enumerate() {
            values[(source + 1) * n_target + target] *= factor * prior;
        }
    }
}

/// The scratch memory of the hidden Markov model, and the jumps that it expects.
#[derive(Debug, Default)]
pub(super) struct Chain {
    a: Vec<Real>,
    b: Vec<Real>,
    m: Vec<Real>,
    u: Vec<Real>,
    crossings: Vec<Real>,
    beta: Vec<Real>,
    before: Vec<Real>,
    scales: Vec<Real>,
    /// Expected jumps of the last pair, by their places.
    pub(super) jumps: Vec<Real>,
}

impl Chain {
    /// Turns `values` into posteriors, fills the expected jumps, and returns the logarithm of the
    /// probability of the pair.
    pub(super) fn expect(
        &mut self,
        values: &mut [Real],
        n_target: usize,
        jump_counts: &[Real],
        empty: Real,
    ) -> f64 {
        let width = values.len() / n_target;
        self.start(values, n_target, jump_counts, empty);
        let log = self.forward(width, n_target, empty);
        self.backward(values, width, n_target, empty);
        self.jumps.clear();
        self.jumps.resize(N_JUMPS, 0.0);
        for from in 0..width {
            for to in 1..width {
                let at = from * width + to;
                self.jumps[jump(from, to)] += self.crossings[at] * self.a[at];
            }
        }
        log
    }

    /// Fills transitions, and the emissions of each target word side by side.
    fn start(&mut self, values: &[Real], n_target: usize, jump_counts: &[Real], empty: Real) {
        let width = values.len() / n_target;
        self.a.clear();
        self.a.resize(width * width, 0.0);
        #[allow(clippy::cast_precision_loss, reason = "sentences are short")]
        let alike = (1.0 - empty) * UNIFORM_JUMPS / (width - 1) as Real;
        for (from, row) in self.a.chunks_exact_mut(width).enumerate() {
            let mut sum = 0.0;
            for (to, a) in row.iter_mut().enumerate().skip(1) {
                *a = jump_counts[jump(from, to)];
                sum += *a;
            }
            let by_count =
                if sum > 0.0 { (1.0 - empty) * (1.0 - UNIFORM_JUMPS) / sum } else { 0.0 };
            row.iter_mut().skip(1).for_each(|a| *a = *a * by_count + alike);
        }
        self.b.resize(values.len(), 0.0);
        for (source, row) in values.chunks_exact(n_target).enumerate() {
            for (target, &value) in row.iter().enumerate() {
                self.b[target * width + source] = value;
            }
        }
        self.crossings.clear();
        self.crossings.resize(width * width, 0.0);
        self.m.clear();
        self.m.resize((n_target + 1) * width, 0.0);
        self.m[0] = 1.0;
        self.u.clear();
        self.u.resize(n_target * width, 0.0);
        self.scales.resize(n_target, 0.0);
        self.beta.clear();
        self.beta.resize(width, 1.0);
        self.before.resize(width, 0.0);
    }

    fn forward(&mut self, width: usize, n_target: usize, empty: Real) -> f64 {
        let mut log = 0.0;
        for target in 0..n_target {
            let b = &self.b[target * width..][..width];
            let u = &mut self.u[target * width..][..width];
            let (done, next) = self.m.split_at_mut((target + 1) * width);
            let (last, next) = (&done[target * width..], &mut next[..width]);
            for (&m, a) in last.iter().zip(self.a.chunks_exact(width)) {
                for (u, a) in u.iter_mut().zip(a) {
                    *u += m * a;
                }
            }
            let stays = empty * b[0];
            let mut sum = 0.0;
            for (((next, b), u), m) in next.iter_mut().zip(b).zip(&*u).zip(last) {
                *next = b * u + stays * m;
                sum += *next;
            }
            log += f64::from(sum.max(LEAST)).ln();
            // A word that comes from nowhere leaves things as they are.
            self.scales[target] = if sum < LEAST { 0.0 } else { 1.0 / sum };
            if sum < LEAST {
                next.copy_from_slice(last);
            } else {
                next.iter_mut().for_each(|m| *m /= sum);
            }
        }
        log
    }

    fn backward(&mut self, values: &mut [Real], width: usize, n_target: usize, empty: Real) {
        for target in (0..n_target).rev() {
            let scale = self.scales[target];
            let b = &self.b[target * width..][..width];
            let u = &self.u[target * width..][..width];
            let last = &self.m[target * width..][..width];
            let stays = empty * b[0] * scale;
            for source in 1..width {
                let posterior = scale * b[source] * u[source] * self.beta[source];
                values[source * n_target + target] = posterior;
            }
            let kept: Real = last.iter().zip(&self.beta).map(|(m, beta)| m * beta).sum();
            values[target] = stays * kept;
            if scale == 0.0 {
                continue;
            }
            // From here on β is what a word brings: it is read with the emission only.
            std::mem::swap(&mut self.beta, &mut self.before);
            let w = &mut self.beta;
            for ((w, beta), b) in w.iter_mut().zip(&self.before).zip(b) {
                *w = scale * b * beta;
            }
            w[0] = 0.0;
            for (from, &m) in last.iter().enumerate() {
                let a = &self.a[from * width..][..width];
                let crossings = &mut self.crossings[from * width..][..width];
                let mut sum = stays * self.before[from];
                for ((crossing, a), w) in crossings.iter_mut().zip(a).zip(&*w) {
                    *crossing += m * w;
                    sum += a * w;
                }
                self.before[from] = sum;
            }
            std::mem::swap(&mut self.beta, &mut self.before);
        }
    }
}
