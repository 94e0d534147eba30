//! Watches a run: scores each pass, keeps the best, writes events and checkpoints, shows
//! progress, and ends the run when it is interrupted.

use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asyn::core::shared::isa;
use asyn::core::{self, Observer, PassReport, Quiet, SharedWeights};
use asyn::{HeldOut, SequenceModel};

use crate::checkpoint::{self, Best, Fingerprint};
use crate::data::Data;
use crate::event::{DataFacts, DevScore, Event, Log, MachineFacts, SettingFacts, SimulationFacts};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::machine;
use crate::progress::{Progress, Talk};
use crate::races::RaceFacts;
use crate::rate;
use crate::run_folder::RunFolder;
use crate::settings::{Settings, all_cores};

/// How long a run goes on without a new checkpoint, at least.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);

/// From how many seconds on it is said how long a run will still take.
const WORTH_TELLING: f64 = 2.0;

/// The observer of a run.
#[derive(Debug)]
pub(crate) struct Watch {
    model: SequenceModel,
    held_out: Option<Arc<HeldOut>>,
    threads: usize,
    n_tokens: usize,
    n_examples: usize,
    n_passes: u32,
    patience: Option<NonZeroU32>,
    best: Option<Best>,
    log: Log,
    talk: Talk,
    progress: Option<Progress>,
    interrupt: Interrupt,
    run: Option<(RunFolder, Fingerprint)>,
    last_checkpoint: Instant,
    /// When the last pass ended, or the first one began.
    last_pass: Instant,
    /// How the run was done, in words.
    manner: String,
    is_interrupted: bool,
    /// Whether the score has not risen for as long as patience lasts.
    is_settled: bool,
    failure: Option<Failure>,
}

impl Watch {
    /// Starts to watch a run on `data`.
    pub(crate) fn new(settings: &Settings, data: &Data, log: Log, talk: Talk) -> Self {
        Self {
            model: data.tagger.model().clone(),
            held_out: data.held_out.clone(),
            threads: settings.threads.get(),
            n_tokens: data.n_tokens,
            n_examples: data.examples.len(),
            n_passes: settings.passes,
            patience: settings.patience,
            best: None,
            log,
            talk,
            progress: None,
            interrupt: Interrupt::listen(),
            run: None,
            last_checkpoint: Instant::now(),
            last_pass: Instant::now(),
            manner: String::new(),
            is_interrupted: false,
            is_settled: false,
            failure: None,
        }
    }

    /// Keeps checkpoints in a run directory, and the best pass of the run so far.
    pub(crate) fn keep(&mut self, folder: RunFolder, fingerprint: Fingerprint, best: Option<Best>) {
        self.run = Some((folder, fingerprint));
        self.best = best.filter(|_| self.held_out.is_some());
    }

    /// Tells how the run is done: the strategy, its workers, the update rule.
    pub(crate) fn start(
        &mut self,
        settings: &Settings,
        data: &Data,
        (strategy, threads, update): (&str, usize, &str),
    ) -> Result<(), Failure> {
        let encoder = data.tagger.encoder();
        let facts = DataFacts {
            train: settings.train.display().to_string(),
            sentences: data.n_sentences,
            tokens: data.n_tokens,
            attributes: encoder.n_attributes(),
            rich: encoder.n_rich(),
            labels: encoder.labels().len(),
            weights: self.model.layout().n_weights(),
            read_seconds: data.read_time.as_secs_f64(),
            encode_seconds: data.encode_time.as_secs_f64(),
        };
        self.talk.say(&format!(
            "{}: {} sentences, {} tokens, {} labels, {} attributes ({} rich), {} weights",
            facts.train,
            facts.sentences,
            facts.tokens,
            facts.labels,
            facts.attributes,
            facts.rich,
            facts.weights,
        ));
        self.talk.detail(&format!(
            "read in {:.3} s, encoded in {:.3} s",
            facts.read_seconds, facts.encode_seconds
        ));
        let plural = if threads == 1 { "" } else { "s" };
        self.manner =
            format!("{strategy} on {threads} thread{plural}, {update}, kernels {}", isa());
        self.talk.say(&self.manner);
        let is_told = self.talk != Talk::Quiet || !self.log.is_empty();
        let is_told = is_told && data.forecast.is_some();
        let train_seconds = if is_told { rate::train_seconds(settings, data)? } else { None };
        let forecast = data.forecast.as_ref().map(|forecast| forecast.facts(train_seconds));
        if let Some(forecast) = &forecast {
            self.talk.say(&forecast.in_words());
        }
        self.progress = Some(Progress::new(self.talk, self.position(settings.passes, 0)));
        self.last_pass = Instant::now();
        self.log.write(&Event::Start {
            model: self.model.kind(),
            strategy,
            threads,
            seed: settings.seed,
            update,
            settings: SettingFacts { settings, command: typed_line() },
            kernels: isa().to_string(),
            version: env!("CARGO_PKG_VERSION"),
            data: facts,
            forecast,
            machine: MachineFacts { cpu: machine::cpu(), cores: all_cores().get() },
        })
    }

    /// Prints a line above the bar.
    pub(crate) fn say(&self, line: &str) {
        if let Some(progress) = &self.progress {
            progress.line(line);
        }
    }

    /// Returns whether the user ended the run.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.is_interrupted
    }

    /// Ends the watch: the words for how it was done, the best pass, and the log for the end.
    pub(crate) fn finish(self) -> Result<(String, Option<Best>, Log), Failure> {
        if let Some(progress) = &self.progress {
            progress.end();
        }
        match self.failure {
            None => Ok((self.manner, self.best, self.log)),
            Some(failure) => Err(failure),
        }
    }

    fn position(&self, passes_done: u32, examples_done: usize) -> u64 {
        u64::from(passes_done) * self.n_examples as u64 + examples_done as u64
    }

    fn progress(&mut self, pass: u32, done: usize, quiet: &Quiet<'_>) -> Result<(), Failure> {
        if let Some(progress) = &self.progress {
            progress.at(self.position(pass - 1, done));
        }
        self.is_interrupted = self.interrupt.is_asked();
        if self.is_interrupted {
            self.checkpoint(quiet)?;
        }
        Ok(())
    }

    fn pass(&mut self, report: &PassReport, quiet: &mut Quiet<'_>) -> Result<(), Failure> {
        let score = self.held_out.as_ref().map(|held_out| {
            let score = held_out.score(&self.model, quiet.weights(), self.threads);
            DevScore::from(&score)
        });
        if let Some(score) = score {
            self.keep_best(report.pass, score, quiet);
        }
        self.tell(report, score)?;
        self.is_interrupted = self.interrupt.is_asked();
        self.is_settled = self
            .patience
            .zip(self.best.as_ref())
            .is_some_and(|(patience, best)| best.has_aged(report.pass, patience));
        let is_last = report.pass == self.n_passes || self.is_settled;
        if self.is_interrupted || is_last || self.last_checkpoint.elapsed() >= CHECKPOINT_EVERY {
            self.checkpoint(quiet)?;
        }
        Ok(())
    }

    fn keep_best(&mut self, pass: u32, score: DevScore, quiet: &mut Quiet<'_>) {
        let weights = match self.best.take() {
            Some(best) if !score.is_above(&best.score) => {
                self.best = Some(best);
                return;
            }
            Some(best) => best.weights,
            None => SharedWeights::zeroed(self.model.layout().len()),
        };
        weights.copy_from(quiet.weights());
        self.best = Some(Best { pass, score, weights });
    }

    fn tell(&mut self, report: &PassReport, score: Option<DevScore>) -> Result<(), Failure> {
        let seconds = report.train_time.as_secs_f64();
        let tokens_per_second = self.n_tokens as f64 / seconds.max(f64::MIN_POSITIVE);
        let races = report.races.as_ref().map(RaceFacts::from);
        let time_left = self.time_left(report);
        if let Some(progress) = &self.progress {
            let dev = score.map_or(String::new(), |score| {
                format!(", dev F1 {:.2}, accuracy {:.2}", score.f1, score.accuracy)
            });
            progress.line(&format!(
                "pass {}/{}: loss {:.1}{dev}, {} tokens/s{time_left}",
                report.pass,
                self.n_passes,
                report.loss,
                in_words(tokens_per_second)
            ));
            if let Some(races) = &races {
                progress.line(&format!("  {}", races.in_words()));
            }
            progress.at(self.position(report.pass, 0));
        }
        self.log.write(&Event::Pass {
            pass: report.pass,
            loss: report.loss,
            examples: report.examples,
            steps: report.steps,
            train_seconds: seconds,
            total_train_seconds: report.total_train_time.as_secs_f64(),
            total_observe_seconds: report.total_observe_time.as_secs_f64(),
            tokens_per_second,
            dev: score,
            races,
            simulation: report.simulation.as_ref().map(SimulationFacts::from),
        })
    }

    /// Says how long the passes that are left will take, where that is long.
    fn time_left(&mut self, report: &PassReport) -> String {
        let n_left = f64::from(self.n_passes - report.pass.min(self.n_passes));
        let now = Instant::now();
        let seconds = n_left * (now - self.last_pass).as_secs_f64();
        self.last_pass = now;
        if seconds < WORTH_TELLING { String::new() } else { format!(", {seconds:.0} s left") }
    }

    fn checkpoint(&mut self, quiet: &Quiet<'_>) -> Result<(), Failure> {
        if let Some((folder, fingerprint)) = &self.run {
            checkpoint::save(folder, quiet.checkpoint(), self.best.as_ref(), fingerprint)?;
            self.last_checkpoint = Instant::now();
        }
        Ok(())
    }
}

/// Returns a large number in millions or thousands.
fn in_words(number: f64) -> String {
    if number < 1e5 { format!("{:.1} k", number / 1e3) } else { format!("{:.2} M", number / 1e6) }
}

/// Returns the command line, fit to be typed again.
fn typed_line() -> String {
    let words = std::env::args_os().skip(1).map(|word| quoted(&word.to_string_lossy()));
    std::iter::once("asyn".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Returns a word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,%+@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

impl Observer for Watch {
    fn event(&mut self, event: core::Event<'_, '_>) -> ControlFlow<()> {
        let result = match event {
            core::Event::Progress { pass, done, quiet, .. } => self.progress(pass, done, quiet),
            core::Event::PassEnded { report, quiet } => self.pass(report, quiet),
            _ => Ok(()),
        };
        self.failure = result.err();
        if self.is_interrupted || self.is_settled || self.failure.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
