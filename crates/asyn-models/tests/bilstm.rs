//! The gradient of the Bi-LSTM against a reference in double precision, and what its padding, its
//! masks and its reads are.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "labels, lengths and counts of these tests are small"
)]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use asyn_core::{Batch, Gradient, Model, Purpose, SharedWeights, SplitMix64, Touched, Worker};
use asyn_data::TokenIds;
use asyn_models::{BiLstm, BiLstmSpec, OutputLayer};

use tagger::{Reference, rich, sentence, small};

mod tagger;

/// A model with random weights, in its padding none.
struct Fixture {
    model: BiLstm,
    weights: Vec<f32>,
    /// The places that are no padding.
    places: BTreeSet<usize>,
}

impl Fixture {
    fn new(spec: &BiLstmSpec, size: f32, seed: u64) -> Self {
        let model = BiLstm::new(spec).unwrap();
        let places = RefCell::new(BTreeSet::new());
        Reference::new(&model, |at| {
            places.borrow_mut().insert(at);
            0.0
        });
        let places = places.into_inner();
        let mut weights = vec![0.0; model.layout().len()];
        let mut random = SplitMix64::stream(seed, Purpose::InitialWeights, 0, 0);
        for &at in &places {
            weights[at] = size * (2.0 * random.unit() - 1.0);
        }
        Self { model, weights, places }
    }

    fn shared(&self) -> SharedWeights {
        let mut weights = SharedWeights::zeroed(self.weights.len());
        weights.as_mut_slice().copy_from_slice(&self.weights);
        weights
    }

    /// Returns the loss and the gradient of a batch in pass 3 of a run with seed 5.
    fn gradient(&self, sentences: &[TokenIds], ids: &[u32]) -> (f64, Gradient) {
        let weights = self.shared();
        let reader = Worker::reader(self.model.layout(), &weights);
        let mut gradient = Gradient::new(0.0);
        let batch = Batch::new(3, 5, ids, sentences);
        let mut workspace = self.model.workspace();
        let loss = self.model.gradient(&reader, &batch, &mut workspace, &mut gradient);
        (loss, gradient)
    }

    fn plain(&self, gradient: &Gradient) -> Vec<f64> {
        let mut plain = vec![0.0; self.weights.len()];
        gradient.add_to(self.model.layout(), &mut plain);
        plain
    }

    fn sentences<const N: usize>(&self, lengths: [usize; N]) -> [TokenIds; N] {
        let mut seed = 10;
        lengths.map(|len| {
            seed += 1;
            sentence(self.model.spec(), len, seed)
        })
    }
}

fn random_of(id: u32) -> SplitMix64 {
    Batch::<()>::new(3, 5, &[], &[]).random(id)
}

/// Compares loss and gradient of a batch with the reference: all weights if `every` is 1.
fn check(spec: &BiLstmSpec, every: usize) {
    let fixture = Fixture::new(spec, 0.7, 1);
    let sentences = fixture.sentences([2, 5, 1, 0]);
    let (loss, gradient) = fixture.gradient(&sentences, &[0, 1, 2, 3]);
    let gradient = fixture.plain(&gradient);
    let weights: RefCell<Vec<f64>> =
        RefCell::new(fixture.weights.iter().map(|&w| f64::from(w)).collect());
    let exact = || {
        let reference = Reference::new(&fixture.model, |at| weights.borrow()[at]);
        let losses = (0..3).map(|id| reference.loss(&sentences[id as usize], Some(random_of(id))));
        losses.sum::<f64>()
    };
    assert!((loss - exact()).abs() < 1e-5 * exact().max(1.0), "{loss} against {}", exact());
    let mut n_moving = 0;
    for (at, &gradient) in gradient.iter().enumerate() {
        if !fixture.places.contains(&at) {
            assert_eq!(gradient, 0.0, "padding at {at}");
            continue;
        }
        if at % every != 0 {
            continue;
        }
        const H: f64 = 1e-5;
        let here = weights.borrow()[at];
        weights.borrow_mut()[at] = here + H;
        let above = exact();
        weights.borrow_mut()[at] = here - H;
        let below = exact();
        weights.borrow_mut()[at] = here;
        let difference = (above - below) / (2.0 * H);
        assert!(
            (gradient - difference).abs() < 2e-5 * difference.abs().max(1.0),
            "weight {at}: {gradient} against {difference}"
        );
        n_moving += usize::from(difference.abs() > 1e-4);
    }
    assert!(n_moving > fixture.places.len() / every / 3, "only {n_moving} weights count");
}

#[test]
fn gradients_equal_central_differences_of_the_f64_reference() {
    check(&small(OutputLayer::Softmax), 1);
    check(&small(OutputLayer::Crf), 1);
}

#[test]
fn gradients_with_everything_equal_central_differences() {
    check(&rich(OutputLayer::Softmax), 1);
    check(&rich(OutputLayer::Crf), 1);
}

/// Compares a gradient with what torch computed by automatic differentiation in double precision
/// (`stored/bilstm.py`), for all weights in the order in which the reference reads them.
fn check_stored(output: OutputLayer, stored: &str) {
    let characters = rich(output).characters;
    let model =
        BiLstm::new(&BiLstmSpec { characters, layers: 2, ..small(output) }).expect("it is valid");
    let order = RefCell::new(Vec::new());
    Reference::new(&model, |at| {
        order.borrow_mut().push(at);
        0.0
    });
    let order = order.into_inner();
    let mut weights = vec![0.0; model.layout().len()];
    for (n, &at) in order.iter().enumerate() {
        weights[at] = (0.7 * (n as f64 + 1.0).sin()) as f32;
    }
    let sentence = TokenIds {
        ids: vec![3, 1, 8, 0, 3, 3, 0, 2, 5, 1],
        characters: vec![2, 5, 6, 1, 1, 4, 3, 2],
        offsets: vec![0, 2, 2, 3, 6, 8],
        labels: vec![1, 0, 3, 3, 2],
    };
    let fixture = Fixture { places: order.iter().copied().collect(), model, weights };
    let (loss, gradient) = fixture.gradient(&[sentence], &[0]);
    let gradient = fixture.plain(&gradient);
    let mut stored = stored.lines().map(|line| line.parse::<f64>().expect("it is a number"));
    let expected = stored.next().expect("the loss comes first");
    assert!((loss - expected).abs() < 1e-5 * expected, "{loss} against {expected}");
    for (n, &at) in order.iter().enumerate() {
        let expected = stored.next().expect("there is a derivative for each weight");
        assert!((gradient[at] - expected).abs() < 2e-6, "{n}: {} against {expected}", gradient[at]);
    }
    assert_eq!(stored.next(), None);
}

#[test]
fn gradients_equal_those_of_torch() {
    check_stored(OutputLayer::Softmax, include_str!("stored/softmax.txt"));
    check_stored(OutputLayer::Crf, include_str!("stored/crf.txt"));
}

#[test]
fn gradients_of_several_blocks_of_units_equal_central_differences() {
    let spec = BiLstmSpec { hidden: 37, labels: 18, ..small(OutputLayer::Softmax) };
    check(&spec, 61);
}

#[test]
fn a_batch_is_the_sum_of_its_sentences() {
    for spec in [small(OutputLayer::Crf), rich(OutputLayer::Softmax)] {
        let fixture = Fixture::new(&spec, 0.5, 2);
        let sentences = fixture.sentences([4, 7, 1, 7]);
        let (loss, together) = fixture.gradient(&sentences, &[2, 0, 1, 3]);
        let together = fixture.plain(&together);
        let (mut loss_apart, mut apart) = (0.0, vec![0.0; together.len()]);
        for id in 0..4 {
            let (loss, gradient) = fixture.gradient(&sentences, &[id]);
            loss_apart += loss;
            let gradient = fixture.plain(&gradient);
            apart.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g);
        }
        assert!((loss - loss_apart).abs() < 1e-5);
        for (a, b) in together.iter().zip(&apart) {
            assert!((a - b).abs() < 1e-5, "{a} against {b}");
        }
    }
}

#[test]
fn what_is_random_depends_on_pass_and_example_only() {
    let fixture = Fixture::new(&rich(OutputLayer::Softmax), 0.5, 3);
    let sentences = fixture.sentences([6, 6]);
    let weights = fixture.shared();
    let reader = Worker::reader(fixture.model.layout(), &weights);
    let mut workspace = fixture.model.workspace();
    let mut loss = |pass: u32, ids: &[u32]| {
        let batch = Batch::new(pass, 5, ids, &sentences);
        fixture.model.gradient(&reader, &batch, &mut workspace, &mut Gradient::new(0.0))
    };
    let first = loss(1, &[0]);
    assert_ne!(loss(2, &[0]), first);
    assert_ne!(loss(1, &[1]), first);
    assert_eq!(loss(1, &[0]), first);
}

#[test]
fn touched_rows_are_those_that_have_a_gradient() {
    let fixture = Fixture::new(&rich(OutputLayer::Crf), 0.5, 4);
    let sentences = fixture.sentences([6, 3, 9]);
    let mut touched = Touched::default();
    let batch = Batch::new(3, 5, &[0, 1, 2], &sentences);
    fixture.model.touched(&batch, &mut fixture.model.workspace(), &mut touched);
    let (_, gradient) = fixture.gradient(&sentences, &[0, 1, 2]);
    let mut listed: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for (tensor, rows) in touched.rows() {
        listed.entry(tensor).or_default().extend(rows);
    }
    let mut read = BTreeMap::new();
    for spreads in gradient.spreads() {
        let lists = spreads.lists();
        let rows = (0..lists.len()).flat_map(|i| lists.get(i)).copied().collect::<Vec<u32>>();
        read.insert(spreads.tensor(), rows);
    }
    for rows in listed.values_mut().chain(read.values_mut()) {
        rows.sort_unstable();
    }
    assert_eq!(listed, read);
    let whole: BTreeSet<_> = touched.whole().iter().copied().collect();
    assert_eq!(whole.len(), touched.whole().len(), "each tensor is listed once");
    let sums = gradient.sums().iter().map(|sum| sum.tensor);
    assert_eq!(whole, sums.chain(gradient.outers().iter().map(|outer| outer.tensor)).collect());
}

#[test]
fn stored_weights_are_read_at_their_scale() {
    for spec in [small(OutputLayer::Crf), rich(OutputLayer::Softmax)] {
        let mut fixture = Fixture::new(&spec, 0.7, 5);
        let sentences = fixture.sentences([4, 2]);
        let (loss, gradient) = fixture.gradient(&sentences, &[0, 1]);
        let gradient = fixture.plain(&gradient);
        fixture.weights.iter_mut().for_each(|weight| *weight *= 2.0);
        let weights = fixture.shared();
        let mut reader = Worker::reader(fixture.model.layout(), &weights);
        reader.set_scale(0.5);
        let mut scaled = Gradient::new(0.0);
        let batch = Batch::new(3, 5, &[0, 1], &sentences);
        let mut workspace = fixture.model.workspace();
        let same = fixture.model.gradient(&reader, &batch, &mut workspace, &mut scaled);
        assert!((same - loss).abs() < 1e-6, "{same} against {loss}");
        for (a, b) in fixture.plain(&scaled).iter().zip(&gradient) {
            assert!((a - b).abs() < 1e-6, "{a} against {b}");
        }
    }
}

#[test]
fn extreme_weights_give_neither_denormals_nor_what_is_no_number() {
    for output in [OutputLayer::Softmax, OutputLayer::Crf] {
        for size in [0.0, 1e-3, 10.0, 1e3, 1e6] {
            let fixture = Fixture::new(&BiLstmSpec { hidden: 20, ..rich(output) }, size, 6);
            let sentences = fixture.sentences([30, 9]);
            let (loss, gradient) = fixture.gradient(&sentences, &[0, 1]);
            assert!(loss.is_finite(), "loss {loss} with weights up to {size}");
            let sums = gradient.sums().iter().map(|sum| &sum.values[..]);
            let spreads = gradient.spreads().iter().map(|spreads| spreads.values());
            let factors = gradient.outers().iter().flat_map(|it| [&it.x[..], &it.delta[..]]);
            for value in sums.chain(spreads).chain(factors).flatten() {
                assert!(value.is_finite() && !value.is_subnormal(), "{value}, size {size}");
            }
        }
    }
}

#[test]
fn a_weight_that_is_no_number_shows_in_the_loss() {
    let spec = rich(OutputLayer::Softmax);
    let places = Fixture::new(&spec, 0.5, 7).places;
    let names = ["layer.0.forward.recurrent", "layer.1.backward.input", "output.bias"];
    for name in names {
        let mut fixture = Fixture::new(&spec, 0.5, 7);
        let tensors = fixture.model.layout().tensors();
        let tensor = tensors.iter().find(|it| it.name == name).unwrap();
        let place = *places.range(tensor.start..).next().unwrap();
        fixture.weights[place] = f32::NAN;
        let sentences = fixture.sentences([8, 8, 8]);
        let (loss, _) = fixture.gradient(&sentences, &[0, 1, 2]);
        assert!(!loss.is_finite(), "{name}: {loss}");
    }
}
