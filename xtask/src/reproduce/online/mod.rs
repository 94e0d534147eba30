//! The experiments of Gimpel, Das and Smith ("Distributed Asynchronous Online Learning for Natural
//! Language Processing", CoNLL 2010): word alignment and tagging without labels by stepwise EM,
//! names by SGD, and all of it under injected delays.
//!
//! What is compared is how far a strategy has come at a time: a [`Line`] is one contender on one
//! text, with what its weights were worth at some moments of each run, and the tables and figures
//! of a [`Study`] are made of lines.
//!
//! | File        | What it holds                                               |
//! | ----------- | ----------------------------------------------------------- |
//! | `line`      | lines, times to a quality, and the comparison with ideal     |
//! | `show`      | the tables and figures that studies have in common          |
//! | `follow`    | runs of the example `em`                                    |
//! | `align`     | IBM Model 1                                                 |
//! | `pos`       | the hidden Markov model                                     |
//! | `ner`       | names by a CRF                                              |

mod align;
mod follow;
mod line;
mod ner;
mod pos;
mod show;

use std::path::Path;

use asyn_report::{Figure, Page, Table};
use serde::Serialize;

use self::line::Line;
use super::Settings;
use super::experiment::Name;
use super::program::Program;
use crate::error::Result;
use crate::workspace::Workspace;

/// The means of injected sleeps, in times of a mini-batch: those of the source, whose mini-batch
/// of words without labels took 0.62 s.
const DELAYS: [f64; 3] = [8.06, 16.1, 32.3];
/// The workers that are simulated, and run on real threads where most of them sleep: as many as
/// the source has.
const THEIR_WORKERS: u32 = 4;

/// What came out of one experiment.
#[derive(Debug, Serialize)]
pub(super) struct Study {
    name: Name,
    title: &'static str,
    about: String,
    lines: Vec<Line>,
    #[serde(skip)]
    parts: Vec<Part>,
}

/// What a page shows.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a page has few parts")]
enum Part {
    Text(String),
    Table(Table),
    Figure(Figure),
}

/// What all studies need.
pub(super) struct Lab<'l> {
    pub(super) workspace: &'l Workspace,
    pub(super) program: &'l Program<'l>,
    pub(super) settings: &'l Settings,
    /// Where files of this run go.
    pub(super) folder: &'l Path,
}

impl Lab<'_> {
    /// Returns the numbers of real threads above one that are compared: as far as there are cores.
    fn threads(&self) -> Vec<u32> {
        let asked = self.settings.threads.iter().copied();
        asked.filter(|&n| n > 1 && n <= self.settings.n_cores).collect()
    }

    /// Returns the most of them, or 1.
    fn most_threads(&self) -> u32 {
        self.threads().into_iter().max().unwrap_or(1)
    }

    /// Returns the numbers of real threads under delays, where most of them sleep: those of the
    /// source too.
    fn delayed_threads(&self) -> Vec<u32> {
        let mut threads = vec![self.most_threads(), THEIR_WORKERS];
        threads.retain(|&n| n > 1);
        threads.dedup();
        threads
    }

    fn is_quick(&self) -> bool {
        self.settings.is_quick
    }
}

/// Runs one of the experiments.
pub(super) fn study(name: Name, lab: &Lab<'_>) -> Result<Study> {
    match name {
        Name::EmAlign => align::study(lab),
        Name::EmPos => pos::study(lab),
        _ => ner::study(lab),
    }
}

impl Study {
    /// Prints what is not drawn.
    pub(super) fn print(&self) {
        println!("\n{}\n\n{}", self.title, self.about);
        for part in &self.parts {
            match part {
                Part::Text(text) => println!("\n{text}"),
                Part::Table(table) => println!("\n{table}"),
                Part::Figure(_) => {}
            }
        }
    }

    /// Adds everything to a page.
    pub(super) fn add_to(&self, page: Page, command: &str) -> Page {
        let page = page.section(self.title).text(&self.about);
        self.parts.iter().fold(page, |page, part| match part {
            Part::Text(text) => page.text(text),
            Part::Table(table) => page.table(table.clone()),
            Part::Figure(figure) => page.figure(figure.clone().command(command)),
        })
    }
}
