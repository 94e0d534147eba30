//! Structure regularisation: a sentence that is cut is trained as its pieces would be.

use std::num::NonZeroU32;

use asyn_core::{
    AsynGrad, Batch, Gradient, Model, Purpose, Serial, SharedWeights, SplitMix64, Strategy,
    Touched, Trainer, Worker,
};
use asyn_data::Encoded;
use asyn_models::{Crf, CrfShape, Pieces};

use crate::reference::{N_ATTRIBUTES, sentence, tensor};

const N_LABELS: usize = 3;

fn crf(n_rich: usize, pieces: Pieces) -> Crf {
    let n_attributes = N_ATTRIBUTES;
    let shape = CrfShape { n_labels: N_LABELS, n_attributes, n_rich, transitions: true };
    Crf::new(shape).unwrap().with_pieces(pieces)
}

fn number(n: u32) -> Pieces {
    Pieces::Number(NonZeroU32::new(n).unwrap())
}

fn length(n: u32) -> Pieces {
    Pieces::Length(NonZeroU32::new(n).unwrap())
}

fn random_weights(crf: &Crf) -> SharedWeights {
    let mut weights = SharedWeights::zeroed(crf.layout().len());
    let mut random = SplitMix64::stream(3, Purpose::InitialWeights, 0, 0);
    for id in crf.layout().ids() {
        let mut matrix = crf.layout().export(&weights, id);
        matrix.mapv_inplace(|_| 2.0 * random.unit() - 1.0);
        crf.layout().import(&mut weights, id, &matrix);
    }
    weights
}

/// Returns the summed loss of all examples in a pass, and its gradient.
fn gradient(crf: &Crf, examples: &[Encoded], pass: u32) -> (f64, Vec<f64>) {
    let weights = random_weights(crf);
    let worker = Worker::reader(crf.layout(), &weights);
    let mut gradient = Gradient::new(0.0);
    let ids: Vec<u32> = (0..examples.len() as u32).collect();
    let batch = Batch::new(pass, 1, &ids, examples);
    let loss = crf.gradient(&worker, &batch, &mut crf.workspace(), &mut gradient);
    let mut plain = vec![0.0; crf.layout().len()];
    gradient.add_to(crf.layout(), &mut plain);
    (loss, plain)
}

/// Returns a sentence cut before the tokens `borders`, as sentences.
fn cut(sentence: &Encoded, borders: &[usize]) -> Vec<Encoded> {
    let starts = std::iter::once(0).chain(borders.iter().copied());
    let ends = borders.iter().copied().chain([sentence.n_tokens()]);
    let piece = |(start, end): (usize, usize)| {
        let first = sentence.offsets[start];
        Encoded {
            attributes: (start..end).flat_map(|t| sentence.attributes_of(t)).copied().collect(),
            offsets: sentence.offsets[start..=end].iter().map(|offset| offset - first).collect(),
            labels: sentence.labels[start..end].to_vec(),
        }
    };
    starts.zip(ends).map(piece).collect()
}

#[test]
fn pieces_of_the_full_length_are_plain_training_bit_for_bit() {
    let sentences: Vec<Encoded> = (0..4).map(|i| sentence(4 + i, N_LABELS, i as u64)).collect();
    for n_rich in [0, 5] {
        let plain = gradient(&crf(n_rich, Pieces::Whole), &sentences, 0);
        for pieces in [number(1), length(7), length(100)] {
            assert_eq!(gradient(&crf(n_rich, pieces), &sentences, 0), plain);
        }
    }
}

#[test]
fn a_cut_sentence_has_the_gradient_of_its_pieces_and_other_pieces_in_other_passes() {
    let whole = sentence(5, N_LABELS, 7);
    let choices = [[1, 2], [1, 3], [1, 4], [2, 3], [2, 4], [3, 4]];
    for n_rich in [0, N_ATTRIBUTES] {
        let uncut = crf(n_rich, Pieces::Whole);
        let expected: Vec<_> =
            choices.iter().map(|borders| gradient(&uncut, &cut(&whole, borders), 0)).collect();
        let mut seen = [0; 6];
        for pass in 0..120 {
            let pieces = if pass % 2 == 0 { number(3) } else { length(2) };
            let (loss, found) = gradient(&crf(n_rich, pieces), std::slice::from_ref(&whole), pass);
            let is_near = |(expected_loss, expected): &&(f64, Vec<f64>)| {
                let mut pairs = found.iter().zip(expected);
                (loss - expected_loss).abs() < 1e-5 && pairs.all(|(a, b)| (a - b).abs() < 1e-5)
            };
            let matches: Vec<usize> =
                (0..6).filter(|&choice| is_near(&&expected[choice])).collect();
            assert_eq!(matches.len(), 1, "pass {pass} with {n_rich} rich: {matches:?}");
            seen[matches[0]] += 1;
        }
        // Twenty each on average, with a standard deviation of four.
        assert!(seen.iter().all(|count| (6..35).contains(count)), "{seen:?}");
    }
}

#[test]
fn tokens_on_their_own_have_no_edges() {
    let whole = sentence(6, N_LABELS, 2);
    let alone = crf(N_ATTRIBUTES, length(1));
    let (loss, found) = gradient(&alone, std::slice::from_ref(&whole), 0);
    let edge_start = tensor(&alone, "edge").unwrap().start;
    assert!(found[edge_start..].iter().all(|&g| g == 0.0), "edges and rich edges follow the nodes");
    let (expected, _) =
        gradient(&crf(N_ATTRIBUTES, Pieces::Whole), &cut(&whole, &[1, 2, 3, 4, 5]), 0);
    assert!((loss - expected).abs() < 1e-6, "{loss} {expected}");

    let examples = [whole];
    let batch = Batch::new(0, 1, &[0], &examples);
    let mut touched = Touched::default();
    alone.touched(&batch, &mut alone.workspace(), &mut touched);
    let rows: usize = touched.rows().map(|(_, rows)| rows.len()).sum();
    assert_eq!(rows, examples[0].attributes.len(), "no rich row is read");
}

#[test]
fn cuts_repeat_with_the_seed_whoever_draws_the_example() {
    fn train(strategy: impl Strategy, threads: usize, seed: u64, snapshot: bool) -> Vec<f32> {
        let sentences: Vec<Encoded> = (0..30).map(|i| sentence(8, N_LABELS, i)).collect();
        let crf = crf(4, length(3));
        let mut weights = crf.initial_weights(1);
        let read = if snapshot { asyn_core::Read::Snapshot } else { asyn_core::Read::InPlace };
        let builder = Trainer::builder().strategy(strategy).threads(threads).read(read);
        let trainer = builder.passes(3).seed(seed).build().unwrap();
        trainer.fit(&crf, &sentences, &mut weights, &mut ()).unwrap();
        weights.to_vec()
    }
    let serial = train(Serial, 1, 5, false);
    assert_eq!(train(Serial, 1, 5, false), serial);
    assert_eq!(train(AsynGrad, 1, 5, false), serial);
    assert_eq!(train(Serial, 1, 5, true), serial, "from a copy of what is touched");
    assert_ne!(train(Serial, 1, 6, false), serial);
}
