//! The Bi-LSTM in training and at work.

use asyn_core::{
    Adam, AsynGrad, Decode, Model, Read, Replicas, Schedule, Serial, Sgd, SharedWeights, Trainer,
    Update, Worker,
};
use asyn_data::TokenIds;
use asyn_models::{BiLstm, BiLstmSpec, Characters, Column, Error, Initial, OutputLayer};

use tagger::{Reference, rich, sentence, small};

mod tagger;

fn sgd(rate: f32) -> Sgd {
    Sgd { schedule: Schedule::Constant { rate }, l2: 0.0, ..Sgd::default() }
}

fn sentences(spec: &BiLstmSpec, n: usize) -> Vec<TokenIds> {
    (0..n).map(|i| sentence(spec, 1 + i % 7, i as u64)).collect()
}

/// Trains serially and by one worker of AsynGrad, in place and on snapshots.
fn by_one_worker(update: impl Update + Copy, accumulate: u32) -> [Vec<f32>; 3] {
    let spec = rich(OutputLayer::Crf);
    let model = BiLstm::new(&spec).unwrap();
    let sentences = sentences(&spec, 24);
    let builder = || Trainer::builder().update(update).accumulate(accumulate).passes(3).seed(9);
    let serial = {
        let mut weights = model.initial_weights(2);
        let trainer = builder().strategy(Serial).build().unwrap();
        trainer.fit(&model, &sentences, &mut weights, &mut ()).unwrap();
        weights.to_vec()
    };
    let [in_place, snapshot] = [Read::InPlace, Read::Snapshot].map(|read| {
        let mut weights = model.initial_weights(2);
        let trainer = builder().strategy(AsynGrad).read(read).build().unwrap();
        trainer.fit(&model, &sentences, &mut weights, &mut ()).unwrap();
        weights.to_vec()
    });
    [serial, in_place, snapshot]
}

#[test]
fn one_worker_computes_what_serial_computes() {
    for accumulate in [1, 4, 16] {
        for [serial, in_place, snapshot] in [
            by_one_worker(sgd(0.05), accumulate),
            by_one_worker(Adam::default(), accumulate),
            by_one_worker(Adam { clip: 0.5, ..Adam::default() }, accumulate),
        ] {
            assert_eq!(serial, in_place);
            assert_eq!(serial, snapshot);
        }
    }
}

#[test]
fn ten_sentences_are_learned_by_heart() {
    let copies = Some(Replicas { rows: 0, merge_every: 4 });
    for (output, replicas) in
        [(OutputLayer::Softmax, None), (OutputLayer::Crf, None), (OutputLayer::Crf, copies)]
    {
        let spec = BiLstmSpec {
            columns: vec![Column { rows: 40, width: 12, first_rare: 40 }],
            characters: Some(Characters { rows: 10, width: 6, hidden: 8 }),
            hidden: 20,
            layers: 1,
            labels: 4,
            output,
            dropout: 0.0,
            unknown: 0.0,
            initial: Initial::Orthogonal,
        };
        let model = BiLstm::new(&spec).unwrap();
        let sentences: Vec<TokenIds> = (0..10).map(|i| sentence(&spec, 9, i)).collect();
        let mut weights = model.initial_weights(1);
        let trainer = Trainer::builder()
            .strategy(AsynGrad)
            .update(Adam { schedule: Schedule::Constant { rate: 1e-2 }, ..Adam::default() })
            .threads(2)
            .replicas(replicas)
            .passes(40)
            .build()
            .unwrap();
        trainer.fit(&model, &sentences, &mut weights, &mut ()).unwrap();
        let reader = Worker::reader(model.layout(), &weights);
        let mut labels = Vec::new();
        for sentence in &sentences {
            model.decode(&reader, sentence, &mut model.workspace(), &mut labels);
            assert_eq!(labels, sentence.labels);
        }
    }
}

#[test]
fn padding_stays_zero_in_training() {
    let spec = rich(OutputLayer::Crf);
    let model = BiLstm::new(&spec).unwrap();
    let mut is_padding = vec![true; model.layout().len()];
    let places = std::cell::RefCell::new(&mut is_padding);
    Reference::new(&model, |at| {
        places.borrow_mut()[at] = false;
        0.0
    });
    let mut weights = model.initial_weights(4);
    let start = weights.to_vec();
    let trainer = Trainer::builder().update(sgd(0.1)).accumulate(3).passes(4).build().unwrap();
    trainer.fit(&model, &sentences(&spec, 20), &mut weights, &mut ()).unwrap();
    for (at, (end, start)) in weights.to_vec().into_iter().zip(start).enumerate() {
        assert!(!is_padding[at] || (start, end) == (0.0, 0.0), "padding at {at}: {start}, {end}");
    }
}

#[test]
fn sentences_are_labelled_alike_alone_and_together() {
    for output in [OutputLayer::Softmax, OutputLayer::Crf] {
        let spec = BiLstmSpec { hidden: 37, ..rich(output) };
        let model = BiLstm::new(&spec).unwrap();
        let weights = large(&model, 3);
        let reader = Worker::reader(model.layout(), &weights);
        let mut sentences: Vec<TokenIds> =
            (0..40).map(|i| sentence(&spec, (i * 7 % 31) as usize, i)).collect();
        sentences.push(sentence(&spec, 300, 1));
        let mut workspace = model.workspace();
        let mut together = vec![vec![7; 3]; 2];
        model.label(&reader, &sentences, &mut workspace, &mut together);
        assert_eq!(together.len(), sentences.len());
        let mut labels = Vec::new();
        for (sentence, together) in sentences.iter().zip(&together) {
            model.decode(&reader, sentence, &mut workspace, &mut labels);
            assert_eq!(labels.len(), sentence.n_tokens());
            assert_eq!(&labels, together);
        }
        model.label(&reader, &[], &mut workspace, &mut together);
        assert!(together.is_empty());
    }
}

#[test]
fn the_best_labels_are_those_of_the_reference() {
    for output in [OutputLayer::Softmax, OutputLayer::Crf] {
        let spec = BiLstmSpec { layers: 2, ..small(output) };
        let model = BiLstm::new(&spec).unwrap();
        for seed in 0..10 {
            let weights = large(&model, seed);
            let stored = weights.to_vec();
            let reference = Reference::new(&model, |at| f64::from(stored[at]));
            let reader = Worker::reader(model.layout(), &weights);
            let sentence = sentence(&spec, 5, seed);
            let mut labels = Vec::new();
            model.decode(&reader, &sentence, &mut model.workspace(), &mut labels);
            assert_eq!(labels, reference.best(&sentence), "{output:?}, seed {seed}");
        }
    }
}

/// Returns initial weights that are large enough to make labels differ.
fn large(model: &BiLstm, seed: u64) -> SharedWeights {
    let mut weights = model.initial_weights(seed);
    weights.as_mut_slice().iter_mut().for_each(|weight| *weight *= 3.0);
    weights
}

#[test]
fn initial_weights_are_as_the_specification_says() {
    let initial = |initial: Initial, hidden: usize| {
        let model =
            BiLstm::new(&BiLstmSpec { hidden, initial, ..small(OutputLayer::Crf) }).unwrap();
        let stored = model.initial_weights(1).to_vec();
        assert_eq!(model.initial_weights(1).to_vec(), stored);
        assert_ne!(model.initial_weights(2).to_vec(), stored);
        Reference::new(&model, |at| f64::from(stored[at])).into_tagger().layers.remove(0).forward
    };
    let n = 20;
    let orthogonal = initial(Initial::Orthogonal, n);
    assert_eq!(orthogonal.bias.iter().filter(|&&bias| bias == 1.0).count(), n);
    assert!(orthogonal.bias[n..2 * n].iter().all(|&bias| bias == 1.0));
    for gate in 0..4 {
        let row = |i: usize| &orthogonal.recurrent[i][gate * n..][..n];
        for i in 0..n {
            for j in 0..n {
                let dot: f64 = row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum();
                assert!((dot - f64::from(u8::from(i == j))).abs() < 1e-6);
            }
        }
    }
    let diagonal = initial(Initial::DiagNormal(0.5), 6);
    for (i, row) in diagonal.recurrent.iter().enumerate() {
        for (at, &value) in row.iter().enumerate() {
            assert_eq!(value != 0.0, at % 6 == i, "row {i}, column {at}");
        }
    }
    let bound = (6.0f64 / (6.0 + 6.0)).sqrt();
    let xavier = initial(Initial::Xavier, 6).recurrent;
    assert!(xavier.iter().flatten().all(|value| value.abs() <= bound));
    assert!(xavier.iter().flatten().any(|value| value.abs() > 0.8 * bound));
}

#[test]
fn a_vector_from_elsewhere_is_what_its_id_means() {
    let model = BiLstm::new(&small(OutputLayer::Softmax)).unwrap();
    let mut weights = model.initial_weights(1);
    model.set_vector(&mut weights, 1, 2, &[1.0, 2.0, 3.0]);
    let tensor = model.layout().ids().nth(1).unwrap();
    assert_eq!(model.layout().export(&weights, tensor).row(2).to_vec(), [1.0, 2.0, 3.0]);
}

#[test]
fn settings_out_of_range_are_named() {
    let fine = small(OutputLayer::Softmax);
    let message = |spec: BiLstmSpec| BiLstm::new(&spec).unwrap_err().to_string();
    let found = message(BiLstmSpec { dropout: 1.0, ..fine.clone() });
    assert_eq!(found, "the dropout rate must be at least 0 and below 1, not 1");
    let found = message(BiLstmSpec { unknown: f32::NAN, ..fine.clone() });
    assert_eq!(found, "the rate of unknown words must be 0 to 1, not NaN");
    assert_eq!(
        message(BiLstmSpec { layers: 0, ..fine.clone() }),
        "the layers must be 1 to 256, not 0"
    );
    let found = BiLstm::new(&BiLstmSpec { labels: 0, ..fine }).unwrap_err();
    assert_eq!(found, Error::Labels { most: 4096, actual: 0 });
}
