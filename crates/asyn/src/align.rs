//! `asyn align` and `asyn align train`.

use std::collections::BTreeMap;
use std::io::{Write as _, stdout};
use std::num::NonZeroU32;
use std::path::Path;
use std::thread;

use asyn::core::{Multinomials, Observer, Outcome, Strategy, Trainer, Update};
use asyn::data::{Bitext, Side, Words};
use asyn::models::Distortion;
use asyn::{AlignmentTask, Direction, WordAligner};

use crate::align_args::{AlignArgs, AlignTrainArgs, AlignVerb, ApplyArgs};
use crate::defaults;
use crate::em_run::{EmRun, Trainee};
use crate::failure::Failure;
use crate::progress::Talk;
use crate::settings::all_cores;

/// The share of known words below which a text is taken for one of other languages.
const LEAST_KNOWN: f64 = 0.25;

/// Trains an aligner, or aligns with one.
pub(crate) fn run(args: &AlignArgs, talk: Talk) -> Result<(), Failure> {
    match &args.verb {
        Some(AlignVerb::Train(args)) => train(args, talk),
        None => align(&args.apply),
    }
}

fn open(file: &Path, right: Option<&Path>) -> Result<Bitext, Failure> {
    Ok(match right {
        Some(right) => Bitext::open_pair(file, right)?,
        None => Bitext::open(file)?,
    })
}

fn train(args: &AlignTrainArgs, talk: Talk) -> Result<(), Failure> {
    let bitext = open(&args.file, args.right.as_deref())?;
    let most = args.max_words.get();
    let is_usable = |(left, right): (usize, usize)| left.min(right) > 0 && left.max(right) <= most;
    if !(0..bitext.n_pairs()).any(|pair| is_usable(bitext.lengths(pair))) {
        let problem = format!("expected pairs of 1 to {most} words a side, found none");
        return Err(Failure::Data(format!("{}: {problem}", args.file.display())));
    }
    tell_of(&bitext, most, talk);
    let mut aligner = WordAligner::new(&bitext);
    let mut stopped_in = None;
    for &direction in args.direction.directions() {
        let mut task = AlignmentTask::new(&bitext, direction, Distortion::Uniform, most)?;
        // A direction that is not trained any more keeps the counts that training starts from.
        let first = if args.distortion() == Distortion::Uniform { 0 } else { args.first_passes };
        let mut n_steps = 0;
        for (distortion, passes) in
            [(Distortion::Uniform, first), (args.distortion(), args.passes.get())]
        {
            task = task.with_distortion(distortion);
            if passes > 0 && stopped_in.is_none() {
                let run = run_of(args, direction, &task, passes, n_steps, talk);
                n_steps +=
                    u64::from(passes) * task.n_pairs().div_ceil(run.accumulate as usize) as u64;
                if run.train(&mut task)? {
                    stopped_in = Some(direction);
                }
            }
        }
        aligner.set(direction, task);
    }
    let about = BTreeMap::from([
        ("passes".to_owned(), args.passes.to_string()),
        ("pairs".to_owned(), bitext.n_pairs().to_string()),
    ]);
    aligner.save(&args.model, about)?;
    let model = args.model.display();
    talk.say(&format!("{model}: {} pairs of words", aligner.n_counts()));
    match stopped_in {
        None => Ok(()),
        Some(direction) => Err(Failure::Stopped(format!(
            "stopped while {} was trained; {model} has the counts so far",
            direction.name()
        ))),
    }
}

/// Says what the text is like, and what of it is not used.
fn tell_of(bitext: &Bitext, most: usize, talk: Talk) {
    let side = |side: &Side| format!("{} words of {}", side.n_tokens(), side.words().len());
    let (left, right) = (side(bitext.left()), side(bitext.right()));
    talk.say(&format!("{} pairs: {left} on the left, {right} on the right", bitext.n_pairs()));
    let lengths = || (0..bitext.n_pairs()).map(|pair| bitext.lengths(pair));
    let n_empty = lengths().filter(|&(left, right)| left == 0 || right == 0).count();
    if n_empty > 0 {
        talk.warn(&format!("{n_empty} pairs with an empty side are left out of training"));
    }
    let n_long = lengths().filter(|&(left, right)| left.max(right) > most).count();
    if n_long > 0 {
        talk.warn(&format!(
            "{n_long} pairs with more than {most} words on a side are left out of training"
        ));
    }
}

impl Trainee for AlignmentTask {
    fn multinomials(&self) -> Vec<Multinomials> {
        self.aligner().multinomials()
    }

    fn fit<S: Strategy, U: Update>(
        &mut self,
        trainer: &Trainer<S, U>,
        observer: &mut impl Observer,
    ) -> Result<Outcome, asyn::Error> {
        AlignmentTask::fit(self, trainer, observer)
    }
}

/// Returns the run of `passes` passes over a direction, from the step of a number on.
fn run_of(
    args: &AlignTrainArgs,
    direction: Direction,
    task: &AlignmentTask,
    passes: u32,
    first_step: u64,
    talk: Talk,
) -> EmRun {
    let model = match task.aligner().distortion() {
        Distortion::Uniform => "model 1",
        Distortion::Diagonal { .. } => "diagonal",
        Distortion::Hmm { .. } => "hmm",
    };
    let by_size = u32::try_from(task.n_pairs() / 100).unwrap_or(u32::MAX);
    let by_size = by_size.clamp(1, defaults::MOST_PAIRS_A_STEP);
    EmRun {
        verb: "align train",
        name: format!("{}, {model}, pass", direction.name()),
        work: (task.n_cells(), "cells"),
        strategy: args.strategy,
        update: args.update,
        power: args.power,
        first_step,
        threads: args.threads,
        passes,
        seed: args.seed,
        accumulate: args.accumulate.map_or(by_size, NonZeroU32::get),
        replica_rows: None,
        talk,
    }
}

/// Prints the links of each pair.
fn align(args: &ApplyArgs) -> Result<(), Failure> {
    let model = args.model.as_deref().expect("clap asks for it");
    let (aligner, _) = WordAligner::load(model)?;
    let bitext = open(&args.file, args.right.as_deref())?;
    check_languages(&aligner, &bitext, args)?;
    let n_threads = args.threads.unwrap_or(all_cores()).get();
    let n_pairs = bitext.n_pairs();
    let part = n_pairs.div_ceil(n_threads).max(1);
    let texts: Vec<String> = thread::scope(|scope| {
        let workers: Vec<_> = (0..n_pairs)
            .step_by(part)
            .map(|first| {
                let pairs = first..(first + part).min(n_pairs);
                let (aligner, bitext) = (&aligner, &bitext);
                scope.spawn(move || pairs.map(|pair| line(aligner, bitext, pair, args)).collect())
            })
            .collect();
        let text = |worker: thread::ScopedJoinHandle<'_, String>| worker.join();
        workers
            .into_iter()
            .map(|worker| text(worker).unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut output = stdout().lock();
    texts
        .iter()
        .try_for_each(|text| output.write_all(text.as_bytes()))
        .map_err(|source| Failure::Output { source })
}

/// Returns the line of a pair.
fn line(aligner: &WordAligner, bitext: &Bitext, pair: usize, args: &ApplyArgs) -> String {
    let words = |side: &'_ Side| -> Vec<String> {
        side.sentence(pair).iter().map(|&id| side.words().get(id).to_owned()).collect()
    };
    let (left, right) = (words(bitext.left()), words(bitext.right()));
    let left: Vec<&str> = left.iter().map(String::as_str).collect();
    let right: Vec<&str> = right.iter().map(String::as_str).collect();
    let links = aligner.align(&left, &right, args.sym.into());
    if !args.posteriors {
        return format!("{links}\n");
    }
    let probabilities = aligner.probabilities(&left, &right, &links);
    let items = links.iter().zip(probabilities);
    let items = items.map(|((left, right), p)| format!("{left}-{right}:{p:.4}"));
    items.collect::<Vec<_>>().join(" ") + "\n"
}

/// Refuses a text whose words the model hardly knows, or knows better on the other side.
fn check_languages(
    aligner: &WordAligner,
    bitext: &Bitext,
    args: &ApplyArgs,
) -> Result<(), Failure> {
    let (left, right) = aligner.words();
    let known = |side, words| share_known(side, bitext.n_pairs(), words);
    let file = args.file.display();
    let sides = [known(bitext.left(), left), known(bitext.right(), right)];
    let swapped = [known(bitext.left(), right), known(bitext.right(), left)];
    if swapped[0] > sides[0] && swapped[1] > sides[1] {
        let problem = "the sides are the other way round than those of the model";
        return Err(Failure::Data(format!("{file}: {problem}")));
    }
    for (name, known) in ["left", "right"].into_iter().zip(sides) {
        if known < LEAST_KNOWN {
            return Err(Failure::Data(format!(
                "{file}: the model knows {:.1} % of the words on the {name}: is it one of these languages?",
                100.0 * known
            )));
        }
    }
    Ok(())
}

/// Returns the share of the words of a text that are in a vocabulary.
fn share_known(side: &Side, n_pairs: usize, words: &Words) -> f64 {
    let is_known: Vec<bool> = side.words().iter().map(|word| words.find(word).is_some()).collect();
    let ids = (0..n_pairs).flat_map(|pair| side.sentence(pair));
    let n_known = ids.filter(|&&id| is_known[id as usize]).count();
    if side.n_tokens() == 0 { 1.0 } else { n_known as f64 / side.n_tokens() as f64 }
}
