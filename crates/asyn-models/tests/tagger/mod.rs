//! A Bi-LSTM in double precision, for tests to compare with.

#![allow(clippy::cast_possible_truncation, reason = "lengths and labels of tests are small")]
#![allow(dead_code, reason = "each test file is a crate and uses what it needs")]

use asyn_core::{Model, Purpose, SplitMix64, Tensor};
use asyn_data::TokenIds;
use asyn_models::{BiLstm, BiLstmSpec, Characters, Column, Initial, OutputLayer};
use asyn_testing::lstm::{Layer, Matrix, Recurrence, Tagger};

/// The smallest model: two columns, of which the first has rare ids.
pub(crate) fn small(output: OutputLayer) -> BiLstmSpec {
    BiLstmSpec {
        columns: vec![
            Column { rows: 9, width: 5, first_rare: 6 },
            Column { rows: 4, width: 3, first_rare: 4 },
        ],
        characters: None,
        hidden: 3,
        layers: 1,
        labels: 4,
        output,
        dropout: 0.0,
        unknown: 0.0,
        initial: Initial::Orthogonal,
    }
}

/// A model with everything.
pub(crate) fn rich(output: OutputLayer) -> BiLstmSpec {
    BiLstmSpec {
        characters: Some(Characters { rows: 7, width: 4, hidden: 2 }),
        layers: 2,
        dropout: 0.4,
        unknown: 0.5,
        ..small(output)
    }
}

/// Returns a random sentence; some tokens have no characters.
pub(crate) fn sentence(spec: &BiLstmSpec, len: usize, seed: u64) -> TokenIds {
    let mut random = SplitMix64::stream(seed, Purpose::Calibration, 0, 0);
    let mut found = TokenIds { offsets: vec![0], ..TokenIds::default() };
    for _ in 0..len {
        found.ids.extend(spec.columns.iter().map(|it| random.below(it.rows as u64) as u32));
        if let Some(characters) = spec.characters {
            let n = random.below(4);
            found.characters.extend((0..n).map(|_| random.below(characters.rows as u64) as u32));
        }
        found.offsets.push(found.characters.len() as u32);
        found.labels.push(random.below(spec.labels as u64) as u16);
    }
    found
}

/// A model in double precision.
pub(crate) struct Reference {
    spec: BiLstmSpec,
    tables: Vec<Matrix>,
    characters: Option<(Matrix, Layer)>,
    tagger: Tagger,
    /// For each layer and the output layer, the padded length of the input and the positions in
    /// it that are none.
    inputs: Vec<(usize, Vec<usize>)>,
}

impl Reference {
    /// Reads all weights of `model` by their places; padding is not read.
    pub(crate) fn new(model: &BiLstm, weight: impl Fn(usize) -> f64) -> Self {
        let spec = model.spec().clone();
        let tensor = |name: &str| {
            model.layout().tensors().iter().find(|it| it.name == name).expect("it exists")
        };
        let table = |name: &str, (rows, width): (usize, usize)| -> Matrix {
            let start = tensor(name).start;
            let place = |row: usize, at: usize| start + row * width.next_multiple_of(8) + at;
            (0..rows).map(|row| (0..width).map(|at| weight(place(row, at))).collect()).collect()
        };
        let layer = |name: &str, positions: &[usize], hidden: usize| {
            let [forward, backward] = ["forward", "backward"].map(|direction| {
                let tensor = |part: &str| tensor(&format!("{name}.{direction}.{part}"));
                let gates: Vec<usize> = (0..4)
                    .flat_map(|q| (0..hidden).map(move |j| j / 16 * 64 + q * 16 + j % 16))
                    .collect();
                let matrix = |tensor: &Tensor, rows: &[usize]| -> Matrix {
                    let row = |&row: &usize| {
                        gates.iter().map(|&gate| weight(in_panels(tensor, row, gate))).collect()
                    };
                    rows.iter().map(row).collect()
                };
                let units: Vec<usize> = (0..hidden).collect();
                let bias = tensor("bias").start;
                Recurrence {
                    input: matrix(tensor("input"), positions),
                    recurrent: matrix(tensor("recurrent"), &units),
                    bias: gates.iter().map(|gate| weight(bias + gate)).collect(),
                }
            });
            Layer { forward, backward }
        };
        let columns = spec.columns.iter().enumerate();
        let tables =
            columns.map(|(i, it)| table(&format!("column.{i}"), (it.rows, it.width))).collect();
        let characters = spec.characters.map(|it| {
            let positions: Vec<usize> = (0..it.width).collect();
            let vectors = table("characters", (it.rows, it.width));
            (vectors, layer("characters", &positions, it.hidden))
        });
        let name = |at: usize| format!("layer.{at}");
        let len = |at: usize| match at == spec.layers {
            true => tensor("output").dim().0,
            false => tensor(&format!("{}.forward.input", name(at))).dim().0,
        };
        let positions = |at: usize| match at {
            0 => input_positions(&spec),
            _ => both_directions(0, spec.hidden),
        };
        let inputs: Vec<_> = (0..=spec.layers).map(|at| (len(at), positions(at))).collect();
        let layers = (0..spec.layers).map(|at| layer(&name(at), &inputs[at].1, spec.hidden));
        let layers = layers.collect();
        let output = tensor("output");
        let row =
            |row: &usize| (0..spec.labels).map(|y| weight(in_panels(output, *row, y))).collect();
        let output = inputs[spec.layers].1.iter().map(row).collect();
        let bias = tensor("output.bias").start;
        let bias = (0..spec.labels).map(|y| weight(bias + y)).collect();
        let transitions = (spec.output == OutputLayer::Crf).then(|| {
            let start = tensor("transitions").start;
            let n = spec.labels;
            let row = |p: usize| (0..n).map(|y| weight(start + p * n + y)).collect();
            (0..n).map(row).collect()
        });
        let tagger = Tagger { layers, output, bias, transitions };
        Self { spec, tables, characters, tagger, inputs }
    }

    /// Returns the inputs and masks of a sentence, with what is random in training drawn from
    /// `random`.
    fn inputs(&self, sentence: &TokenIds, mut random: Option<SplitMix64>) -> (Matrix, Vec<Matrix>) {
        let mut items = Vec::new();
        for token in 0..sentence.n_tokens() {
            let mut item = Vec::new();
            let columns = self.spec.columns.iter().zip(&self.tables);
            for (&id, (column, table)) in sentence.ids_of(token).iter().zip(columns) {
                let is_rare = self.spec.unknown > 0.0 && id >= column.first_rare;
                let is_unknown = is_rare
                    && random.as_mut().is_some_and(|random| random.unit() < self.spec.unknown);
                item.extend(&table[if is_unknown { 0 } else { id as usize }]);
            }
            if let Some((vectors, layer)) = &self.characters {
                let ids = sentence.characters_of(token).iter();
                item.extend(
                    layer.last_states(&ids.map(|&id| vectors[id as usize].clone()).collect()),
                );
            }
            items.push(item);
        }
        let mut masks = Vec::new();
        if let Some(random) = random.as_mut().filter(|_| self.spec.dropout > 0.0) {
            let threshold = (self.spec.dropout * 65536.0).round() as u16;
            let kept = 65536.0 / (65536.0 - f64::from(threshold));
            for (len, positions) in &self.inputs {
                let row = |_| {
                    let words: Vec<u64> = (0..len / 4).map(|_| random.next_u64()).collect();
                    let piece = |at: usize| (words[at / 4] >> (16 * (at % 4))) as u16;
                    let factor = |&at: &usize| if piece(at) < threshold { 0.0 } else { kept };
                    positions.iter().map(factor).collect()
                };
                masks.push((0..items.len()).map(row).collect());
            }
        }
        (items, masks)
    }

    pub(crate) fn loss(&self, sentence: &TokenIds, random: Option<SplitMix64>) -> f64 {
        let (items, masks) = self.inputs(sentence, random);
        let gold: Vec<usize> = sentence.labels.iter().map(|&label| usize::from(label)).collect();
        self.tagger.loss(&items, &masks, &gold)
    }

    pub(crate) fn into_tagger(self) -> Tagger {
        self.tagger
    }

    /// Returns the best labels, by enumeration.
    pub(crate) fn best(&self, sentence: &TokenIds) -> Vec<u16> {
        let (items, masks) = self.inputs(sentence, None);
        let chain = self.tagger.chain(self.tagger.scores(&items, &masks));
        chain.enumerate().best.iter().map(|&y| y as u16).collect()
    }
}

/// Returns where a matrix in panels has a weight.
fn in_panels(tensor: &Tensor, row: usize, column: usize) -> usize {
    tensor.start + (column / 16 * tensor.dim().0 + row) * 16 + column % 16
}

/// Returns the positions of an input vector that are no padding.
fn input_positions(spec: &BiLstmSpec) -> Vec<usize> {
    let (mut len, mut positions) = (0, Vec::new());
    for column in &spec.columns {
        positions.extend(len..len + column.width);
        len += column.width.next_multiple_of(8);
    }
    if let Some(characters) = spec.characters {
        positions.extend(both_directions(len, characters.hidden));
    }
    positions
}

/// Returns the units of both directions from `start` on that are no padding.
fn both_directions(start: usize, hidden: usize) -> Vec<usize> {
    let second = start + hidden.next_multiple_of(16);
    (start..start + hidden).chain(second..second + hidden).collect()
}
