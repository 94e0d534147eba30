//! Runs of the example `em`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::line::{Line, Moment};
use crate::error::{Error, Result};
use crate::reproduce::program::Program;
use crate::workspace::output;

/// The example, and what it is asked in all runs on a text.
pub(super) struct Follower<'f> {
    pub(super) example: &'f Program<'f>,
    pub(super) folder: &'f Path,
    /// The kind of model and its files.
    pub(super) subject: Vec<String>,
    /// What tables call the text.
    pub(super) text: &'static str,
}

/// One way of training.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    /// What tables call it.
    pub(super) name: &'static str,
    /// What `--update` and `--strategy` call it.
    pub(super) update: &'static str,
    pub(super) strategy: &'static str,
    pub(super) workers: u32,
    pub(super) is_simulated: bool,
    /// The examples of a mini-batch; 0 where all examples are one.
    pub(super) batch: u32,
    pub(super) passes: u32,
    /// The mean of injected sleeps: in times of a mini-batch, and a time of one in seconds.
    pub(super) delay: (f64, f64),
}

/// The part of what the example writes that is read here.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    pub(super) n_examples: u32,
    pub(super) n_units: u64,
    moments: Vec<Moment>,
}

/// The examples that batch EM writes together.
const TOGETHER: u32 = 100;

/// Stepwise EM with one worker, with several that wait for each other, that take turns, and that do
/// neither; and batch EM.
impl Way {
    pub(super) const fn serial(batch: u32, passes: u32) -> Self {
        Self {
            name: "stepwise, serial",
            update: "stepwise",
            strategy: "serial",
            workers: 1,
            is_simulated: false,
            batch,
            passes,
            delay: (0.0, 0.0),
        }
    }

    pub(super) const fn synchronous(workers: u32, batch: u32, passes: u32) -> Self {
        let (name, strategy) = ("synchronous", "minibatch");
        Self { name, strategy, workers, ..Self::serial(batch, passes) }
    }

    pub(super) const fn locked(workers: u32, batch: u32, passes: u32) -> Self {
        Self { name: "locked", strategy: "locked", workers, ..Self::serial(batch, passes) }
    }

    pub(super) const fn asyngrad(workers: u32, batch: u32, passes: u32) -> Self {
        Self { name: "asyngrad", strategy: "asyngrad", workers, ..Self::serial(batch, passes) }
    }

    pub(super) const fn batch(workers: u32, passes: u32) -> Self {
        let strategy = if workers > 1 { "minibatch" } else { "serial" };
        let way = Self::serial(0, passes);
        Self { name: "batch EM", update: "batch", strategy, workers, ..way }
    }

    pub(super) const fn incremental(passes: u32) -> Self {
        let (name, update) = ("incremental EM", "incremental");
        Self { name, update, ..Self::serial(1, passes) }
    }

    pub(super) const fn simulated(self) -> Self {
        Self { is_simulated: true, ..self }
    }

    /// Adds sleeps of so many times of a mini-batch on average, which takes so many seconds.
    pub(super) const fn delayed(self, mean: f64, batch_seconds: f64) -> Self {
        Self { delay: (mean, batch_seconds), ..self }
    }

    /// Returns the examples of a step of one worker: a mini-batch, also where several wait for each
    /// other, since each step of stepwise EM has a size of its own.
    fn accumulate(&self) -> u32 {
        if self.batch == 0 { TOGETHER } else { self.batch }
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut add = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
        add("--update", self.update.to_owned());
        add("--strategy", self.strategy.to_owned());
        add("--threads", self.workers.to_string());
        add("--accumulate", self.accumulate().to_string());
        add("--passes", self.passes.to_string());
        let (mean, seconds) = self.delay;
        if mean > 0.0 {
            add("--delay", (mean * seconds * 1e6).to_string());
        }
        if self.is_simulated {
            arguments.push("--simulate".to_owned());
        }
        arguments
    }
}

impl Follower<'_> {
    /// Runs `way` once, with more flags.
    pub(super) fn run(&self, way: &Way, flags: &[(&str, u32)]) -> Result<Answer> {
        let path: PathBuf = self.folder.join("follow.json");
        let mut command = self.example.command();
        command.args(&self.subject).args(way.arguments());
        for (flag, value) in flags {
            command.args([*flag, &value.to_string()]);
        }
        output(command.arg("--json").arg(&path).stderr(std::process::Stdio::inherit()))?;
        let text = fs::read_to_string(&path).map_err(Error::file("read", &path))?;
        serde_json::from_str(&text)
            .map_err(|source| Error::Answer { command: "em".to_owned(), source })
    }

    /// Returns a line without runs.
    pub(super) fn line(&self, way: &Way) -> Line {
        Line {
            text: self.text,
            name: way.name,
            workers: way.workers,
            is_simulated: way.is_simulated,
            update: way.update,
            batch: way.batch,
            delay: way.delay.0,
            runs: Vec::new(),
        }
    }

    /// Runs all ways, one round for each set of flags, so that a busy minute hits all alike. A way
    /// is left out of rounds that `runs` says it has no part in.
    pub(super) fn lines(
        &self,
        ways: &[Way],
        rounds: &[Vec<(&str, u32)>],
        runs: impl Fn(&Way, usize) -> bool,
    ) -> Result<(Vec<Line>, u32, u64)> {
        let mut lines: Vec<Line> = ways.iter().map(|way| self.line(way)).collect();
        let (mut n_examples, mut n_units) = (0, 0);
        for (round, flags) in rounds.iter().enumerate() {
            eprintln!("{}: round {} of {}", self.text, round + 1, rounds.len());
            for (way, line) in ways.iter().zip(&mut lines).filter(|(way, _)| runs(way, round)) {
                let answer = self.run(way, flags)?;
                (n_examples, n_units) = (answer.n_examples, answer.n_units);
                line.runs.push(answer.moments);
                let seconds = line.seconds().unwrap_or_default();
                eprintln!("  {}, {} workers, {}: {seconds:.2} s", way.name, way.workers, way.batch);
            }
        }
        Ok((lines, n_examples, n_units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_in_microseconds() {
        let arguments = Way::asyngrad(2, 100, 5).delayed(8.0, 0.001).arguments();
        let at = arguments.iter().position(|it| it == "--delay").unwrap();
        assert_eq!(arguments[at + 1], "8000");
    }
}
