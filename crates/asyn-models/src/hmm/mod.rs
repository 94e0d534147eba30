//! A hidden Markov model over words, to be trained without labels.
//!
//! With states `s_1 … s_T` and words `x_1 … x_T`,
//!
//! ```text
//! p(x) = Σ_s p(s_1) Π_{t≥2} p(s_t | s_{t−1}) Π_t p(x_t | s_t)
//! ```
//!
//! The weights are expected counts, to be trained by the update rules of EM in `asyn-core`, and a
//! gradient is the expected counts of some sentences; its loss is `−ln p(x)`.
//!
//! | Tensor        | Shape   | Meaning                                             |
//! | ------------- | ------- | --------------------------------------------------- |
//! | `emissions`   | `V × K` | how often each word comes from each state            |
//! | `totals`      | `K`     | the sums of the columns of `emissions`               |
//! | `transitions` | `K × K` | how often each state follows each other              |
//! | `initial`     | `K`     | how often each state is the first one                |
//!
//! Forward and backward are those of linear chains (`kernel/chain`); where these would underflow
//! there, in `f64`.

mod reference;

use asyn_core::shared::Lists;
use asyn_core::{
    Batch, Decode, Gradient, Groups, Layout, Model, Multinomials, Purpose, Real, SharedWeights,
    SplitMix64, TensorId, Touched, Worker,
};

use crate::error::{Error, Result};
use crate::kernel::chain::Chain;

/// The most states.
const MOST_STATES: usize = 1000;

/// The least probability of a word, and the least total.
const LEAST: Real = Real::MIN_POSITIVE;

/// A hidden Markov model.
///
/// ```
/// use asyn_core::{Model, StepwiseEm, Trainer};
/// use asyn_models::Hmm;
///
/// // Words 0 and 1 take turns with words 2 and 3.
/// let sentences: Vec<Box<[u32]>> = (0..40).map(|i| [i % 2, 2 + i / 2 % 2, 1, 3].into()).collect();
/// let hmm = Hmm::new(2, 4)?;
/// let update = StepwiseEm { multinomials: hmm.multinomials(), ..StepwiseEm::default() };
/// let trainer = Trainer::builder().update(update).accumulate(4).passes(30).build()?;
/// let mut weights = hmm.initial_weights(1);
/// let outcome = trainer.fit(&hmm, &sentences, &mut weights, &mut ())?;
/// assert!(outcome.passes[29].loss < outcome.passes[0].loss);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Hmm {
    n_states: usize,
    n_words: usize,
    layout: Layout,
    emissions: TensorId,
    totals: TensorId,
    transitions: TensorId,
    initial: TensorId,
}

/// Returns the sum of counts.
fn sum(counts: &[Real]) -> Real {
    // Eight running sums, so that the additions do not wait for each other.
    let (chunks, rest) = counts.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, count)| *sum += count);
    }
    sums.iter().chain(rest).sum()
}

/// The scratch memory of one worker.
#[derive(Debug)]
pub struct HmmWorkspace {
    chain: Chain,
    /// For each token, the row of its word.
    rows: Vec<Real>,
    ends: Vec<u32>,
    words: Vec<u32>,
    /// For each state, 1 by its total.
    factors: Vec<Real>,
    /// Probabilities.
    initial: Vec<Real>,
    transitions: Vec<Real>,
    stored: Vec<Real>,
    pairs: Vec<Real>,
    /// The version of the whole tensors from which these are.
    version: Option<u64>,
}

impl Hmm {
    /// Makes a model of so many states and words.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if there are no states, or more than 1000.
    pub fn new(n_states: usize, n_words: usize) -> Result<Self> {
        if n_states == 0 || n_states > MOST_STATES {
            return Err(Error::Labels { most: MOST_STATES, actual: n_states });
        }
        let mut layout = Layout::default();
        let totals = layout.dense("totals", 1, n_states);
        let initial = layout.dense("initial", 1, n_states);
        let transitions = layout.dense("transitions", n_states, n_states);
        let emissions = layout.rows("emissions", n_words, n_states);
        Ok(Self { n_states, n_words, layout, emissions, totals, transitions, initial })
    }

    /// Returns the number of states.
    #[must_use]
    pub fn n_states(&self) -> usize {
        self.n_states
    }

    /// Returns the number of words.
    #[must_use]
    pub fn n_words(&self) -> usize {
        self.n_words
    }

    /// Returns the distributions whose totals are weights, as update rules of EM need them.
    #[must_use]
    pub fn multinomials(&self) -> Vec<Multinomials> {
        let (counts, totals) = (self.emissions, self.totals);
        vec![Multinomials { counts, totals, groups: Groups::Columns }]
    }

    /// Fills what does not depend on words, unless it is of this version.
    fn read_whole(&self, worker: &Worker<'_>, workspace: &mut HmmWorkspace) {
        if workspace.version == Some(worker.whole_version()) {
            return;
        }
        workspace.version = Some(worker.whole_version());
        let HmmWorkspace { stored, factors, initial, transitions, .. } = workspace;
        let n = self.n_states;
        let mut read = |tensor: TensorId, out: &mut Vec<Real>, len: usize| {
            stored.resize(self.layout.tensor(tensor).stored_len(), 0.0);
            worker.read_whole(tensor, stored);
            out.clear();
            out.extend_from_slice(&stored[..len]);
        };
        read(self.totals, factors, n);
        factors.iter_mut().for_each(|total| *total = 1.0 / total.max(LEAST));
        read(self.initial, initial, n);
        read(self.transitions, transitions, n * n);
        for row in std::iter::once(&mut initial[..]).chain(transitions.chunks_mut(n)) {
            let factor = 1.0 / sum(row).max(LEAST);
            row.iter_mut().for_each(|count| *count *= factor);
        }
        workspace.chain.set_edge_probabilities(&workspace.transitions);
    }

    /// Forgets the posteriors of transitions.
    fn clear_pairs(&self, workspace: &mut HmmWorkspace) {
        workspace.pairs.resize(self.n_states * self.n_states, 0.0);
        workspace.chain.add_pairs(&mut workspace.pairs);
        workspace.pairs.fill(0.0);
    }

    /// Fills the node rows of the chain with the posteriors of a sentence, and returns the logarithm
    /// of its probability. A word out of range says nothing.
    ///
    /// The posteriors of transitions add up in the chain, and in `pairs` where the chain underflows.
    fn expect(&self, worker: &Worker<'_>, words: &[u32], workspace: &mut HmmWorkspace) -> f64 {
        self.read_whole(worker, workspace);
        self.fill_nodes(worker, words, workspace);
        if let Some(log) = workspace.chain.run_probabilities() {
            return log;
        }
        // The kernel leaves nothing to go on with.
        self.fill_nodes(worker, words, workspace);
        let (transitions, pairs) = (&workspace.transitions, &mut workspace.pairs);
        let width = workspace.chain.width();
        reference::expect(workspace.chain.nodes_mut(), width, transitions, pairs)
    }

    /// Fills the node rows with the probabilities of words, by those of initial states at the first
    /// token.
    fn fill_nodes(&self, worker: &Worker<'_>, words: &[u32], workspace: &mut HmmWorkspace) {
        let HmmWorkspace { chain, rows, ends, words: known, factors, initial, .. } = workspace;
        let n = self.n_states;
        let is_known = |word: u32| (word as usize) < self.n_words;
        known.clear();
        known.extend(words.iter().copied().filter(|&word| is_known(word)));
        ends.clear();
        ends.extend(0..=u32::try_from(known.len()).expect("a sentence is short"));
        let width = n.next_multiple_of(8);
        rows.resize(known.len() * width, 0.0);
        worker.sum_lists(self.emissions, Lists::new(known, ends), rows, width);
        chain.resize(words.len());
        let mut rows = rows.chunks_exact(width);
        for (token, &word) in words.iter().enumerate() {
            let (node, padding) = chain.node_mut(token).split_at_mut(n);
            padding.fill(0.0);
            match is_known(word).then(|| rows.next()).flatten() {
                Some(row) => {
                    for ((node, count), factor) in node.iter_mut().zip(row).zip(&*factors) {
                        *node = count * factor;
                    }
                }
                None => node.fill(1.0),
            }
            if token == 0 {
                node.iter_mut().zip(&*initial).for_each(|(node, p)| *node *= p);
            }
            node.iter_mut().for_each(|node| *node = node.max(LEAST));
        }
    }
}

impl Model for Hmm {
    type Example = Box<[u32]>;
    type Workspace = HmmWorkspace;

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn workspace(&self) -> HmmWorkspace {
        HmmWorkspace {
            chain: Chain::new(self.n_states),
            rows: Vec::new(),
            ends: Vec::new(),
            words: Vec::new(),
            factors: Vec::new(),
            initial: Vec::new(),
            transitions: Vec::new(),
            stored: Vec::new(),
            pairs: Vec::new(),
            version: None,
        }
    }

    fn touched(
        &self,
        batch: &Batch<'_, Box<[u32]>>,
        _workspace: &mut HmmWorkspace,
        out: &mut Touched,
    ) {
        for words in batch.examples() {
            out.add_rows(self.emissions, words);
        }
        for tensor in [self.totals, self.initial, self.transitions] {
            out.add_whole(tensor);
        }
    }

    fn gradient(
        &self,
        worker: &Worker<'_>,
        batch: &Batch<'_, Box<[u32]>>,
        workspace: &mut HmmWorkspace,
        gradient: &mut Gradient,
    ) -> f64 {
        let n = self.n_states;
        let mut loss = 0.0;
        let add = |sum: &mut [Real], values: &[Real]| {
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        };
        self.clear_pairs(workspace);
        for words in batch.examples().filter(|words| !words.is_empty()) {
            loss -= self.expect(worker, words, workspace);
            let chain = &workspace.chain;
            add(&mut gradient.sum(&self.layout, self.initial)[..n], &chain.node(0)[..n]);
            let totals = &mut gradient.sum(&self.layout, self.totals)[..n];
            (0..words.len()).for_each(|token| add(totals, &chain.node(token)[..n]));
            for (token, word) in words.iter().enumerate() {
                let row = &chain.node(token)[..n.next_multiple_of(8)];
                gradient.add_rows(self.emissions, std::slice::from_ref(word), row);
            }
        }
        workspace.chain.add_pairs(&mut workspace.pairs);
        add(gradient.sum(&self.layout, self.transitions), &workspace.pairs);
        loss
    }

    /// Returns probabilities in proportion to `exp(1 + a)` with `a` uniform from 0 to 1 (Liang and
    /// Klein, NAACL 2009), with a total of 1 for each distribution.
    fn initial_weights(&self, seed: u64) -> SharedWeights {
        let mut weights = SharedWeights::zeroed(self.layout.len());
        for id in self.layout.ids().filter(|&id| id != self.totals) {
            let stream = u64::try_from(id.index()).expect("a model has few tensors");
            let mut random = SplitMix64::stream(seed, Purpose::Model, stream, 0);
            #[allow(clippy::cast_possible_truncation, reason = "weights are f32")]
            let mut matrix = self.layout.export(&weights, id).mapv(|_| {
                let a: f64 = f64::from(random.unit());
                (1.0 + a).exp() as Real
            });
            let by_column = id == self.emissions;
            let lanes = if by_column { matrix.columns_mut() } else { matrix.rows_mut() };
            for mut lane in lanes {
                let total: Real = lane.iter().sum();
                lane.mapv_inplace(|value| value / total);
            }
            self.layout.import(&mut weights, id, &matrix);
        }
        for multinomials in self.multinomials() {
            multinomials.sum_up(&self.layout, &mut weights);
        }
        weights
    }
}

/// The most probable state of each token on its own.
impl Decode for Hmm {
    type Output = Vec<u16>;

    fn decode(
        &self,
        worker: &Worker<'_>,
        words: &Box<[u32]>,
        workspace: &mut HmmWorkspace,
        out: &mut Vec<u16>,
    ) {
        out.clear();
        if words.is_empty() {
            return;
        }
        self.clear_pairs(workspace);
        self.expect(worker, words, workspace);
        for token in 0..words.len() {
            let node = &workspace.chain.node(token)[..self.n_states];
            // Of states that are as probable, the first one.
            let best = (0..self.n_states).rev().max_by(|&a, &b| node[a].total_cmp(&node[b]));
            out.push(u16::try_from(best.unwrap_or(0)).expect("states are few"));
        }
    }
}
