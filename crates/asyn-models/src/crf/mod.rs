//! Dense linear-chain conditional random field.
//!
//! A sentence `x` has `n` tokens; token `i` has a set `Aᵢ` of attributes. With labels `y`,
//!
//! ```text
//! score(x, y) = Σᵢ Σ_{a ∈ Aᵢ} U[a][yᵢ]  +  Σ_{i≥1} ( B[yᵢ₋₁][yᵢ] + Σ_{a ∈ Aᵢ, a < R} E[a][yᵢ₋₁][yᵢ] )
//! log p(y | x) = score(x, y) − log Z(x)
//! ```
//!
//! | Tensor | Shape          | Meaning                                              |
//! | ------ | -------------- | ---------------------------------------------------- |
//! | `node` | `F` rows × `Y` | `U`, node weights of each attribute                  |
//! | `edge` | `Y × Y`        | `B`, plain transitions                               |
//! | `rich` | `R` rows × `Y²` | `E`, edge weights of the `R` most frequent attributes |
//!
//! Attributes are numbered by falling frequency. Lafferty, McCallum and Pereira (ICML 2001);
//! rich edges as in Sun, Wang and Li (ACL 2012, section 3.2).

mod decode;
mod explain;
mod gradient;
mod lattice;
mod linear_space;
pub(crate) mod log_space;
mod n_best;
mod pieces;

use asyn_core::{Layout, TensorId};
use asyn_data::Grammar;

pub use decode::Marginals;
pub use explain::{Contribution, Source};
pub use lattice::{Constraints, Lattice};
pub use n_best::{BestFirst, Sequence};
pub use pieces::Pieces;

use crate::error::{Error, Result};
use crate::kernel::chain::Chain;
use crate::kernel::viterbi::Viterbi;

/// The most labels that a model may have.
///
/// Decoding holds labels as floats, and a matrix of labels by labels has to stay in cache.
const MOST_LABELS: usize = 4096;

/// How large a [`Crf`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrfShape {
    /// The number of labels, `Y`.
    pub n_labels: usize,
    /// The number of attributes, `F`.
    pub n_attributes: usize,
    /// The number of attributes with rich edges, `R`: the first ones.
    pub n_rich: usize,
    /// Whether plain transitions are learned; otherwise they stay 0.
    pub transitions: bool,
}

/// A dense linear-chain conditional random field.
///
/// ```
/// use asyn_core::{Decode, Model, Trainer, Worker};
/// use asyn_data::Encoded;
/// use asyn_models::{Crf, CrfShape};
///
/// // Two sentences: attribute 0 means label 0, attribute 1 means label 1.
/// let sentence = |attributes: &[u32]| Encoded {
///     attributes: attributes.to_vec(),
///     offsets: (0..=attributes.len() as u32).collect(),
///     labels: attributes.iter().map(|&a| a as u16).collect(),
/// };
/// let train = [sentence(&[0, 1, 1]), sentence(&[1, 0])];
///
/// let crf = Crf::new(CrfShape { n_labels: 2, n_attributes: 2, n_rich: 0, transitions: true })?;
/// let mut weights = crf.initial_weights(1);
/// let trainer = Trainer::builder().passes(20).build()?;
/// trainer.fit(&crf, &train, &mut weights, &mut ())?;
///
/// let reader = Worker::reader(crf.layout(), &weights);
/// let mut labels = Vec::new();
/// crf.decode(&reader, &sentence(&[1, 0, 0]), &mut crf.workspace(), &mut labels);
/// assert_eq!(labels, [1, 0, 0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Crf {
    shape: CrfShape,
    pieces: Pieces,
    grammar: Option<Grammar>,
    layout: Layout,
    node: TensorId,
    edge: TensorId,
    rich: Option<TensorId>,
}

/// The scratch memory of one worker.
#[derive(Debug)]
pub struct CrfWorkspace {
    chain: Chain,
    viterbi: Viterbi,
    /// The edge scores as stored, and the version of the worker's tensor they are.
    edge_scores: Vec<f32>,
    edge_version: Option<u64>,
    /// The scores or the gradient of the edges into one token.
    token_edges: Vec<f32>,
    /// Pair marginals of sentences that were computed in log space.
    log_space_pairs: Vec<f32>,
    row: Vec<f32>,
}

impl Crf {
    /// Makes a model of the given shape.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if there is no label or more than 4096, and
    /// [`Error::RichEdges`] if there are more rich attributes than attributes.
    pub fn new(shape: CrfShape) -> Result<Self> {
        let CrfShape { n_labels, n_attributes, n_rich, .. } = shape;
        if !(1..=MOST_LABELS).contains(&n_labels) {
            return Err(Error::Labels { most: MOST_LABELS, actual: n_labels });
        }
        if n_rich > n_attributes {
            return Err(Error::RichEdges { rich: n_rich, attributes: n_attributes });
        }
        let mut layout = Layout::default();
        let node = layout.rows("node", n_attributes, n_labels);
        let edge = layout.dense("edge", n_labels, n_labels);
        let rich = (n_rich > 0).then(|| layout.rows("rich", n_rich, n_labels * n_labels));
        Ok(Self { shape, pieces: Pieces::Whole, grammar: None, layout, node, edge, rich })
    }

    /// Cuts sentences for training: structure regularisation.
    #[must_use]
    pub fn with_pieces(self, pieces: Pieces) -> Self {
        Self { pieces, ..self }
    }

    /// Decodes sequences that a grammar allows, where it allows one; training takes no notice.
    ///
    /// # Panics
    ///
    /// If the grammar is one of another number of labels.
    #[must_use]
    pub fn with_grammar(self, grammar: Option<Grammar>) -> Self {
        if let Some(grammar) = &grammar {
            assert_eq!(grammar.n_labels(), self.shape.n_labels, "labels of the grammar");
        }
        Self { grammar, ..self }
    }

    /// Returns what decoded sequences keep to, if they do to anything.
    #[must_use]
    pub fn grammar(&self) -> Option<&Grammar> {
        self.grammar.as_ref()
    }

    /// Returns the shape.
    #[must_use]
    pub fn shape(&self) -> CrfShape {
        self.shape
    }

    /// Returns the part of ascending `attributes` that has rich edges.
    fn rich_part<'a>(&self, attributes: &'a [u32]) -> &'a [u32] {
        let n_rich = self.shape.n_rich;
        let end = attributes.iter().take_while(|&&attribute| (attribute as usize) < n_rich).count();
        &attributes[..end]
    }

    fn new_workspace(&self) -> CrfWorkspace {
        let n = self.shape.n_labels;
        let edge_len = self.layout.tensor(self.edge).stored_len();
        CrfWorkspace {
            chain: Chain::new(n),
            viterbi: Viterbi::new(n),
            edge_scores: vec![0.0; edge_len],
            edge_version: None,
            token_edges: vec![0.0; edge_len],
            log_space_pairs: vec![0.0; n * n],
            row: Vec::new(),
        }
    }
}
