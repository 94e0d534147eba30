//! L-BFGS on the full objective of a dense-CRF against Newton in double precision.
//!
//! The reference has nothing in common with what is tested: scores, marginals and gradients
//! are `f64`, by forward-backward in log space, and the method is Newton's, with a Hessian of
//! central differences.

use std::num::NonZeroUsize;

use asyn_core::theory::{FullObjective, Lbfgs, Stop};
use asyn_core::{BatchTrainer, Model};
use asyn_data::{Encoded, Encoder, Template, VocabularyOptions, planted};
use asyn_models::{Crf, CrfShape};

use reference::{N_ATTRIBUTES, chain, gold, place, sentence, tensor};

mod reference;

const N_SENTENCES: usize = 40;
const N_LABELS: usize = 3;
const N_RICH: usize = 2;

/// The mean objective in `f64`, with weights laid out as those of `crf`.
struct Reference<'a> {
    crf: &'a Crf,
    sentences: &'a [Encoded],
    l2: f64,
}

impl Reference<'_> {
    /// Returns the mean objective and its gradient.
    fn evaluate(&self, w: &[f64]) -> (f64, Vec<f64>) {
        let m = self.sentences.len() as f64;
        let mut value = self.l2 / 2.0 / m * w.iter().map(|w| w * w).sum::<f64>();
        let mut gradient: Vec<f64> = w.iter().map(|w| self.l2 / m * w).collect();
        for sentence in self.sentences {
            let (scores, gold) = (chain(self.crf, w, sentence), gold(sentence));
            let found = scores.forward_backward();
            value += (found.log_z - scores.score(&gold)) / m;
            for (t, &label) in gold.iter().enumerate() {
                let attributes = || sentence.attributes_of(t).iter().map(|&a| a as usize);
                let node = tensor(self.crf, "node").unwrap();
                for (y, p) in found.nodes[t].iter().enumerate() {
                    let error = p - if y == label { 1.0 } else { 0.0 };
                    attributes().for_each(|a| gradient[place(node, a, y)] += error / m);
                }
                if t == 0 {
                    continue;
                }
                let edge = tensor(self.crf, "edge").unwrap();
                let rich = tensor(self.crf, "rich").unwrap();
                for before in 0..N_LABELS {
                    for y in 0..N_LABELS {
                        let is_gold = (before, y) == (gold[t - 1], label);
                        let error = found.edges[t][before][y] - if is_gold { 1.0 } else { 0.0 };
                        gradient[place(edge, before, y)] += error / m;
                        let column = before * N_LABELS + y;
                        for a in attributes().filter(|&a| a < N_RICH) {
                            gradient[place(rich, a, column)] += error / m;
                        }
                    }
                }
            }
        }
        (value, gradient)
    }

    /// Minimises over the weights at `places` by Newton's method, from 0.
    fn minimum(&self, places: &[usize]) -> Vec<f64> {
        const H: f64 = 1e-4;
        let mut w = vec![0.0; self.crf.layout().len()];
        for _ in 0..12 {
            let mut hessian: Vec<Vec<f64>> = Vec::new();
            for &at in places {
                let here = w[at];
                w[at] = here + H;
                let above = self.evaluate(&w).1;
                w[at] = here - H;
                let below = self.evaluate(&w).1;
                w[at] = here;
                hessian.push(places.iter().map(|&i| (above[i] - below[i]) / (2.0 * H)).collect());
            }
            let gradient = self.evaluate(&w).1;
            let step = solve(hessian, places.iter().map(|&i| gradient[i]).collect());
            places.iter().zip(step).for_each(|(&at, step)| w[at] -= step);
        }
        w
    }
}

/// Solves `a x = b` for a positive definite `a`, by Gaussian elimination.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for column in 0..n {
        for row in column + 1..n {
            let factor = a[row][column] / a[column][column];
            (column..n).for_each(|k| a[row][k] -= factor * a[column][k]);
            b[row] -= factor * b[column];
        }
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|k| a[row][k] * b[k]).sum();
        b[row] = (b[row] - known) / a[row][row];
    }
    b
}

fn norm(gradient: &[f64]) -> f64 {
    gradient.iter().fold(0.0, |norm: f64, g| norm.max(g.abs()))
}

/// Sentences whose labels are mostly the best ones of planted weights.
fn planted_labels(crf: &Crf) -> Vec<Encoded> {
    let weights: Vec<f64> = (0..crf.layout().len()).map(|at| (2.3 * at as f64).sin()).collect();
    (0..N_SENTENCES)
        .map(|i| {
            let mut sentence = sentence(1 + i % 6, N_LABELS, i as u64);
            if i % 5 > 0 {
                let best = chain(crf, &weights, &sentence).enumerate().best;
                sentence.labels = best.into_iter().map(|y| u16::try_from(y).unwrap()).collect();
            }
            sentence
        })
        .collect()
}

#[test]
fn the_minimum_of_a_crf_is_that_of_newton_in_f64() {
    let shape = CrfShape {
        n_labels: N_LABELS,
        n_attributes: N_ATTRIBUTES,
        n_rich: N_RICH,
        transitions: true,
    };
    let crf = Crf::new(shape).unwrap();
    let sentences = planted_labels(&crf);
    let columns = |name: &str| {
        let tensor = tensor(&crf, name).unwrap();
        let (rows, columns) = tensor.dim();
        (0..rows).flat_map(move |row| (0..columns).map(move |at| place(tensor, row, at)))
    };
    let places: Vec<usize> = ["node", "edge", "rich"].into_iter().flat_map(columns).collect();

    for l2 in [0.5, 1.0] {
        let reference = Reference { crf: &crf, sentences: &sentences, l2 };
        let expected = reference.minimum(&places);
        let (expected_value, gradient) = reference.evaluate(&expected);
        assert!(norm(&gradient) < 1e-12, "Newton has converged: {}", norm(&gradient));

        // 10⁻⁶ m^{-1/2}, the tolerance that w* asks for.
        let tolerance = 1e-6 / (N_SENTENCES as f64).sqrt();
        let mut objective = FullObjective::new(&crf, &sentences, l2).unwrap();
        let lbfgs = Lbfgs { tolerance, ..Lbfgs::default() };
        let start = vec![0.0; crf.layout().len()];
        let minimum = lbfgs.minimize(start, |w, gradient| objective.evaluate(w, gradient));
        assert_eq!(minimum.stop, Stop::Tolerance, "{} left", minimum.gradient_norm);

        // What f32 kernels call a gradient of 1.6e-7 is one of at most 1e-6 in f64.
        let (value, gradient) = reference.evaluate(&minimum.point);
        assert!(norm(&gradient) < 1e-6, "{} left in f64", norm(&gradient));
        // The objective is flat at its minimum, and losses are good to 7 digits.
        let excess = value - expected_value;
        assert!((-1e-12..1e-9).contains(&excess), "{excess}");
        assert!((minimum.value - value).abs() < 2e-7 * value, "{} {value}", minimum.value);
        // The modulus of strong convexity is at least λ/m, so weights are as near as this.
        let within = 1e-6 * N_SENTENCES as f64 / l2;
        for &at in &places {
            let error = (minimum.point[at] - expected[at]).abs();
            assert!(error < within, "weight {at}: {} {}", minimum.point[at], expected[at]);
        }

        for threads in [1, 3] {
            let threads = NonZeroUsize::new(threads).unwrap();
            let mut weights = crf.initial_weights(1);
            let trainer = BatchTrainer { lbfgs, l2, threads };
            let trained = trainer.fit(&crf, &sentences, &mut weights, None, &mut ()).unwrap().1;
            assert_eq!(trained.stop, Stop::Tolerance);
            let excess = (trained.value - expected_value).abs() / expected_value;
            assert!(excess < 1e-6, "{threads} threads: {excess}");
        }
    }
}

#[test]
fn rounding_of_the_losses_does_not_end_the_descent_early() {
    // In sentences of 24 tokens `log Z` is some hundred times the loss, which is rounded as
    // coarsely: near the minimum no step lowers the value, though the gradient still tells where.
    let corpus = planted::chunking(500, 1).corpus();
    let template = Template::builtin("chunking").unwrap();
    let options = VocabularyOptions { min_freq: 2, ..VocabularyOptions::default() };
    let (encoder, sentences) = Encoder::build(&corpus, template, &options).unwrap();
    let shape = CrfShape {
        n_labels: encoder.labels().len(),
        n_attributes: encoder.n_attributes(),
        n_rich: 0,
        transitions: true,
    };
    let crf = Crf::new(shape).unwrap();
    let mut objective = FullObjective::new(&crf, &sentences, 0.5).unwrap();
    let lbfgs = Lbfgs { tolerance: 1e-6 / 500f64.sqrt(), ..Lbfgs::default() };
    let start = vec![0.0; crf.layout().len()];
    let minimum = lbfgs.minimize(start, |w, gradient| objective.evaluate(w, gradient));
    assert_eq!(minimum.stop, Stop::Tolerance, "{} left", minimum.gradient_norm);
    assert!(minimum.evaluations < 2 * minimum.iterations, "{}", minimum.evaluations);
}
