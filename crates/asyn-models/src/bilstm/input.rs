//! From ids to the input vector of each token.
//!
//! An input vector is the vectors of all columns, each padded to a multiple of 8, and behind them
//! what the layer over the characters says of the token, and then zeros.

use asyn_core::{Gradient, Layout, SplitMix64, TensorId, Touched, Worker};
use asyn_data::TokenIds;

use super::BiLstmSpec;
use super::characters::{CharacterLayer, CharacterSpace};
use super::layer::{Scratch, padded_inputs};
use super::packing::Packing;
use super::product;

/// The tensors that an input vector is made from.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) columns: Vec<Table>,
    pub(super) characters: Option<CharacterLayer>,
    /// The length of the part that the columns make.
    columns_len: usize,
    /// The length of an input vector.
    pub(super) len: usize,
    /// The probability with which a rare id becomes the unknown one.
    unknown: f32,
}

/// The vectors of the ids of one column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table {
    pub(super) table: TensorId,
    pub(super) width: usize,
    stride: usize,
    first_rare: u32,
}

/// The scratch memory.
#[derive(Debug)]
pub(super) struct InputSpace {
    /// The ids of each row, one a column.
    ids: Vec<u32>,
    characters: CharacterSpace,
}

impl Input {
    /// Adds the tensors to a layout.
    pub(super) fn new(layout: &mut Layout, spec: &BiLstmSpec) -> Self {
        let mut columns = Vec::new();
        for (i, column) in spec.columns.iter().enumerate() {
            let table = layout.rows(&format!("column.{i}"), column.rows, column.width);
            let stride = layout.tensor(table).stored_len() / column.rows;
            let (width, first_rare) = (column.width, column.first_rare);
            columns.push(Table { table, width, stride, first_rare });
        }
        let characters = spec.characters.map(|it| CharacterLayer::new(layout, &it));
        let columns_len = columns.iter().map(|column| column.stride).sum::<usize>();
        let len = columns_len + characters.as_ref().map_or(0, |it| 2 * it.layer.units);
        let len = padded_inputs(len);
        Self { columns, characters, columns_len, len, unknown: spec.unknown }
    }

    /// Returns the positions of an input vector that are no padding.
    pub(super) fn positions(&self) -> Vec<usize> {
        let mut positions = Vec::new();
        let mut start = 0;
        for column in &self.columns {
            positions.extend(start..start + column.width);
            start += column.stride;
        }
        if let Some(characters) = &self.characters {
            positions.extend(characters.layer.output_positions().map(|at| start + at));
        }
        positions
    }

    /// Lists what a sentence reads whose rare ids are drawn from `random`, but for whole tensors.
    pub(super) fn touch(&self, sentence: &TokenIds, random: &mut SplitMix64, out: &mut Touched) {
        self.draw_ids(sentence, Some(random), |_, column, id| {
            out.add_rows(self.columns[column].table, &[id]);
        });
        if let Some(characters) = &self.characters {
            out.add_rows(characters.table, &sentence.characters);
        }
    }

    /// Calls `take` with token, column and id, token after token. Rare ids are the unknown one if
    /// `random` says so, with one draw for each rare id.
    fn draw_ids(
        &self,
        sentence: &TokenIds,
        mut random: Option<&mut SplitMix64>,
        mut take: impl FnMut(usize, usize, u32),
    ) {
        for token in 0..sentence.n_tokens() {
            let ids = sentence.ids_of(token);
            assert_eq!(ids.len(), self.columns.len(), "one id for each column");
            for (at, (&id, column)) in ids.iter().zip(&self.columns).enumerate() {
                let is_unknown = self.unknown > 0.0
                    && id >= column.first_rare
                    && random.as_mut().is_some_and(|random| random.unit() < self.unknown);
                take(token, at, if is_unknown { 0 } else { id });
            }
        }
    }

    /// Makes room for sentences, each of which is added next.
    pub(super) fn start(&self, packing: &Packing, space: &mut InputSpace) {
        space.ids.resize(packing.n_rows() * self.columns.len(), 0);
        space.characters.clear();
    }

    /// Adds a sentence, whose rare ids are drawn from `random`, if they are.
    pub(super) fn add(
        &self,
        sentence: &TokenIds,
        rows: impl Iterator<Item = usize> + Clone,
        random: Option<&mut SplitMix64>,
        space: &mut InputSpace,
    ) {
        let n_columns = self.columns.len();
        let mut next = rows.clone();
        let mut row = 0;
        self.draw_ids(sentence, random, |_, column, id| {
            if column == 0 {
                row = next.next().expect("a row for each token");
            }
            space.ids[row * n_columns + column] = id;
        });
        if self.characters.is_some() {
            space.characters.add(sentence, rows);
        }
    }

    /// Computes the input vectors `x`, `N × len`, of the sentences that were added.
    pub(super) fn forward(
        &self,
        worker: &Worker<'_>,
        space: &mut InputSpace,
        scratch: &mut Scratch,
        x: &mut [f32],
    ) {
        let rows = x.chunks_exact_mut(self.len);
        for (x, ids) in rows.zip(space.ids.chunks_exact(self.columns.len())) {
            let mut rest = &mut x[..self.columns_len];
            for (column, &id) in self.columns.iter().zip(ids) {
                let (vector, others) = rest.split_at_mut(column.stride);
                worker.row(column.table, id).read_into(vector);
                rest = others;
            }
            product::apply_scale(worker, &mut x[..self.columns_len]);
        }
        if let Some(layer) = &self.characters {
            let (len, start) = (self.len, self.columns_len);
            layer.forward(worker, &mut space.characters, scratch, x, len, start);
        }
    }

    /// Adds the gradient of all vectors, given the errors of the input vectors.
    pub(super) fn backward(
        &self,
        worker: &Worker<'_>,
        space: &mut InputSpace,
        scratch: &mut Scratch,
        errors: &[f32],
        gradient: &mut Gradient,
    ) {
        let rows = errors.chunks_exact(self.len);
        for (errors, ids) in rows.zip(space.ids.chunks_exact(self.columns.len())) {
            let mut rest = errors;
            for (column, &id) in self.columns.iter().zip(ids) {
                let (errors, others) = rest.split_at(column.stride);
                gradient.add_rows(column.table, &[id], errors);
                rest = others;
            }
        }
        if let Some(layer) = &self.characters {
            let (len, start) = (self.len, self.columns_len);
            let space = &mut space.characters;
            layer.backward(worker, space, scratch, errors, len, start, gradient);
        }
    }
}

impl InputSpace {
    pub(super) fn new() -> Self {
        Self { ids: Vec::new(), characters: CharacterSpace::new() }
    }
}
