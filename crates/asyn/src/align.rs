//! `asyn align` and `asyn align train`.

use std::collections::BTreeMap;
use std::io::{Write as _, stdout};
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;

use asyn::core::{AsynGrad, BatchEm, Event, Serial, StepwiseEm, Strategy, Trainer, Update};
use asyn::data::{Bitext, Side, Words};
use asyn::models::Distortion;
use asyn::sync::{Locked, Minibatch, RoundRobin};
use asyn::{AlignmentTask, Direction, WordAligner};

use crate::align_args::{AlignArgs, AlignTrainArgs, AlignVerb, ApplyArgs, EmChoice};
use crate::choice::StrategyChoice;
use crate::defaults;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
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
    let interrupt = Interrupt::listen();
    let mut aligner = WordAligner::new(&bitext);
    let mut stopped_in = None;
    for &direction in args.direction.directions() {
        let mut task = AlignmentTask::new(&bitext, direction, Distortion::Uniform, most)?;
        // A direction that is not trained any more keeps the counts that training starts from.
        let run = Run { args, direction, interrupt: &interrupt, talk };
        let first = if args.distortion() == Distortion::Uniform { 0 } else { args.first_passes };
        let mut n_steps = 0;
        for (distortion, passes) in
            [(Distortion::Uniform, first), (args.distortion(), args.passes.get())]
        {
            task = task.with_distortion(distortion);
            if passes > 0 && stopped_in.is_none() && run.fit(&mut task, passes, &mut n_steps)? {
                stopped_in = Some(direction);
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

/// What a run of a direction needs.
struct Run<'a> {
    args: &'a AlignTrainArgs,
    direction: Direction,
    interrupt: &'a Interrupt,
    talk: Talk,
}

impl Run<'_> {
    /// Trains a direction, from the step of a number on that then is that of the next one; returns
    /// whether the user ended it early.
    fn fit(
        &self,
        task: &mut AlignmentTask,
        passes: u32,
        n_steps: &mut u64,
    ) -> Result<bool, Failure> {
        let multinomials = task.aligner().multinomials();
        match self.args.update {
            EmChoice::Stepwise => {
                let (power, first_step) = (self.args.power, *n_steps);
                let per_pass = task.n_pairs().div_ceil(self.accumulate(task) as usize) as u64;
                *n_steps += u64::from(passes) * per_pass;
                self.with_update(task, passes, StepwiseEm { power, first_step, multinomials })
            }
            EmChoice::Batch => self.with_update(task, passes, BatchEm { multinomials }),
        }
    }

    fn with_update(
        &self,
        task: &mut AlignmentTask,
        passes: u32,
        update: impl Update,
    ) -> Result<bool, Failure> {
        match self.args.strategy {
            StrategyChoice::Serial => self.with_strategy(task, passes, update, Serial),
            StrategyChoice::Asyngrad => self.with_strategy(task, passes, update, AsynGrad),
            StrategyChoice::Locked => self.with_strategy(task, passes, update, Locked),
            StrategyChoice::RoundRobin => self.with_strategy(task, passes, update, RoundRobin),
            StrategyChoice::Minibatch => {
                self.with_strategy(task, passes, update, Minibatch::default())
            }
            StrategyChoice::Bounded => {
                let problem = "--strategy bounded is not for align train".to_owned();
                Err(Failure::Usage(problem))
            }
        }
    }

    /// Returns the number of pairs of a step.
    fn accumulate(&self, task: &AlignmentTask) -> u32 {
        let by_size = u32::try_from(task.n_pairs() / 100).unwrap_or(u32::MAX);
        let by_size = by_size.clamp(1, defaults::MOST_PAIRS_A_STEP);
        self.args.accumulate.map_or(by_size, NonZeroU32::get)
    }

    fn with_strategy(
        &self,
        task: &mut AlignmentTask,
        passes: u32,
        update: impl Update,
        strategy: impl Strategy,
    ) -> Result<bool, Failure> {
        let args = self.args;
        let accumulate = self.accumulate(task);
        // Whole steps, so that only the last one of a pass is shorter.
        let steps = (defaults::SEGMENT / accumulate as usize).max(1);
        let trainer = Trainer::builder()
            .strategy(strategy)
            .update(update)
            .threads(args.threads.unwrap_or(all_cores()).get())
            .passes(passes)
            .seed(args.seed)
            .accumulate(accumulate)
            .segment_len(steps * accumulate as usize)
            .keep_good(false)
            .build()
            .map_err(asyn::Error::from)?;
        let name = self.direction.name();
        let model = match task.aligner().distortion() {
            Distortion::Uniform => "model 1",
            Distortion::Diagonal { .. } => "diagonal",
            Distortion::Hmm { .. } => "hmm",
        };
        let n_cells = task.n_cells();
        let mut watch = |event: Event<'_, '_>| {
            if let Event::PassEnded { report, .. } = &event {
                let seconds = report.train_time.as_secs_f64();
                self.talk.say(&format!(
                    "{name}, {model}, pass {}: log-likelihood {:.1}, {seconds:.3} s, {:.1} M cells/s",
                    report.pass,
                    -report.loss,
                    n_cells as f64 / seconds / 1e6
                ));
                if let Some(lost) = report.lost_mass {
                    self.talk.detail(&format!("lost mass {lost:.1e}"));
                }
            }
            match self.interrupt.is_asked() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let outcome = task.fit(&trainer, &mut watch)?;
        Ok(outcome.stopped && self.interrupt.is_asked())
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
