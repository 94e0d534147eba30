//! The dense-CRF against a reference in double precision.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "labels, lengths and counts of these tests are small"
)]

use approx::assert_abs_diff_eq;
use asyn_core::{
    Adf, AsynGrad, Batch, Decode, Gradient, Model, Purpose, SharedWeights, SplitMix64, Trainer,
    Worker,
};
use asyn_data::Encoded;
use asyn_models::{Constraints, Crf, CrfShape, Marginals};
use asyn_testing::chain::Chain;
use asyn_testing::gradient_of;

use reference::{N_ATTRIBUTES, gold, sentence};

mod pieces;
mod reference;

/// A model of the given shape with random weights of about `size`.
struct Fixture {
    crf: Crf,
    weights: Vec<f32>,
}

impl Fixture {
    fn new(n_labels: usize, n_rich: usize, transitions: bool, size: f32, seed: u64) -> Self {
        let shape = CrfShape { n_labels, n_attributes: N_ATTRIBUTES, n_rich, transitions };
        let crf = Crf::new(shape).unwrap();
        let mut weights = SharedWeights::zeroed(crf.layout().len());
        let mut random = SplitMix64::stream(seed, Purpose::InitialWeights, 0, 0);
        for id in crf.layout().ids() {
            let mut matrix = crf.layout().export(&weights, id);
            let fixed = !transitions && crf.layout().tensor(id).name == "edge";
            matrix.mapv_inplace(|_| if fixed { 0.0 } else { size * (2.0 * random.unit() - 1.0) });
            crf.layout().import(&mut weights, id, &matrix);
        }
        Self { crf, weights: weights.to_vec() }
    }

    fn chain(&self, weights: &[f64], sentence: &Encoded) -> Chain {
        reference::chain(&self.crf, weights, sentence)
    }

    fn reference_loss(&self, weights: &[f64], sentence: &Encoded) -> f64 {
        let chain = self.chain(weights, sentence);
        chain.forward_backward().log_z - chain.score(&gold(sentence))
    }
}

fn as_f64(weights: &[f32]) -> Vec<f64> {
    weights.iter().copied().map(f64::from).collect()
}

#[test]
fn gradients_equal_central_differences_of_the_f64_reference() {
    for (case, (n_labels, n_rich, transitions)) in
        [(2, 0, true), (3, 4, true), (4, 12, true), (3, 5, false), (9, 3, true), (18, 2, true)]
            .into_iter()
            .enumerate()
    {
        let fixture = Fixture::new(n_labels, n_rich, transitions, 1.0, case as u64);
        for len in [1, 2, 5] {
            let sentence = sentence(len, n_labels, (10 * case + len) as u64);
            let (loss, gradient) = gradient_of(&fixture.crf, &fixture.weights, &sentence);
            let mut weights = as_f64(&fixture.weights);
            let exact = fixture.reference_loss(&weights, &sentence);
            assert!((loss - exact).abs() < 1e-4 * exact.max(1.0), "{loss} {exact}");
            let edge = fixture.crf.layout().tensors().iter().find(|t| t.name == "edge").unwrap();
            let edge = edge.start..edge.start + n_labels * n_labels;
            for at in 0..weights.len() {
                const H: f64 = 1e-5;
                let here = weights[at];
                weights[at] = here + H;
                let above = fixture.reference_loss(&weights, &sentence);
                weights[at] = here - H;
                let below = fixture.reference_loss(&weights, &sentence);
                weights[at] = here;
                let difference = (above - below) / (2.0 * H);
                // Without transitions their weights stay 0, so they have no gradient.
                let expected = if !transitions && edge.contains(&at) { 0.0 } else { difference };
                assert!(
                    (gradient[at] - expected).abs() < 2e-5,
                    "case {case}, length {len}, weight {at}: {} against {expected}",
                    gradient[at]
                );
            }
        }
    }
}

#[test]
fn marginals_log_z_and_best_sequence_equal_enumeration() {
    for seed in 0..40 {
        let n_labels = 2 + (seed % 3) as usize;
        let n_rich = if seed % 2 == 0 { 0 } else { 6 };
        let fixture = Fixture::new(n_labels, n_rich, true, 2.0, seed);
        let sentence = sentence(1 + (seed % 6) as usize, n_labels, seed);
        let expected = fixture.chain(&as_f64(&fixture.weights), &sentence).enumerate();
        let mut weights = SharedWeights::zeroed(fixture.weights.len());
        weights.as_mut_slice().copy_from_slice(&fixture.weights);
        let reader = Worker::reader(fixture.crf.layout(), &weights);
        let mut workspace = fixture.crf.workspace();
        let mut marginals = Marginals::default();
        fixture.crf.marginals(
            &reader,
            &sentence,
            Constraints::default(),
            &mut workspace,
            &mut marginals,
        );
        assert_abs_diff_eq!(marginals.log_z, expected.log_z, epsilon = 1e-4);
        for (p, q) in marginals.labels.iter().zip(expected.nodes.iter().flatten()) {
            assert!((f64::from(*p) - q).abs() < 1e-5, "seed {seed}: {p} against {q}");
        }
        let mut labels = Vec::new();
        fixture.crf.decode(&reader, &sentence, &mut workspace, &mut labels);
        let best: Vec<u16> = expected.best.iter().map(|&y| y as u16).collect();
        assert_eq!(labels, best, "seed {seed}");
    }
}

#[test]
fn ties_go_to_the_smaller_label() {
    let fixture = Fixture::new(4, 0, true, 0.0, 1);
    let weights = SharedWeights::zeroed(fixture.weights.len());
    let reader = Worker::reader(fixture.crf.layout(), &weights);
    let mut labels = Vec::new();
    let sentence = sentence(5, 4, 1);
    fixture.crf.decode(&reader, &sentence, &mut fixture.crf.workspace(), &mut labels);
    assert_eq!(labels, [0; 5]);
}

#[test]
fn marginals_agree_with_log_space_for_many_labels_and_long_sentences() {
    for (n_labels, n_rich) in [(22, 0), (22, 3), (45, 0), (64, 1), (70, 0), (100, 2)] {
        let fixture = Fixture::new(n_labels, n_rich, true, 1.5, n_labels as u64);
        let sentence = sentence(60, n_labels, 5);
        let expected = fixture.chain(&as_f64(&fixture.weights), &sentence).forward_backward();
        let (loss, gradient) = gradient_of(&fixture.crf, &fixture.weights, &sentence);
        let exact = fixture.reference_loss(&as_f64(&fixture.weights), &sentence);
        assert!((loss - exact).abs() < 1e-5 * exact, "{n_labels} labels: {loss} {exact}");
        // The gradient of plain transitions is the pair marginals less the gold pairs.
        let edge = fixture.crf.layout().tensors().iter().find(|t| t.name == "edge").unwrap();
        for p in 0..n_labels {
            for y in 0..n_labels {
                let gold = sentence
                    .labels
                    .windows(2)
                    .filter(|w| usize::from(w[0]) == p && usize::from(w[1]) == y)
                    .count() as f64;
                let pairs: f64 = expected.edges.iter().map(|m| m[p][y]).sum();
                let found = gradient[edge.start + p * n_labels + y];
                assert!((found - (pairs - gold)).abs() < 1e-4, "{n_labels}: {found}");
            }
        }
    }
}

#[test]
fn extreme_scores_fall_back_to_log_space_and_stay_exact() {
    // Two attributes that contradict each other through forbidden transitions: at the
    // second token every state is all but impossible.
    for n_rich in [0, 2] {
        let crf =
            Crf::new(CrfShape { n_labels: 3, n_attributes: 2, n_rich, transitions: true }).unwrap();
        let layout = crf.layout();
        let mut weights = SharedWeights::zeroed(layout.len());
        for id in layout.ids() {
            let mut matrix = layout.export(&weights, id);
            match layout.tensor(id).name.as_str() {
                "node" => {
                    matrix[(0, 0)] = 300.0;
                    matrix[(1, 1)] = 300.0;
                }
                "edge" => matrix[(0, 1)] = -500.0,
                _ => {}
            }
            layout.import(&mut weights, id, &matrix);
        }
        let fixture = Fixture { crf: crf.clone(), weights: weights.to_vec() };
        let sentence =
            Encoded { attributes: vec![0, 1], offsets: vec![0, 1, 2], labels: vec![0, 1] };
        let exact = fixture.reference_loss(&as_f64(&fixture.weights), &sentence);
        let (loss, gradient) = gradient_of(&crf, &fixture.weights, &sentence);
        assert!((loss - exact).abs() < 1e-3, "{loss} against {exact}");
        assert!(gradient.iter().all(|g| g.is_finite()));
        let expected = fixture.chain(&as_f64(&fixture.weights), &sentence).enumerate();
        let reader = Worker::reader(layout, &weights);
        let mut marginals = Marginals::default();
        crf.marginals(
            &reader,
            &sentence,
            Constraints::default(),
            &mut crf.workspace(),
            &mut marginals,
        );
        for (p, q) in marginals.labels.iter().zip(expected.nodes.iter().flatten()) {
            assert!((f64::from(*p) - q).abs() < 1e-5, "{p} against {q}");
        }
        let edge = layout.tensors().iter().find(|t| t.name == "edge").unwrap().start;
        let pair = gradient[edge + 1];
        assert!((pair - (expected.edges[1][0][1] - 1.0)).abs() < 1e-5, "{pair}");
    }
}

#[test]
fn a_batch_is_the_sum_of_its_sentences() {
    let fixture = Fixture::new(5, 3, true, 1.0, 9);
    let sentences = [sentence(4, 5, 1), sentence(7, 5, 2), sentence(1, 5, 3)];
    let mut weights = SharedWeights::zeroed(fixture.weights.len());
    weights.as_mut_slice().copy_from_slice(&fixture.weights);
    let reader = Worker::reader(fixture.crf.layout(), &weights);
    let mut gradient = Gradient::new(0.0);
    let batch = Batch::new(0, 0, &[0, 1, 2], &sentences);
    let loss = fixture.crf.gradient(&reader, &batch, &mut fixture.crf.workspace(), &mut gradient);
    let mut together = vec![0.0; fixture.weights.len()];
    gradient.add_to(fixture.crf.layout(), &mut together);
    let mut apart = vec![0.0; fixture.weights.len()];
    let mut loss_apart = 0.0;
    for sentence in &sentences {
        let (loss, gradient) = gradient_of(&fixture.crf, &fixture.weights, sentence);
        loss_apart += loss;
        apart.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
    }
    assert!((loss - loss_apart).abs() < 1e-6);
    for (a, b) in together.iter().zip(&apart) {
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn ten_sentences_are_learned_by_heart() {
    for n_rich in [0, 12] {
        let shape = CrfShape { n_labels: 4, n_attributes: 120, n_rich, transitions: true };
        let crf = Crf::new(shape).unwrap();
        // Each token has an attribute of its own, so the labels can be learned exactly.
        let mut next = 0;
        let sentences: Vec<Encoded> = (0..10)
            .map(|i| {
                let mut sentence = sentence(12, 4, 100 + i);
                sentence.attributes = (next..next + 12).collect();
                sentence.offsets = (0..=12).collect();
                next += 12;
                sentence
            })
            .collect();
        let mut weights = crf.initial_weights(1);
        let trainer = Trainer::builder()
            .strategy(AsynGrad)
            .update(Adf { rate: 5.0, l2: 0.0, ..Adf::default() })
            .threads(2)
            .passes(30)
            .build()
            .unwrap();
        trainer.fit(&crf, &sentences, &mut weights, &mut ()).unwrap();
        let reader = Worker::reader(crf.layout(), &weights);
        let mut labels = Vec::new();
        for sentence in &sentences {
            crf.decode(&reader, sentence, &mut crf.workspace(), &mut labels);
            assert_eq!(labels, sentence.labels);
        }
    }
}
