//! Where the tensors of a model lie in the shared weight vector.
//!
//! A model has a few named tensors; a [`Layout`] gives each a place in one flat
//! vector, so that one allocation is shared, saved and measured. Tensors are made
//! of *blocks*, the unit in which weights are touched: a row of a [`Shape::Rows`]
//! tensor, or the whole of any other.
//!
//! | Shape            | Stored as                            | Blocks |
//! | ---------------- | ------------------------------------ | ------ |
//! | `Rows`           | `rows × stride`, `stride ≥ width`    | rows   |
//! | `Dense`          | row-major, padded as a whole         | 1      |
//! | `Panels`         | `⌈columns / 16⌉ × inputs × 16`       | 1      |
//!
//! Every tensor starts on a cache line; every row starts on half of one, so no
//! 32-byte access to a row straddles a line.

use ndarray::Array2;

use crate::Real;
use crate::shared::SharedWeights;

/// The floats in a cache line.
const LINE: usize = 16;

/// The floats to which a row is padded: half a cache line.
const ROW_UNIT: usize = 8;

/// Names a tensor of a [`Layout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(u32);

impl TensorId {
    /// Returns the position of the tensor in its layout.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The shape of a tensor and how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A table of rows that are touched one by one, such as embeddings.
    Rows {
        /// The number of rows.
        rows: usize,
        /// The weights in a row.
        width: usize,
        /// The floats from one row to the next.
        stride: usize,
    },
    /// A matrix that is touched as a whole.
    Dense {
        /// The number of rows.
        rows: usize,
        /// The number of columns.
        columns: usize,
    },
    /// A matrix stored as panels of 16 columns, for products that read live weights.
    Panels {
        /// The rows of the matrix: the length of an input vector.
        inputs: usize,
        /// The columns of the matrix: the length of an output vector.
        columns: usize,
    },
}

/// A named tensor with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    /// The name, unique in its layout.
    pub name: String,
    /// The shape.
    pub shape: Shape,
    /// The position of its first float in the weight vector; a multiple of 16.
    pub start: usize,
    /// The number of its first block among all blocks of the layout.
    pub first_block: usize,
}

impl Tensor {
    /// Returns the floats that the tensor takes, padding included.
    #[must_use]
    pub fn stored_len(&self) -> usize {
        match self.shape {
            Shape::Rows { rows, stride, .. } => rows * stride,
            Shape::Dense { rows, columns } => (rows * columns).next_multiple_of(LINE),
            Shape::Panels { inputs, columns } => columns.next_multiple_of(LINE) * inputs,
        }
    }

    /// Returns the number of blocks.
    #[must_use]
    pub fn n_blocks(&self) -> usize {
        match self.shape {
            Shape::Rows { rows, .. } => rows,
            Shape::Dense { .. } | Shape::Panels { .. } => 1,
        }
    }

    /// Returns the logical shape, rows by columns.
    #[must_use]
    pub fn dim(&self) -> (usize, usize) {
        match self.shape {
            Shape::Rows { rows, width, .. } => (rows, width),
            Shape::Dense { rows, columns } => (rows, columns),
            Shape::Panels { inputs, columns } => (inputs, columns),
        }
    }

    /// Returns the position, relative to the tensor, of the weight in `row` and `column`.
    fn offset(&self, row: usize, column: usize) -> usize {
        match self.shape {
            Shape::Rows { stride, .. } => row * stride + column,
            Shape::Dense { columns, .. } => row * columns + column,
            Shape::Panels { inputs, .. } => (column / LINE * inputs + row) * LINE + column % LINE,
        }
    }
}

/// The tensors of a model and their places in one weight vector.
///
/// ```
/// use asyn_core::Layout;
///
/// let mut layout = Layout::default();
/// let node = layout.rows("node", 1000, 22);
/// let edge = layout.dense("edge", 22, 22);
/// assert_eq!(layout.tensor(edge).start, 1000 * 24);
/// assert_eq!(layout.n_blocks(), 1001);
/// # let _ = node;
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<Tensor>,
    len: usize,
    n_blocks: usize,
}

impl Layout {
    /// Adds a table of `rows` rows of `width` weights.
    ///
    /// Rows are padded to a multiple of 8 floats, half a cache line: rows of 22 weights then take
    /// 96 bytes and no more lines than rows of 128 bytes.
    ///
    /// # Panics
    ///
    /// Panics if the name is taken.
    pub fn rows(&mut self, name: &str, rows: usize, width: usize) -> TensorId {
        let stride = width.next_multiple_of(ROW_UNIT);
        self.push(name, Shape::Rows { rows, width, stride })
    }

    /// Adds a matrix that is touched as a whole.
    ///
    /// # Panics
    ///
    /// Panics if the name is taken.
    pub fn dense(&mut self, name: &str, rows: usize, columns: usize) -> TensorId {
        self.push(name, Shape::Dense { rows, columns })
    }

    /// Adds a matrix of `inputs × columns` stored as panels of 16 columns.
    ///
    /// # Panics
    ///
    /// Panics if the name is taken.
    pub fn panels(&mut self, name: &str, inputs: usize, columns: usize) -> TensorId {
        self.push(name, Shape::Panels { inputs, columns })
    }

    /// Returns the tensor `id`.
    ///
    /// # Panics
    ///
    /// Panics if `id` belongs to a longer layout.
    #[must_use]
    #[inline]
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.index()]
    }

    /// Returns the tensors in the order of their places.
    #[must_use]
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Returns the names of all tensors.
    pub fn ids(&self) -> impl Iterator<Item = TensorId> + '_ {
        #[allow(clippy::cast_possible_truncation, reason = "`push` checked it")]
        (0..self.tensors.len()).map(|index| TensorId(index as u32))
    }

    /// Returns the length of the weight vector, padding included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there is no tensor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the number of blocks of all tensors.
    #[must_use]
    pub fn n_blocks(&self) -> usize {
        self.n_blocks
    }

    /// Returns the number of weights, padding excluded.
    #[must_use]
    pub fn n_weights(&self) -> usize {
        self.tensors.iter().map(|t| t.dim().0 * t.dim().1).sum()
    }

    /// Copies a tensor out of `weights` as a plain row-major matrix.
    ///
    /// # Panics
    ///
    /// Panics if `weights` is shorter than the layout.
    #[must_use]
    pub fn export(&self, weights: &SharedWeights, id: TensorId) -> Array2<Real> {
        let tensor = self.tensor(id);
        let mut stored = vec![0.0; tensor.stored_len()];
        weights.view(tensor.start, stored.len()).read_into(&mut stored);
        Array2::from_shape_fn(tensor.dim(), |(row, column)| stored[tensor.offset(row, column)])
    }

    /// Copies a plain row-major matrix into its place in `weights`; padding becomes 0.
    ///
    /// # Panics
    ///
    /// Panics if `weights` is shorter than the layout, or if the matrix has another shape.
    pub fn import(&self, weights: &mut SharedWeights, id: TensorId, matrix: &Array2<Real>) {
        let tensor = self.tensor(id);
        assert_eq!(matrix.dim(), tensor.dim(), "the shape of tensor {}", tensor.name);
        let stored = &mut weights.as_mut_slice()[tensor.start..][..tensor.stored_len()];
        stored.fill(0.0);
        for ((row, column), &value) in matrix.indexed_iter() {
            stored[tensor.offset(row, column)] = value;
        }
    }

    fn push(&mut self, name: &str, shape: Shape) -> TensorId {
        assert!(self.tensors.iter().all(|t| t.name != name), "two tensors named {name}");
        let id = TensorId(u32::try_from(self.tensors.len()).expect("a model has few tensors"));
        let tensor =
            Tensor { name: name.to_owned(), shape, start: self.len, first_block: self.n_blocks };
        self.len = (self.len + tensor.stored_len()).next_multiple_of(LINE);
        self.n_blocks += tensor.n_blocks();
        self.tensors.push(tensor);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_survives_import_and_export_in_every_shape() {
        let mut layout = Layout::default();
        let ids = [
            layout.rows("rows", 3, 22),
            layout.dense("dense", 5, 7),
            layout.panels("panels", 4, 37),
        ];
        let mut weights = SharedWeights::zeroed(layout.len());
        for id in ids {
            let dim = layout.tensor(id).dim();
            #[allow(clippy::cast_precision_loss, reason = "small numbers")]
            let matrix =
                Array2::from_shape_fn(dim, |(r, c)| (id.index() * 1000 + r * 50 + c) as Real);
            layout.import(&mut weights, id, &matrix);
            assert_eq!(layout.export(&weights, id), matrix);
        }
        for tensor in layout.tensors() {
            assert_eq!(tensor.start % LINE, 0);
        }
    }
}
