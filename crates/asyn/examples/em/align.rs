//! IBM Model 1 in both directions.

use std::error::Error;
use std::path::PathBuf;
use std::thread;

use asyn::core::{Batch, Gradient, Model, SharedWeights, StepSizes, Worker};
use asyn::data::{AlignmentScore, Bitext, GoldLinks, Links, Symmetry, read_gold};
use asyn::models::{Aligner, AlignmentPair, Cooccurrences, Distortion};

use crate::follow::{How, Moment, Trained};

/// The most words of a side of a pair that is trained on.
const MOST_WORDS: usize = 200;

/// Parallel text.
#[derive(Debug, clap::Args)]
pub(crate) struct Text {
    left: PathBuf,
    right: PathBuf,
    /// The links of the first pairs.
    #[arg(long, value_name = "FILE")]
    gold: Option<PathBuf>,
}

/// Returns the number of pairs, that of pairs of words in both directions, and the moments.
pub(crate) fn run(text: &Text, how: &How) -> Result<(usize, u64, Vec<Moment>), Box<dyn Error>> {
    let bitext = Bitext::open_pair(&text.left, &text.right)?;
    let gold = match &text.gold {
        Some(path) => read_gold(path, None)?,
        None => Vec::new(),
    };
    if gold.len() > bitext.n_pairs() {
        return Err("there are more gold links than pairs".into());
    }
    let [forward, backward] = [true, false].map(|is_forward| direction(&bitext, is_forward));
    let (forward, backward) = (forward?, backward?);
    let (of_forward, forward_links) = forward.follow(how, gold.len())?;
    let (of_backward, backward_links) = backward.follow(how, gold.len())?;
    let n_cells = forward.n_cells() + backward.n_cells();
    let both = of_forward.iter().zip(&of_backward).enumerate().map(|(at, (a, b))| {
        let joined = score(&bitext, &gold, [&forward_links[at], &backward_links[at]]);
        Moment {
            passes: a.passes,
            seconds: a.seconds + b.seconds,
            log_likelihood: a.log_likelihood + b.log_likelihood,
            score: joined.aer().filter(|_| !gold.is_empty()).map(|aer| 100.0 * aer),
            v_measure: None,
        }
    });
    Ok((forward.pairs.len(), n_cells, both.collect()))
}

/// One direction: the first `n` of `of_text` are the pairs of the text, those with gold links.
struct Direction {
    is_forward: bool,
    aligner: Aligner,
    pairs: Vec<AlignmentPair>,
    /// For each pair of the text its number among the pairs, if it is trained on.
    of_text: Vec<Option<usize>>,
}

fn direction(bitext: &Bitext, is_forward: bool) -> Result<Direction, Box<dyn Error>> {
    let fits = |n: usize| (1..=MOST_WORDS).contains(&n);
    let mut used = Vec::new();
    let mut of_text = Vec::new();
    for pair in 0..bitext.n_pairs() {
        let (left, right) = bitext.lengths(pair);
        let is_used = fits(left) && fits(right);
        of_text.push(is_used.then_some(used.len()));
        if is_used {
            used.push(pair);
        }
    }
    let (source, target) = match is_forward {
        true => (bitext.left(), bitext.right()),
        false => (bitext.right(), bitext.left()),
    };
    let n_words = (source.words().len(), target.words().len());
    let (table, pairs) = Cooccurrences::build(n_words, used.len(), |at| {
        (source.sentence(used[at]), target.sentence(used[at]))
    })?;
    let aligner = Aligner::new(table, Distortion::Uniform);
    Ok(Direction { is_forward, aligner, pairs, of_text })
}

/// What was seen of a run: moments, and at each of them the links of some pairs.
type Followed = (Vec<Moment>, Vec<Vec<Links>>);

impl Direction {
    fn n_cells(&self) -> u64 {
        self.pairs.iter().map(|pair| ((pair.n_source() + 1) * pair.n_target()) as u64).sum()
    }

    /// Trains; returns for each moment the links of the first `n_gold` pairs of the text too.
    fn follow(&self, how: &How, n_gold: usize) -> Result<Followed, Box<dyn Error>> {
        let mut links = Vec::new();
        let trained = Trained {
            model: &self.aligner,
            examples: &self.pairs,
            multinomials: self.aligner.multinomials(),
            sizes: StepSizes::Window,
            weights: self.aligner.initial_weights(1),
        };
        let look = |weights: &SharedWeights| {
            links.push((0..n_gold).map(|pair| self.links(weights, pair)).collect());
            let (passes, seconds) = (0.0, 0.0);
            let log_likelihood = log_likelihood(&self.aligner, &self.pairs, weights);
            Moment { passes, seconds, log_likelihood, score: None, v_measure: None }
        };
        let moments = how.follow(trained, look)?;
        Ok((moments, links))
    }

    /// Returns the most probable link of each target word of a pair of the text.
    fn links(&self, weights: &SharedWeights, pair: usize) -> Links {
        let Some(at) = self.of_text[pair] else { return Links::default() };
        let pair = &self.pairs[at];
        let mut posteriors = Vec::new();
        self.aligner.posteriors(weights, pair, &mut posteriors);
        let (n_target, mut links) = (pair.n_target(), Vec::new());
        for target in 0..n_target {
            // Of source words that are as probable, the first one; the empty word is row 0.
            let (mut best, mut most) = (0, 0.0);
            for row in 0..=pair.n_source() {
                if posteriors[row * n_target + target] > most {
                    (best, most) = (row, posteriors[row * n_target + target]);
                }
            }
            let number = |place: usize| u32::try_from(place).expect("sentences are short");
            match (best, self.is_forward) {
                (0, _) => {}
                (row, true) => links.push((number(row - 1), number(target))),
                (row, false) => links.push((number(target), number(row - 1))),
            }
        }
        Links::new(links)
    }
}

fn score(bitext: &Bitext, gold: &[GoldLinks], both: [&Vec<Links>; 2]) -> AlignmentScore {
    let mut score = AlignmentScore::default();
    for (pair, gold) in gold.iter().enumerate() {
        let [forward, backward] = both.map(|links| &links[pair]);
        let joined = Symmetry::GrowDiagFinal.join(forward, backward, bitext.lengths(pair));
        score.add(gold, &joined);
    }
    score
}

/// Returns the log-likelihood of all examples, which as many threads as there are cores compute.
pub(crate) fn log_likelihood<M: Model>(
    model: &M,
    examples: &[M::Example],
    weights: &SharedWeights,
) -> f64 {
    let n_threads = thread::available_parallelism().map_or(1, usize::from);
    let n = u32::try_from(examples.len()).expect("example ids are u32");
    let ids: Vec<u32> = (0..n).collect();
    let part = |ids: &[u32]| {
        let worker = Worker::reader(model.layout(), weights);
        let (mut workspace, mut gradient) = (model.workspace(), Gradient::new(0.0));
        let mut loss = 0.0;
        for id in ids.chunks(1) {
            gradient.clear();
            gradient.clear_sums();
            let batch = Batch::new(0, 0, id, examples);
            loss += model.gradient(&worker, &batch, &mut workspace, &mut gradient);
        }
        -loss
    };
    thread::scope(|scope| {
        let parts = ids.chunks(ids.len().div_ceil(n_threads).max(1));
        let threads: Vec<_> = parts.map(|ids| scope.spawn(move || part(ids))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a model does not panic")).sum()
    })
}
