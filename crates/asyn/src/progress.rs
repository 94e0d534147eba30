//! What people see on standard error: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    /// Errors only.
    Quiet,
    /// What a user wants to know.
    Normal,
    /// Times and throughput too.
    Verbose,
}

impl Talk {
    pub(crate) fn new(quiet: bool, verbose: bool) -> Self {
        match (quiet, verbose) {
            (true, _) => Self::Quiet,
            (false, true) => Self::Verbose,
            (false, false) => Self::Normal,
        }
    }

    /// Prints a line.
    pub(crate) fn say(self, line: &str) {
        if self != Self::Quiet {
            eprintln!("{line}");
        }
    }

    /// Prints a line for those who want to know more.
    pub(crate) fn detail(self, line: &str) {
        if self == Self::Verbose {
            eprintln!("{line}");
        }
    }

    /// Prints something that is allowed and probably not meant.
    pub(crate) fn warn(self, line: &str) {
        self.say(&format!("warning: {line}"));
    }
}

/// How far a run is.
#[derive(Debug)]
pub(crate) struct Progress {
    talk: Talk,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts to show a run of `n_examples` examples, all passes together.
    pub(crate) fn new(talk: Talk, n_examples: u64) -> Self {
        let shows_bar = talk != Talk::Quiet && stderr().is_terminal();
        let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %, {eta} left");
        let bar = style.ok().filter(|_| shows_bar).map(|style| {
            let bar = ProgressBar::new(n_examples).with_style(style);
            bar.tick();
            bar
        });
        Self { talk, bar }
    }

    /// Moves the bar to where the run is.
    pub(crate) fn at(&self, n_examples: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(n_examples);
        }
    }

    /// Prints a line above the bar.
    pub(crate) fn line(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => self.talk.say(line),
        }
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
