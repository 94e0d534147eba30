//! `asyn align train`.
//!
//! A text is trained on as a whole, or in parts that fit into memory. Parts are read anew in every
//! pass: the patterns of their words join what is there, they are trained on, and the smallest
//! counts are dropped.
//!
//! # Memory
//!
//! With `L` counts of a direction and a part of `P` pairs of words, a direction takes 8 L bytes; the
//! pattern of a part takes 8 P, joining both 16 L + 12 P, and a second copy of the pairs 4 P where
//! the directions agree. Of what is left beside the program itself, half is for counts, a quarter
//! for parts, and the rest for words and all else.

use std::collections::BTreeMap;
use std::path::Path;

use asyn::core::{Multinomials, Observer, Outcome, StepSizes, Strategy, Trainer, Update};
use asyn::data::{Bitext, Side};
use asyn::models::Distortion;
use asyn::{AgreementTask, AlignmentTask, Direction, WordAligner};

use crate::align::{open, open_parts};
use crate::align_args::{AlignTrainArgs, DirectionChoice, EmChoice};
use crate::defaults;
use crate::em_run::{EmRun, Ended, Trainee};
use crate::failure::Failure;
use crate::forecast::size;
use crate::machine;
use crate::progress::Talk;

/// What the program holds with hardly any text: 11 MB, and room for what the allocator keeps.
const PROGRAM: u64 = 20_000_000;

/// A number of passes with a model.
#[derive(Debug, Clone, Copy)]
struct Phase {
    distortion: Distortion,
    passes: u32,
    /// Whether it is of Model 1, to start from.
    is_first: bool,
}

/// A training in progress.
struct Training<'a> {
    args: &'a AlignTrainArgs,
    talk: Talk,
    aligner: WordAligner,
    prior: f32,
    /// The pairs of a step, once they are known.
    accumulate: Option<u32>,
    /// The passes of Model 1 of each direction.
    n_first: BTreeMap<Direction, u32>,
    /// The direction in which the user ended the training early.
    stopped_in: Option<Direction>,
    /// The log-likelihood of the last pass over all directions and parts.
    log_likelihood: f64,
}

/// Trains an aligner.
pub(crate) fn train(args: &AlignTrainArgs, talk: Talk) -> Result<(), Failure> {
    check_flags(args)?;
    let loaded = args.init.as_ref().map(WordAligner::load).transpose()?;
    let (before, about) = loaded.unzip();
    let directions = args.direction.directions();
    let settings = |direction: &Direction| before.as_ref()?.settings(*direction);
    let of_model = directions.iter().find_map(settings);
    let distortion = args.distortion(of_model.map(|it| it.distortion));
    let otherwise = if args.agreement { 0.0 } else { defaults::TRANSLATION_PRIOR };
    let prior = args.prior.or(of_model.map(|it| it.prior)).unwrap_or(otherwise);
    let n_first = |direction: &Direction| {
        let is_trained = settings(direction).is_some_and(|it| it.n_steps > 0);
        let otherwise = if is_trained { 0 } else { defaults::FIRST_PASSES };
        let n_first = args.first_passes.unwrap_or(otherwise);
        (*direction, if distortion == Distortion::Uniform { 0 } else { n_first })
    };
    let n_first: BTreeMap<_, _> = directions.iter().map(n_first).collect();
    let accumulate = about.as_ref().and_then(|about| about.get("accumulate")?.parse().ok());
    let mut training = Training {
        args,
        talk,
        aligner: before.unwrap_or_default(),
        prior,
        accumulate: args.accumulate.map(u32::from).or(accumulate),
        n_first,
        stopped_in: None,
        log_likelihood: 0.0,
    };
    let most_first = training.n_first.values().copied().max().unwrap_or(0);
    let phases = [
        Phase { distortion: Distortion::Uniform, passes: most_first, is_first: true },
        Phase { distortion, passes: args.passes.get(), is_first: false },
    ];
    match args.max_memory {
        None => training.whole(&phases)?,
        Some(limit) => training.in_parts(&phases, limit)?,
    }
    training.save()
}

/// Refuses flags that do not go together.
fn check_flags(args: &AlignTrainArgs) -> Result<(), Failure> {
    let replaces_counts = args.update != EmChoice::Stepwise;
    let mut files = [Some(&args.file), args.right.as_ref()].into_iter().flatten();
    let reads_stdin = files.any(|path| path == Path::new("-"));
    let problem = if args.agreement && args.direction != DirectionChoice::Both {
        "--agreement is for --direction both"
    } else if replaces_counts && args.init.is_some() {
        "--init goes on with --update stepwise: the other rules would forget what the model has"
    } else if replaces_counts && args.max_memory.is_some() {
        "--max-memory is for --update stepwise: the other rules would forget all parts but the last"
    } else if reads_stdin && args.max_memory.is_some() {
        "--max-memory reads a text in every pass anew, so it must be a file"
    } else {
        return Ok(());
    };
    Err(Failure::Usage(problem.to_owned()))
}

impl Training<'_> {
    /// Trains on a text that fits into memory.
    fn whole(&mut self, phases: &[Phase]) -> Result<(), Failure> {
        let bitext = open(&self.args.file, self.args.right.as_deref())?;
        if !self.has_pairs(&bitext) {
            return Err(self.nothing());
        }
        tell_of(&bitext, self.args.max_words.get(), self.talk);
        self.part(&bitext, phases, true, self.talk, 0)
    }

    /// Trains on a text of any size, part by part.
    fn in_parts(&mut self, phases: &[Phase], limit: u64) -> Result<(), Failure> {
        let n_directions = self.args.direction.directions().len() as u64;
        let of_part = if self.args.agreement { 40 } else { 24 };
        let limit = limit.saturating_sub(PROGRAM).max(limit / 4);
        let n_cells = usize::try_from(limit / 4 / of_part).unwrap_or(usize::MAX);
        let n_counts = usize::try_from(limit / 2 / (16 + 8 * n_directions)).unwrap_or(usize::MAX);
        // Lines a part would be too many, but for those who want to know more.
        let talk = if self.talk == Talk::Verbose { Talk::Verbose } else { Talk::Quiet };
        let mut is_new = true;
        for phase in phases {
            for pass in 0..phase.passes {
                let mut text = open_parts(&self.args.file, self.args.right.as_deref())?;
                let (mut n_parts, mut n_pairs, mut n_pruned) = (0, 0, 0);
                self.log_likelihood = 0.0;
                while self.stopped_in.is_none()
                    && let Some(part) = text.next(n_cells, true)?
                {
                    if self.has_pairs(&part) {
                        let one = [Phase { passes: 1, ..*phase }];
                        self.part(&part, &one, is_new, talk, pass)?;
                        n_pruned += self.aligner.prune(n_counts);
                        n_parts += 1;
                        n_pairs += part.n_pairs();
                    }
                }
                if n_parts == 0 {
                    return Err(self.nothing());
                }
                is_new = false;
                let model = name_of(phase.distortion);
                self.talk.say(&format!(
                    "{model}, pass {}: {n_pairs} pairs in {n_parts} parts, log-likelihood {:.1}, \
                     {n_pruned} pairs of words pruned",
                    pass + 1,
                    self.log_likelihood
                ));
                if self.stopped_in.is_some() {
                    return Ok(());
                }
            }
        }
        if let Some(peak) = machine::peak_memory_bytes() {
            self.talk.say(&format!("{} at most", size(peak)));
        }
        Ok(())
    }

    /// Trains on a text, which `is_new` unless it was trained on before.
    fn part(
        &mut self,
        text: &Bitext,
        phases: &[Phase],
        is_new: bool,
        talk: Talk,
        n_passes: u32,
    ) -> Result<(), Failure> {
        self.aligner.learn_words(text)?;
        if self.args.agreement {
            let directions = [Direction::Forward, Direction::Backward];
            let mut tasks = [
                self.task(Direction::Forward, text, is_new)?,
                self.task(Direction::Backward, text, is_new)?,
            ];
            for phase in phases {
                tasks = self.agreeing(tasks, phase, talk, n_passes)?;
            }
            tasks.into_iter().zip(directions).for_each(|(task, it)| self.aligner.set(it, task));
            return Ok(());
        }
        for &direction in self.args.direction.directions() {
            let mut task = self.task(direction, text, is_new)?;
            for phase in phases {
                task = self.alone(task, direction, phase, talk, n_passes)?;
            }
            self.aligner.set(direction, task);
        }
        Ok(())
    }

    fn task(
        &mut self,
        direction: Direction,
        text: &Bitext,
        is_new: bool,
    ) -> Result<AlignmentTask, Failure> {
        let most = self.args.max_words.get();
        let task = self.aligner.task(direction, text, most, is_new)?;
        Ok(task.with_prior(self.prior))
    }

    /// Trains a direction by itself.
    fn alone(
        &mut self,
        task: AlignmentTask,
        direction: Direction,
        phase: &Phase,
        talk: Talk,
        n_passes: u32,
    ) -> Result<AlignmentTask, Failure> {
        let mut task = task.with_distortion(phase.distortion);
        let n_first = self.n_first.get(&direction).copied().unwrap_or(0);
        // A direction that is not trained any more keeps its counts.
        if self.stopped_in.is_none() && !(phase.is_first && n_first <= n_passes) {
            let passes = if phase.is_first { phase.passes.min(n_first) } else { phase.passes };
            let run = self.run(direction.name(), &task, phase.distortion, passes, talk, n_passes);
            let ended = run.train(&mut task)?;
            task.add_steps(ended.n_steps);
            self.note(ended, direction);
        }
        Ok(task)
    }

    /// Trains both directions, so that they agree unless it is to start from.
    fn agreeing(
        &mut self,
        [forward, backward]: [AlignmentTask; 2],
        phase: &Phase,
        talk: Talk,
        n_passes: u32,
    ) -> Result<[AlignmentTask; 2], Failure> {
        if phase.is_first {
            let forward = self.alone(forward, Direction::Forward, phase, talk, n_passes)?;
            let backward = self.alone(backward, Direction::Backward, phase, talk, n_passes)?;
            return Ok([forward, backward]);
        }
        let [forward, backward] =
            [forward, backward].map(|it| it.with_distortion(phase.distortion));
        if self.stopped_in.is_some() {
            return Ok([forward, backward]);
        }
        let mut task = AgreementTask::join(forward, backward);
        let run = self.run("both", &task, phase.distortion, phase.passes, talk, n_passes);
        let ended = run.train(&mut task)?;
        task.add_steps(ended.n_steps);
        self.note(ended, Direction::Forward);
        Ok(task.split())
    }

    fn note(&mut self, ended: Ended, direction: Direction) {
        self.log_likelihood += ended.log_likelihood;
        if ended.is_stopped {
            self.stopped_in = Some(direction);
        }
    }

    /// Returns a run over a text.
    fn run(
        &mut self,
        name: &str,
        task: &impl OfText,
        distortion: Distortion,
        passes: u32,
        talk: Talk,
        n_passes: u32,
    ) -> EmRun {
        let args = self.args;
        let (n_pairs, n_cells, first_step) = task.numbers();
        let by_size = u32::try_from(n_pairs / 100).unwrap_or(u32::MAX);
        let by_size = by_size.clamp(1, defaults::MOST_PAIRS_A_STEP);
        EmRun {
            verb: "align train",
            name: format!("{name}, {}, pass", name_of(distortion)),
            work: (n_cells, "cells"),
            strategy: args.strategy,
            update: args.update,
            sizes: args.power.map_or(StepSizes::Window, StepSizes::Power),
            first_step,
            threads: args.threads,
            passes,
            seed: args.seed.wrapping_add(u64::from(n_passes)),
            accumulate: *self.accumulate.get_or_insert(by_size),
            replica_rows: None,
            talk,
        }
    }

    fn has_pairs(&self, bitext: &Bitext) -> bool {
        let most = self.args.max_words.get();
        let is_usable =
            |(left, right): (usize, usize)| left.min(right) > 0 && left.max(right) <= most;
        (0..bitext.n_pairs()).any(|pair| is_usable(bitext.lengths(pair)))
    }

    fn nothing(&self) -> Failure {
        let most = self.args.max_words.get();
        let problem = format!("expected pairs of 1 to {most} words a side, found none");
        Failure::Data(format!("{}: {problem}", self.args.file.display()))
    }

    fn save(&self) -> Result<(), Failure> {
        let args = self.args;
        let mut about = BTreeMap::from([("passes".to_owned(), args.passes.to_string())]);
        about.extend(self.accumulate.map(|n| ("accumulate".to_owned(), n.to_string())));
        self.aligner.save(&args.model, about)?;
        let model = args.model.display();
        self.talk.say(&format!("{model}: {} pairs of words", self.aligner.n_counts()));
        match self.stopped_in {
            None => Ok(()),
            Some(direction) => Err(Failure::Stopped(format!(
                "stopped while {} was trained; {model} has the counts so far, and --init goes on",
                if args.agreement { "both" } else { direction.name() }
            ))),
        }
    }
}

/// What a run has to know of a text.
trait OfText {
    /// Returns the numbers of pairs and of pairs of words, and of steps so far.
    fn numbers(&self) -> (usize, u64, u64);
}

impl OfText for AlignmentTask {
    fn numbers(&self) -> (usize, u64, u64) {
        (self.n_pairs(), self.n_cells(), self.n_steps())
    }
}

impl OfText for AgreementTask {
    fn numbers(&self) -> (usize, u64, u64) {
        (self.n_pairs(), self.n_cells(), self.n_steps())
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

impl Trainee for AgreementTask {
    fn multinomials(&self) -> Vec<Multinomials> {
        AgreementTask::multinomials(self)
    }

    fn fit<S: Strategy, U: Update>(
        &mut self,
        trainer: &Trainer<S, U>,
        observer: &mut impl Observer,
    ) -> Result<Outcome, asyn::Error> {
        AgreementTask::fit(self, trainer, observer)
    }
}

fn name_of(distortion: Distortion) -> &'static str {
    match distortion {
        Distortion::Uniform => "model 1",
        Distortion::Diagonal { .. } => "diagonal",
        Distortion::Hmm { .. } => "hmm",
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
