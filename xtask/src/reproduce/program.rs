//! The command `asyn`, built in release and driven as a user would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use asyn_report::Run;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::workspace::{Workspace, output, show};

/// The built command.
#[derive(Debug)]
pub(crate) struct Program<'w> {
    workspace: &'w Workspace,
    path: PathBuf,
}

/// What `asyn eval --json` says, in percent; the rest of it is left out.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Score {
    f1: Option<f64>,
    accuracy: Option<f64>,
}

/// The part of a message of cargo that says where a program was put.
#[derive(Debug, Deserialize)]
struct Artifact {
    executable: Option<PathBuf>,
}

impl<'w> Program<'w> {
    /// Builds the command in release.
    pub(crate) fn build(workspace: &'w Workspace) -> Result<Self> {
        Ok(Self { workspace, path: built(workspace, ["--bin", "asyn"])? })
    }

    /// A command that was not built, for tests that start none.
    #[cfg(test)]
    pub(crate) fn unbuilt(workspace: &'w Workspace) -> Self {
        Self { workspace, path: "asyn".into() }
    }

    /// Builds an example of the same crate in release.
    pub(crate) fn example(&self, name: &str) -> Result<Self> {
        let path = built(self.workspace, ["--example", name])?;
        Ok(Self { workspace: self.workspace, path })
    }

    /// Returns the command, to run in the root folder.
    pub(crate) fn command(&self) -> Command {
        self.workspace.command(&self.path)
    }

    /// Writes a planted corpus and returns the best possible F1 on it, in percent.
    pub(crate) fn generate(&self, sentences: u32, seed: u32, out: &Path) -> Result<Option<f64>> {
        let mut command = self.command();
        command.args(["gen", "chunking", "--sentences", &sentences.to_string()]);
        command.args(["--seed", &seed.to_string(), "--out"]).arg(out);
        let said = said(&mut command)?;
        Ok(number_after(&said, "best possible F1 "))
    }

    /// Writes a corpus of another format as columns, and returns where it is.
    pub(crate) fn convert(&self, file: &Path, format: &str, out: &Path) -> Result<PathBuf> {
        let mut command = self.command();
        command.args(["convert", "--from", format, "--to", "columns"]).arg(file);
        output(command.arg("--out").arg(out).stderr(Stdio::inherit()))?;
        Ok(out.to_owned())
    }

    /// Writes the first `share` of segmented text, such as `60%`, and the rest of it.
    pub(crate) fn cut(&self, file: &Path, share: &str, first: &Path, rest: &Path) -> Result<()> {
        let mut command = self.command();
        command.args(["convert", "--from", "segmented", "--to", "segmented"]).arg(file);
        command.args(["--first", share, "--out"]).arg(first).arg("--rest").arg(rest);
        output(command.stderr(Stdio::inherit()))?;
        Ok(())
    }

    /// Trains with `arguments`, the model first, which leave out `train` and where
    /// things go: the model goes to `model`, the events to a file beside it.
    pub(crate) fn train(&self, arguments: &[String], model: &Path) -> Result<Trained> {
        let log = model.with_extension("jsonl");
        let mut command = self.command();
        command.args(["--quiet", "train"]).args(arguments);
        command.arg("--model").arg(model).arg("--log").arg(&log);
        let start = Instant::now();
        // Errors go to the person who waits.
        output(command.stderr(Stdio::inherit()))?;
        let seconds = start.elapsed().as_secs_f64();
        let text = fs::read_to_string(&log).map_err(Error::file("read", &log))?;
        let what = log.display().to_string();
        let run = Run::parse(&text).map_err(|source| Error::Report { what, source })?;
        Ok(Trained { run, seconds })
    }

    /// Labels `input` into `out`, and returns how long it took by its own clock.
    pub(crate) fn tag(
        &self,
        model: &Path,
        input: &Path,
        threads: u32,
        out: &Path,
    ) -> Result<Tagged> {
        let file = fs::File::create(out).map_err(Error::file("create", out))?;
        let mut command = self.command();
        command.args(["--verbose", "tag", "--threads", &threads.to_string(), "--model"]);
        command.arg(model).arg(input).stdout(file);
        let said = said(&mut command)?;
        Ok(Tagged {
            load_seconds: number_after(&said, "loaded in "),
            tokens_per_second: number_after(&said, " s: ").map(|millions| millions * 1e6),
        })
    }

    /// Scores the last two columns of `file` with a scorer of `asyn eval`: F1, or the accuracy where
    /// there are no chunks, in percent.
    pub(crate) fn score(&self, scorer: &str, file: &Path) -> Result<f64> {
        let mut command = self.command();
        command.args(["eval", "--json", "--scorer", scorer]).arg(file);
        let answer = output(command.stderr(Stdio::inherit()))?;
        let command = "asyn eval --json".to_owned();
        let score: Score = serde_json::from_str(&answer)
            .map_err(|source| Error::Answer { command: command.clone(), source })?;
        score.f1.or(score.accuracy).ok_or(Error::Incomplete { name: command, lacks: "score" })
    }
}

/// A run of training, and the time from the start of the program to its end.
#[derive(Debug)]
pub(crate) struct Trained {
    pub(crate) run: Run,
    pub(crate) seconds: f64,
}

/// What tagging took, as the program itself says.
#[derive(Debug)]
pub(crate) struct Tagged {
    pub(crate) load_seconds: Option<f64>,
    pub(crate) tokens_per_second: Option<f64>,
}

/// Builds a program of the crate `asyn` in release and returns where it is.
fn built(workspace: &Workspace, target: [&str; 2]) -> Result<PathBuf> {
    let mut cargo = workspace.cargo(["build", "--release", "-p", "asyn"]);
    cargo.args(target).arg("--message-format=json-render-diagnostics");
    eprintln!("$ cargo build --release -p asyn {}", target.join(" "));
    let messages = output(cargo.stderr(Stdio::inherit()))?;
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Artifact>(line).ok());
    artifacts
        .filter_map(|artifact| artifact.executable)
        .next_back()
        .ok_or_else(|| Error::Incomplete { name: "cargo build".to_owned(), lacks: "program" })
}

/// Runs `command` and returns what it said on standard error.
fn said(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let child =
        command.stderr(Stdio::piped()).spawn().and_then(std::process::Child::wait_with_output);
    let output = child.map_err(|source| Error::Start { command: shown.clone(), source })?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    eprint!("{said}");
    Err(Error::Command { command: shown, status: output.status })
}

/// Returns the number that follows `words` in `text`.
fn number_after(text: &str, words: &str) -> Option<f64> {
    let (_, rest) = text.split_once(words)?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_after_its_words() {
        let said = "9000 sentences, 211706 tokens; best possible F1 95.74\n";
        assert_eq!(number_after(said, "best possible F1 "), Some(95.74));
        let said = "loaded in 0.129 s\n47377 tokens in 0.077 s: 0.614 M tokens/s\n";
        assert_eq!(number_after(said, " s: "), Some(0.614));
        assert_eq!(number_after(said, "no such words "), None);
    }
}
