//! What all programs are trained for, and on which files.

use std::path::{Path, PathBuf};

use super::Only;
use crate::error::Result;
use crate::reproduce::program::Program;
use crate::workspace::{DATA_VARIABLE, Workspace};

/// A task with its files.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) only: Only,
    /// The name of the task, as the scripts know it.
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) train: PathBuf,
    pub(super) test: PathBuf,
    /// The flags of `asyn train crf`.
    pub(super) flags: &'static [&'static str],
    /// What `asyn eval` scores.
    pub(super) scorer: &'static str,
    /// The score in percent that times are measured to.
    pub(super) target: f64,
    /// How many passes CRFsuite is trained for, by each of its algorithms.
    pub(super) sgd_passes: &'static [&'static str],
    pub(super) lbfgs_passes: &'static [&'static str],
    /// How many passes pkuseg is trained for, if the task is one of its own.
    pub(super) pkuseg_passes: Option<u32>,
}

/// Returns all tasks, or the first one on planted data where there are no corpora.
pub(super) fn tasks(workspace: &Workspace, program: &Program<'_>, out: &Path) -> Result<Vec<Task>> {
    let mut chunking = Task {
        only: Only::Chunking,
        name: "chunking",
        about: "CoNLL-2000, all types of chunks; the same 19 templates",
        train: out.join("planted-train.txt"),
        test: out.join("planted-test.txt"),
        flags: &["--template", "chunking"],
        scorer: "conlleval",
        target: 93.5,
        sgd_passes: &["10", "15", "20", "25", "30"],
        lbfgs_passes: &["60", "100", "200"],
        pkuseg_passes: None,
    };
    let Some(data) = workspace.data() else {
        eprintln!("{DATA_VARIABLE} is not set: a planted corpus stands in for CoNLL-2000");
        program.generate(9000, 1, &chunking.train)?;
        program.generate(2000, 2, &chunking.test)?;
        chunking.about = "a planted corpus of the size of CoNLL-2000; the same 19 templates";
        return Ok(vec![chunking]);
    };
    let corpus = data.join("conll2000");
    (chunking.train, chunking.test) = (corpus.join("train.txt.gz"), corpus.join("test.txt"));
    let corpus = data.join("sighan2005-msr-part");
    let segmentation = Task {
        only: Only::Segmentation,
        name: "segmentation",
        about: "MSR, normalised, the last tenth of the training text and the whole test; \
                CRFsuite with ten templates of characters, the others with their own features",
        train: corpus.join("msr_train-last10pct.norm.utf8"),
        test: corpus.join("msr_test_gold.norm.utf8"),
        flags: &["--format", "segmented", "--min-freq", "1"],
        scorer: "sighan",
        target: 90.5,
        sgd_passes: &["3", "4", "5", "7", "10", "30"],
        lbfgs_passes: &["50", "100"],
        pkuseg_passes: Some(3),
    };
    Ok(vec![chunking, segmentation])
}
