//! The label sequences of a sentence, the most probable first.
//!
//! Best-first search from the last token backwards (Soong and Huang, 1991: a
//! tree-trellis search). With
//!
//! ```text
//! best[0] = node[0]
//! best[i][y] = node[i][y] + max over y' of best[i-1][y'] + edge[i][y'][y]
//! ```
//!
//! the best completion of an end that begins with label `y` at token `i` is known
//! exactly, so the search never visits an end that is not part of an answer: an
//! answer costs `T` steps of `Y` candidates each. The other candidates of its steps
//! wait until a further answer is asked for.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::lattice::Lattice;

/// A label sequence with its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// The label of each token.
    pub labels: Vec<u16>,
    /// The score, a sum of weights.
    pub score: f64,
    /// The probability among the sequences that are allowed.
    pub probability: f64,
}

/// The search; an iterator over all allowed sequences, from the most to the least probable.
#[derive(Debug)]
pub struct BestFirst<'l> {
    lattice: &'l Lattice,
    /// `T × Y`: the score of the best beginning up to a label.
    best: Vec<f64>,
    /// The labels of ends of sequences, each with the place of the one behind it.
    links: Vec<(u16, usize)>,
    heap: BinaryHeap<End>,
    /// The ends on the way to the last answer, each with the label in front of it there.
    way: Vec<(End, u16)>,
}

/// An end of sequences.
#[derive(Debug, Clone, Copy)]
struct End {
    /// The score of the best sequence with this end.
    bound: f64,
    /// The score of what is behind the first label of the end, and of the edge to it.
    behind: f64,
    token: usize,
    label: u16,
    /// Where the label is in the links.
    link: usize,
}

/// The place of the label behind the last one.
const NOWHERE: usize = usize::MAX;

impl Lattice {
    /// Returns the allowed label sequences, the most probable first; each is searched for when it is
    /// asked for.
    ///
    /// Of equal ones, the first is that of the smaller label at the last token in which they differ.
    pub fn best_first(&self) -> BestFirst<'_> {
        BestFirst::new(self)
    }
}

impl<'l> BestFirst<'l> {
    #[allow(clippy::cast_possible_truncation, reason = "a model has at most 4096 labels")]
    fn new(lattice: &'l Lattice) -> Self {
        let scores = lattice.scores();
        let (len, n) = (scores.len(), scores.n_labels);
        let mut best: Vec<f64> = (0..n).map(|label| scores.node(0, label)).collect();
        for i in 1..len {
            best.resize((i + 1) * n, f64::NEG_INFINITY);
            let (before, row) = best.split_at_mut(i * n);
            for (previous, &before) in before[(i - 1) * n..].iter().enumerate() {
                for (best, &edge) in row.iter_mut().zip(scores.edge_row(i, previous)) {
                    let candidate = before + f64::from(edge);
                    *best = if candidate > *best { candidate } else { *best };
                }
            }
            row.iter_mut()
                .zip(scores.node_row(i))
                .for_each(|(best, &node)| *best += f64::from(node));
        }
        let mut search =
            Self { lattice, best, links: Vec::new(), heap: BinaryHeap::new(), way: Vec::new() };
        for label in 0..n {
            search.push(len - 1, label as u16, 0.0, NOWHERE);
        }
        search
    }

    /// Adds the end that begins with `label`, if a sequence with it is allowed.
    fn push(&mut self, token: usize, label: u16, behind: f64, next: usize) {
        if let Some(end) = self.end(token, label, behind, next) {
            self.heap.push(end);
        }
    }

    /// Returns the end that begins with `label`, if a sequence with it is allowed.
    fn end(&mut self, token: usize, label: u16, behind: f64, next: usize) -> Option<End> {
        let n = self.lattice.scores().n_labels;
        let bound = self.best[token * n + usize::from(label)] + behind;
        let link = self.links.len();
        (bound > f64::NEG_INFINITY).then(|| {
            self.links.push((label, next));
            End { bound, behind, token, label, link }
        })
    }

    /// Adds the ends that the last answer went past.
    #[allow(clippy::cast_possible_truncation, reason = "a model has at most 4096 labels")]
    fn push_siblings(&mut self) {
        let scores = self.lattice.scores();
        let mut way = std::mem::take(&mut self.way);
        for (end, taken) in way.drain(..) {
            let behind = end.behind + scores.node(end.token, usize::from(end.label));
            for previous in (0..scores.n_labels as u16).filter(|&previous| previous != taken) {
                let edge = scores.edge(end.token, usize::from(previous), usize::from(end.label));
                self.push(end.token - 1, previous, behind + edge, end.link);
            }
        }
        self.way = way;
    }

    /// Returns the label in front of an end in its best completion, and the score behind it.
    #[allow(clippy::cast_possible_truncation, reason = "a model has at most 4096 labels")]
    fn best_previous(&self, end: &End) -> (u16, f64) {
        let scores = self.lattice.scores();
        let (token, label) = (end.token - 1, usize::from(end.label));
        let node = end.behind + scores.node(end.token, label);
        let best = &self.best[token * scores.n_labels..][..scores.n_labels];
        let (mut found, mut largest) = ((0, f64::NEG_INFINITY), f64::NEG_INFINITY);
        for (previous, &best) in best.iter().enumerate() {
            let behind = node + scores.edge(end.token, previous, label);
            if best + behind > largest {
                (found, largest) = ((previous as u16, behind), best + behind);
            }
        }
        found
    }
}

impl Iterator for BestFirst<'_> {
    type Item = Sequence;

    fn next(&mut self) -> Option<Sequence> {
        self.push_siblings();
        let mut end = self.heap.pop()?;
        while end.token > 0 {
            let (previous, behind) = self.best_previous(&end);
            self.way.push((end, previous));
            end = self.end(end.token - 1, previous, behind, end.link)?;
        }
        let mut labels = Vec::with_capacity(self.lattice.scores().len());
        let mut link = end.link;
        while link != NOWHERE {
            let (label, next) = self.links[link];
            labels.push(label);
            link = next;
        }
        let probability = self.lattice.probability(end.bound);
        Some(Sequence { labels, score: end.bound, probability })
    }
}

impl Ord for End {
    /// Orders by the best completion; of equal ones, the longer end and then the smaller label is
    /// the greater, which is the one that is visited first.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_bound = self.bound.total_cmp(&other.bound);
        let by_token = || other.token.cmp(&self.token);
        by_bound.then_with(by_token).then_with(|| other.label.cmp(&self.label))
    }
}

impl PartialOrd for End {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for End {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for End {}
