//! What is learned: a planted corpus, or one of the tasks of the source on real text.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;

use super::brown;
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
    /// Parts of speech of the English Web Treebank.
    CrfPos,
    /// Parts of speech of the Brown corpus, as large as the corpus of the source.
    CrfPosBrown,
    /// Chinese word segmentation of a part of the MSR corpus.
    CrfSeg,
    /// Spanish names of CoNLL-2002.
    CrfNer,
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
    /// Whether races are looked at, with some eighty runs.
    pub(super) has_panels: bool,
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
        let (train, test) = match name {
            Name::CrfPosBrown => brown::prepare(data, folder)?,
            Name::CrfPos => {
                let corpus = data.join("ud-english-ewt");
                let convert = |part: &str| {
                    let file = corpus.join(format!("en_ewt-ud-{part}.conllu.gz"));
                    program.convert(&file, "conllu", &folder.join(format!("ewt-{part}.txt")))
                };
                (convert("train")?, convert("test")?)
            }
            Name::CrfSeg => {
                let corpus = data.join("sighan2005-msr-part");
                let convert = |file: &str, name: &str| {
                    program.convert(&corpus.join(file), "segmented", &folder.join(name))
                };
                (
                    convert("msr_train-last10pct.norm.utf8", "msr-train.txt")?,
                    convert("msr_test_gold.norm.utf8", "msr-test.txt")?,
                )
            }
            Name::CrfNer => {
                let corpus = data.join("conll2002-esp");
                (corpus.join("esp.train.gz"), corpus.join("esp.testb"))
            }
            Name::CrfNp | Name::CrfChunk | Name::Planted => {
                let corpus = data.join("conll2000");
                (corpus.join("train.txt.gz"), corpus.join("test.txt"))
            }
        };
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
            has_panels: true,
            theirs: &[],
        };
        let target = Target::BelowSerial(SLACK);
        // What the source reports is from Sun, "Asynchronous Parallel Learning for Neural Networks
        // and Structured Models with Dense Features", COLING 2016: dense-CRF.
        Ok(Some(match name {
            Name::CrfChunk | Name::Planted => chunk,
            Name::CrfNp => Self {
                title: "CoNLL-2000, base noun phrases",
                about: "The same sentences with noun phrases only, three labels: most probably \
                        the chunking task of the source. As there, frequent attributes look at pairs \
                        of labels too. Its scores stand in the table as theirs: another \
                        program, one run each.",
                // Every frequent attribute also looks at pairs of labels: that makes it dense.
                flags: &["--template", "np", "--only-type", "NP", "--rich-edges"],
                target,
                theirs: &[("serial (Sun 2016)", 1, 94.55), ("AsynGrad (Sun 2016)", 10, 94.59)],
                ..chunk
            },
            Name::CrfPos => Self {
                title: "English Web Treebank, parts of speech",
                about: "Universal parts of speech, 17 labels, 12,544 sentences for training and \
                        2,077 for the test; words, affixes and shapes. The score is the accuracy.",
                flags: &["--template", "pos"],
                target,
                ..chunk
            },
            Name::CrfPosBrown => Self {
                title: "Brown corpus, parts of speech",
                about: "1.16 million words, as many as the corpus of the source has, and 50 tags; \
                        every tenth sentence is for the test. Words, affixes and shapes. The score \
                        is the accuracy.",
                flags: &["--template", "pos"],
                target,
                has_panels: false,
                ..chunk
            },
            Name::CrfSeg => Self {
                title: "MSR, Chinese word segmentation",
                about: "The last tenth of the training text of the second SIGHAN bakeoff, 8,693 \
                        sentences, and the whole test, both normalised; characters, their pairs, \
                        classes and repetition, and words of the training text. The score is F1 of \
                        words.",
                flags: &["--template", "seg", "--min-freq", "1"],
                target,
                ..chunk
            },
            Name::CrfNer => Self {
                title: "CoNLL-2002, Spanish names",
                about: "8,323 sentences for training, and the test testb of 1,517; words, affixes \
                        and shapes. The score is that of the classic conlleval.",
                flags: &["--template", "ner", "--min-freq", "1"],
                target,
                ..chunk
            },
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
        has_panels: true,
        theirs: &[],
    })
}
