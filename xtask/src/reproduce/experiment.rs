//! What is learned: a planted corpus, or CoNLL-2000 in two ways.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;

use super::program::Program;
use crate::error::{Error, Result};
use crate::workspace::Workspace;

/// The names of experiments on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Name {
    /// Chunking of a planted corpus, whose best possible score is known.
    Planted,
    /// Chunking of CoNLL-2000 with all types of chunks.
    CrfChunk,
    /// Base noun phrases of CoNLL-2000, with rich edges.
    CrfNp,
}

/// The score that a time is measured to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    /// A score in percent, fixed beforehand.
    Score(f64),
    /// What the better of the serial runs reaches in the end, less so many points.
    BelowSerial(f64),
}

/// Files and flags of one experiment.
#[derive(Debug, Serialize)]
pub(super) struct Experiment {
    pub(super) name: Name,
    pub(super) title: &'static str,
    /// What the task is, in a sentence or two.
    pub(super) about: &'static str,
    #[serde(skip)]
    pub(super) train: PathBuf,
    #[serde(skip)]
    pub(super) test: PathBuf,
    /// The flags of the task.
    pub(super) flags: &'static [&'static str],
    pub(super) target: Target,
    /// The best score that any model can hope for, where it is known.
    pub(super) best_possible: Option<f64>,
    /// What the source reports for its own program: the name, threads and F1.
    pub(super) theirs: &'static [(&'static str, u32, f64)],
}

/// The sentences of the planted corpora: as many as CoNLL-2000 has, about.
const N_TRAIN: u32 = 9000;
const N_TEST: u32 = 2000;

/// Points below serial training's final score that count as reached. With
/// five seeds, differences below this are seldom told from chance.
const SLACK: f64 = 0.2;

impl Experiment {
    /// Returns the flags that train on `train` and score on the test.
    pub(super) fn files(&self, train: &Path) -> Vec<String> {
        let [train, test] = [train, &self.test].map(|path| path.display().to_string());
        vec!["--train".to_owned(), train, "--dev".to_owned(), test]
    }

    /// Finds or makes the files of the experiment `name`; `None` where it
    /// needs a corpus and nobody said where the corpora are.
    pub(super) fn prepare(
        name: Name,
        workspace: &Workspace,
        program: &Program<'_>,
        folder: &Path,
    ) -> Result<Option<Self>> {
        if name == Name::Planted {
            return planted(program, folder).map(Some);
        }
        let Some(data) = workspace.data() else {
            return Ok(None);
        };
        let corpus = data.join("conll2000");
        let (train, test) = (corpus.join("train.txt.gz"), corpus.join("test.txt"));
        for file in [&train, &test] {
            fs::metadata(file).map_err(Error::file("find", file))?;
        }
        let chunk = Self {
            name,
            title: "CoNLL-2000, all types of chunks",
            about: "8,936 sentences of the Wall Street Journal for training, 2,012 for the test; \
                    the 19 templates of CRFsuite's tutorial and label pairs. The score is that of \
                    the classic conlleval.",
            train,
            test,
            flags: &["--template", "chunking"],
            target: Target::Score(93.5),
            best_possible: None,
            theirs: &[],
        };
        Ok(Some(match name {
            Name::CrfNp => Self {
                title: "CoNLL-2000, base noun phrases",
                about: "The same sentences with noun phrases only, three labels: most probably \
                        the chunking task of the source. As there, frequent attributes look at pairs \
                        of labels too. Its scores stand in the table as theirs: another \
                        program, one run each.",
                // Every frequent attribute also looks at pairs of labels: that makes it dense.
                flags: &["--template", "np", "--only-type", "NP", "--rich-edges"],
                target: Target::BelowSerial(SLACK),
                // Sun, "Asynchronous Parallel Learning for Neural Networks and Structured Models
                // with Dense Features", COLING 2016: dense-CRF, the experiments on chunking.
                theirs: &[("serial (Sun 2016)", 1, 94.55), ("AsynGrad (Sun 2016)", 10, 94.59)],
                ..chunk
            },
            Name::CrfChunk | Name::Planted => chunk,
        }))
    }
}

fn planted(program: &Program<'_>, folder: &Path) -> Result<Experiment> {
    let (train, test) = (folder.join("planted-train.txt"), folder.join("planted-test.txt"));
    program.generate(N_TRAIN, 1, &train)?;
    let best_possible = program.generate(N_TEST, 2, &test)?;
    Ok(Experiment {
        name: Name::Planted,
        title: "Planted chunking corpus",
        about: "9,000 sentences drawn from a known language for training, 2,000 others for the \
                test. The best possible score is what the true parameters of the language reach \
                on the test.",
        train,
        test,
        flags: &["--template", "chunking"],
        target: Target::BelowSerial(SLACK),
        best_possible,
        theirs: &[],
    })
}
