//! Constrained decoding, n-best lists, marginals of spans and explanations, against enumeration.

#![allow(clippy::cast_possible_truncation, reason = "labels and lengths of these tests are small")]

use asyn_core::{Decode, Model, Purpose, SharedWeights, SplitMix64, Worker};
use asyn_data::spans::{SpanLabels, spans};
use asyn_data::{Encoded, Grammar, Scheme};
use asyn_models::{Constraints, Crf, CrfShape, CrfWorkspace, Lattice, Marginals, Source};
use asyn_testing::chain::Chain;

use reference::{N_ATTRIBUTES, chain, gold, sentence};

mod reference;

const LABELS: [&str; 4] = ["O", "B-X", "I-X", "B-Y"];

/// A model with random weights between −2 and 2.
struct Fixture {
    crf: Crf,
    weights: SharedWeights,
}

impl Fixture {
    fn new(n_labels: usize, n_rich: usize, seed: u64) -> Self {
        let shape = CrfShape { n_labels, n_attributes: N_ATTRIBUTES, n_rich, transitions: true };
        let crf = Crf::new(shape).unwrap();
        let mut weights = SharedWeights::zeroed(crf.layout().len());
        let mut random = SplitMix64::stream(seed, Purpose::InitialWeights, 0, 0);
        for id in crf.layout().ids() {
            let mut matrix = crf.layout().export(&weights, id);
            matrix.mapv_inplace(|_| 4.0 * random.unit() - 2.0);
            crf.layout().import(&mut weights, id, &matrix);
        }
        Self { crf, weights }
    }

    fn worker(&self) -> Worker<'_> {
        Worker::reader(self.crf.layout(), &self.weights)
    }

    fn chain(&self, sentence: &Encoded) -> Chain {
        let weights: Vec<f64> = self.weights.to_vec().into_iter().map(f64::from).collect();
        chain(&self.crf, &weights, sentence)
    }

    fn lattice(&self, sentence: &Encoded, constraints: Constraints<'_>) -> Lattice {
        let mut lattice = Lattice::default();
        let mut workspace = self.crf.workspace();
        self.crf.lattice(&self.worker(), sentence, constraints, &mut workspace, &mut lattice);
        lattice
    }

    fn decode(
        &self,
        sentence: &Encoded,
        constraints: Constraints<'_>,
        workspace: &mut CrfWorkspace,
    ) -> Option<Vec<u16>> {
        let mut labels = Vec::new();
        let worker = self.worker();
        let crf = &self.crf;
        crf.decode_within(&worker, sentence, constraints, workspace, &mut labels).then_some(labels)
    }
}

/// Random labels that are allowed, at least one a token.
fn allowed(len: usize, n_labels: usize, seed: u64) -> Vec<bool> {
    let mut random = SplitMix64::stream(seed, Purpose::Calibration, 1, 0);
    let mut allowed: Vec<bool> = (0..len * n_labels).map(|_| random.unit() < 0.6).collect();
    for token in allowed.chunks_exact_mut(n_labels) {
        token[random.below(n_labels as u64) as usize] = true;
    }
    allowed
}

/// All allowed sequences with their scores, the best first.
fn enumerate(chain: &Chain, constraints: &Constraints<'_>) -> Vec<(Vec<u16>, f64)> {
    let (len, n) = (chain.nodes.len(), chain.nodes[0].len());
    let mut found = Vec::new();
    for number in 0..n.pow(len as u32) {
        let labels: Vec<usize> = (0..len as u32).map(|at| number / n.pow(at) % n).collect();
        let ids: Vec<u16> = labels.iter().map(|&label| label as u16).collect();
        let by_token = constraints.allowed.chunks_exact(n).zip(&labels);
        if constraints.grammar.is_none_or(|grammar| grammar.allows(&ids))
            && by_token.into_iter().all(|(allowed, &label)| allowed[label])
        {
            found.push((ids, chain.score(&labels)));
        }
    }
    found.sort_by(|a, b| b.1.total_cmp(&a.1));
    found
}

/// Calls `check` on models, sentences and constraints of many sorts.
fn for_each_case(mut check: impl FnMut(&Fixture, &Encoded, Constraints<'_>, u64)) {
    let grammar = Grammar::of_scheme(Scheme::Iob2, &LABELS);
    for seed in 0..24 {
        let fixture = Fixture::new(LABELS.len(), if seed % 2 == 0 { 0 } else { 5 }, seed);
        let sentence = sentence(1 + (seed % 5) as usize, LABELS.len(), seed);
        let allowed = allowed(sentence.n_tokens(), LABELS.len(), seed);
        for grammar in [None, Some(&grammar)] {
            check(&fixture, &sentence, Constraints { grammar, allowed: &[] }, seed);
            check(&fixture, &sentence, Constraints { grammar, allowed: &allowed }, seed);
        }
    }
}

#[test]
fn the_best_allowed_sequence_is_that_of_enumeration() {
    let mut n_changed = 0;
    for_each_case(|fixture, sentence, constraints, seed| {
        let expected = enumerate(&fixture.chain(sentence), &constraints);
        let mut workspace = fixture.crf.workspace();
        let found = fixture.decode(sentence, constraints, &mut workspace);
        assert_eq!(found.as_ref(), expected.first().map(|(labels, _)| labels), "seed {seed}");
        // What was forbidden leaves no trace for the next sentence.
        let mut free = Vec::new();
        fixture.crf.decode(&fixture.worker(), sentence, &mut workspace, &mut free);
        let fresh = fixture.decode(sentence, Constraints::default(), &mut fixture.crf.workspace());
        assert_eq!(Some(&free), fresh.as_ref());
        n_changed += usize::from(Some(free) != found);
    });
    assert!(n_changed > 20, "{n_changed}");
}

#[test]
fn sequences_come_in_the_order_of_their_probabilities() {
    for_each_case(|fixture, sentence, constraints, seed| {
        let expected = enumerate(&fixture.chain(sentence), &constraints);
        let total: f64 = expected.iter().map(|(_, score)| score.exp()).sum();
        let lattice = fixture.lattice(sentence, constraints);
        assert_eq!(lattice.is_possible(), !expected.is_empty());
        let found: Vec<_> = lattice.best_first().collect();
        assert_eq!(found.len(), expected.len(), "seed {seed}");
        for (found, (labels, score)) in found.iter().zip(&expected) {
            // Scores are sums of f32, so that close ones may change places.
            assert!((found.score - score).abs() < 1e-4, "seed {seed}");
            assert!((found.probability - score.exp() / total).abs() < 1e-5, "seed {seed}");
            assert!((lattice.score(&found.labels) - found.score).abs() < 1e-9);
            assert!(labels == &found.labels || (lattice.score(labels) - score).abs() < 1e-4);
        }
        let sum: f64 = found.iter().map(|found| found.probability).sum();
        assert!(found.is_empty() || (sum - 1.0).abs() < 1e-9, "seed {seed}: {sum}");
    });
}

#[test]
fn of_equal_sequences_the_first_is_that_of_decoding() {
    let mut fixture = Fixture::new(4, 0, 1);
    fixture.weights.as_mut_slice().fill(0.0);
    let lattice = fixture.lattice(&sentence(40, 4, 1), Constraints::default());
    let found: Vec<_> = lattice.best_first().take(3).map(|sequence| sequence.labels).collect();
    assert_eq!(found[0], [0; 40]);
    assert!(found[1] != found[0] && found[2] != found[1]);
}

#[test]
fn probabilities_of_labels_and_spans_are_sums_over_sequences() {
    let labels = SpanLabels::new(&LABELS);
    for_each_case(|fixture, sentence, constraints, seed| {
        let sequences = enumerate(&fixture.chain(sentence), &constraints);
        let total: f64 = sequences.iter().map(|(_, score)| score.exp()).sum();
        let expected = |holds: &dyn Fn(&[u16]) -> bool| {
            let held = sequences.iter().filter(|(labels, _)| holds(labels));
            held.map(|(_, score)| score.exp()).sum::<f64>() / total.max(f64::MIN_POSITIVE)
        };
        let lattice = fixture.lattice(sentence, constraints);
        let len = sentence.n_tokens();
        for token in 0..len {
            for label in 0..LABELS.len() as u16 {
                let found = lattice.label_probability(token, label);
                let expected = expected(&|labels| labels[token] == label);
                assert!((found - expected).abs() < 1e-5, "seed {seed}: {found} {expected}");
            }
        }
        for (start, end) in
            (0..len).flat_map(|start| (start + 1..=len).map(move |end| (start, end)))
        {
            for (kind, name) in labels.kinds().iter().enumerate() {
                let found = lattice.span_probability(&labels, start..end, kind);
                let expected = expected(&|labels| {
                    let tags = labels.iter().map(|&label| LABELS[usize::from(label)]);
                    let mut found = spans(tags).into_iter();
                    found.any(|span| (span.start, span.end, span.kind) == (start, end, name))
                });
                assert!(
                    (found - expected).abs() < 1e-5,
                    "seed {seed}, {name} {start}..{end}: {found} {expected}"
                );
            }
        }
    });
}

#[test]
fn probabilities_are_exact_where_the_allowed_labels_are_far_from_the_best() {
    let grammar = Grammar::of_scheme(Scheme::Iob2, &LABELS);
    for (seed, size) in (0..40).zip([1.0, 30.0, 300.0, 3000.0].into_iter().cycle()) {
        let mut fixture = Fixture::new(LABELS.len(), if seed < 20 { 0 } else { 5 }, seed);
        // Whole numbers, whose sums are exact in single precision too.
        let weights = fixture.weights.as_mut_slice();
        weights.iter_mut().for_each(|weight| *weight = (*weight * size).round());
        let sentence = sentence(2 + (seed % 4) as usize, LABELS.len(), seed);
        let allowed = allowed(sentence.n_tokens(), LABELS.len(), seed);
        let constraints = Constraints { grammar: Some(&grammar), allowed: &allowed };
        let sequences = enumerate(&fixture.chain(&sentence), &constraints);
        let lattice = fixture.lattice(&sentence, constraints);
        let Some((_, best)) = sequences.first() else {
            assert!(!lattice.is_possible(), "seed {seed}");
            continue;
        };
        let total: f64 = sequences.iter().map(|(_, score)| (score - best).exp()).sum();
        assert!((lattice.log_z() - best - total.ln()).abs() < 1e-9 * best.abs().max(1.0));
        for (token, label) in (0..sentence.n_tokens()).zip((0..LABELS.len() as u16).cycle()) {
            let with = sequences.iter().filter(|(labels, _)| labels[token] == label);
            let expected = with.map(|(_, score)| (score - best).exp()).sum::<f64>() / total;
            let found = lattice.label_probability(token, label);
            assert!((found - expected).abs() < 1e-9, "seed {seed}: {found} {expected}");
        }
    }
}

#[test]
fn contributions_add_up_to_the_score() {
    for_each_case(|fixture, sentence, constraints, seed| {
        let lattice = fixture.lattice(sentence, Constraints::default());
        let by_hand = fixture.chain(sentence).score(&gold(sentence));
        assert!((lattice.score(&sentence.labels) - by_hand).abs() < 1e-4, "seed {seed}");
        let mut workspace = fixture.crf.workspace();
        let Some(labels) = fixture.decode(sentence, constraints, &mut workspace) else { return };
        let mut sum = 0.0;
        for token in 0..sentence.n_tokens() {
            let worker = fixture.worker();
            let found = fixture.crf.explain(&worker, sentence, &labels, token, &mut workspace);
            assert!(found.is_sorted_by(|a, b| a.weight.abs() >= b.weight.abs()));
            let n_attributes =
                found.iter().filter(|c| matches!(c.source, Source::Attribute(_))).count();
            assert_eq!(n_attributes, sentence.attributes_of(token).len());
            sum += found.iter().map(|contribution| f64::from(contribution.weight)).sum::<f64>();
        }
        assert!((sum - lattice.score(&labels)).abs() < 1e-4, "seed {seed}");
    });
}

#[test]
fn what_cannot_be_is_said_to_be_impossible() {
    let fixture = Fixture::new(LABELS.len(), 3, 2);
    let grammar = Grammar::of_scheme(Scheme::Iob2, &LABELS);
    let sentence = sentence(3, LABELS.len(), 4);
    // The second token has to go on with a span that the first one cannot begin.
    let mut allowed = vec![true; 12];
    allowed[1] = false;
    allowed[4..8].copy_from_slice(&[false, false, true, false]);
    let constraints = Constraints { grammar: Some(&grammar), allowed: &allowed };
    assert_eq!(fixture.decode(&sentence, constraints, &mut fixture.crf.workspace()), None);
    let lattice = fixture.lattice(&sentence, constraints);
    assert!(!lattice.is_possible());
    assert_eq!(lattice.best_first().count(), 0);
    assert_eq!(lattice.label_probability(0, 0), 0.0);
}

#[test]
fn marginals_are_those_among_the_sequences_that_are_allowed() {
    let grammar = Grammar::of_scheme(Scheme::Iob2, &LABELS);
    for seed in 0..30 {
        let fixture = Fixture::new(LABELS.len(), if seed % 2 == 0 { 0 } else { 6 }, seed);
        let sentence = sentence(1 + (seed % 6) as usize, LABELS.len(), seed);
        // Every third cell is forbidden, but never the label O.
        let cells = 0..sentence.n_tokens() * LABELS.len();
        let allowed: Vec<bool> = cells.map(|cell| cell % 4 == 0 || cell % 3 > 0).collect();
        let constraints = Constraints { grammar: Some(&grammar), allowed: &allowed };
        let (mut marginals, mut workspace) = (Marginals::default(), fixture.crf.workspace());
        fixture.crf.marginals(
            &fixture.worker(),
            &sentence,
            constraints,
            &mut workspace,
            &mut marginals,
        );
        let lattice = fixture.lattice(&sentence, constraints);
        assert!((marginals.log_z - lattice.log_z()).abs() < 1e-4, "seed {seed}");
        for (at, &p) in marginals.labels.iter().enumerate() {
            let (token, label) = (at / LABELS.len(), (at % LABELS.len()) as u16);
            let expected = lattice.label_probability(token, label);
            assert!((f64::from(p) - expected).abs() < 1e-5, "seed {seed}: {p} against {expected}");
        }
    }
}

#[test]
fn a_model_with_a_grammar_answers_with_the_best_valid_sequence() {
    let grammar = Grammar::of_scheme(Scheme::Iob2, &LABELS);
    let constraints = Constraints { grammar: Some(&grammar), allowed: &[] };
    for seed in 0..30 {
        let fixture = Fixture::new(LABELS.len(), if seed % 2 == 0 { 0 } else { 6 }, seed);
        let crf = fixture.crf.clone().with_grammar(Some(grammar.clone()));
        let sentence = sentence((seed % 6) as usize, LABELS.len(), seed);
        let (mut labels, mut workspace) = (vec![7], crf.workspace());
        crf.decode(&fixture.worker(), &sentence, &mut workspace, &mut labels);
        assert_eq!(Some(labels), fixture.decode(&sentence, constraints, &mut workspace));
    }
    // Where nothing is valid, the best sequence of all is the answer.
    let fixture = Fixture::new(LABELS.len(), 0, 1);
    let nothing = Grammar::new(LABELS.len(), |_| false, |_, _| true, |_| true);
    let crf = fixture.crf.clone().with_grammar(Some(nothing));
    let (sentence, mut labels) = (sentence(3, LABELS.len(), 1), Vec::new());
    crf.decode(&fixture.worker(), &sentence, &mut crf.workspace(), &mut labels);
    assert_eq!(labels.len(), 3);
}
