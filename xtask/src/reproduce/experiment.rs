//! What is learned: a planted corpus, or one of the tasks of the source on real text.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;

use super::contender::{Contender, contenders};
use super::corpus;
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
    /// Parts of speech of CoNLL-2000 by a Bi-LSTM.
    LstmPos,
    /// Parts of speech of the English Web Treebank by a Bi-LSTM.
    LstmPosEwt,
    /// Parts of speech of the Brown corpus by a Bi-LSTM.
    LstmPosBrown,
    /// Chunking of CoNLL-2000 with all types of chunks by a Bi-LSTM.
    LstmChunk,
    /// Base noun phrases of CoNLL-2000 by a Bi-LSTM.
    LstmNp,
    /// Chinese word segmentation of a part of the MSR corpus by a Bi-LSTM.
    LstmSeg,
    /// Chinese word segmentation of the treebank GSD by a Bi-LSTM.
    LstmSegGsd,
    /// Chinese word segmentation of the source's part of a corpus of Weibo, for those who have it.
    LstmSegWeibo,
    /// Word alignment by expectation maximisation.
    EmAlign,
    /// Parts of speech without labels by expectation maximisation.
    EmPos,
    /// Spanish names by SGD with a fixed step size, and delays.
    NerDelay,
}

impl Name {
    /// Says whether it is an experiment on learning over time, which is a [`Study`](super::online).
    pub(super) fn is_study(self) -> bool {
        matches!(self, Self::EmAlign | Self::EmPos | Self::NerDelay)
    }
}

/// What is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Model {
    Crf,
    BiLstm,
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
    pub(super) model: Model,
    pub(super) title: &'static str,
    /// What the task is, in a sentence or two.
    pub(super) about: &'static str,
    #[serde(skip)]
    pub(super) train: PathBuf,
    #[serde(skip)]
    pub(super) test: PathBuf,
    /// What `asyn eval --scorer` calls the score.
    pub(super) scorer: &'static str,
    /// The flags of the task.
    pub(super) flags: &'static [&'static str],
    /// The passes of every run.
    pub(super) passes: u32,
    pub(super) target: Target,
    /// The best score that any model can hope for, where it is known.
    pub(super) best_possible: Option<f64>,
    /// Whether races are looked at, with some eighty runs.
    pub(super) has_panels: bool,
    /// What the source reports for its own program.
    pub(super) theirs: &'static [Theirs],
}

/// A row of a table of the source: another program on another machine, one run.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Theirs {
    pub(super) name: &'static str,
    pub(super) threads: u32,
    pub(super) score: f64,
    pub(super) seconds_a_pass: f64,
    /// The speed over that of one thread.
    pub(super) over_serial: Option<f64>,
}

/// The sentences of the planted corpora: as many as CoNLL-2000 has, about.
const N_TRAIN: u32 = 9000;
const N_TEST: u32 = 2000;

/// The passes of a CRF.
const PASSES: u32 = 10;

/// Points below serial training's final score that count as reached. With
/// five seeds, differences below this are seldom told from chance.
const SLACK: f64 = 0.2;

/// The networks of the source, with the columns that its text leaves open.
const LSTM_POS: &[&str] = &["--template", "words", "--hidden", "170"];
const LSTM_SEG: &[&str] =
    &["--template", "characters", "--width", "112,36,36,36", "--hidden", "220"];
const THEIR_LSTM_POS: &[Theirs] =
    &[Theirs::serial(96.40, 2972.13), Theirs::asyngrad(96.77, 793.40, 3.75)];
const THEIR_LSTM_SEG: &[Theirs] =
    &[Theirs::serial(91.79, 2198.45), Theirs::asyngrad(91.93, 607.22, 3.62)];

impl Experiment {
    /// Returns the arguments that train the model on `train` and score on the test.
    pub(super) fn files(&self, train: &Path) -> Vec<String> {
        let [train, test] = [train, &self.test].map(|path| path.display().to_string());
        let model = self.model.argument().to_owned();
        vec![model, "--train".to_owned(), train, "--dev".to_owned(), test]
    }

    /// Returns what is compared, each with the numbers of threads that it runs with out of those
    /// asked for.
    ///
    /// One worker of any strategy computes what serial training does, and for a network that
    /// takes too long to be shown once more.
    pub(super) fn contenders(&self, asked: &[u32]) -> Vec<(Contender, u32)> {
        let contenders = contenders(self.model).iter().flat_map(|&contender| {
            contender.threads(asked).into_iter().map(move |threads| (contender, threads))
        });
        let is_shown = |(contender, threads): &(Contender, u32)| {
            self.model == Model::Crf || contender.is_serial() || *threads > 1
        };
        contenders.filter(is_shown).collect()
    }

    /// Finds or makes the files of the experiment `name`. The three Bi-LSTMs of the source run on
    /// planted text where nobody said where the corpora are.
    ///
    /// # Errors
    ///
    /// [`Error::is_lack_of_data`] holds where the experiment needs a corpus that is not there.
    pub(super) fn prepare(
        name: Name,
        workspace: &Workspace,
        program: &Program<'_>,
        folder: &Path,
    ) -> Result<Self> {
        if name == Name::Planted {
            return planted(program, folder);
        }
        let (train, test) = match (workspace.data(), name) {
            (Some(data), _) => corpus::files(name, data, program, folder)?,
            (None, Name::LstmPos | Name::LstmChunk | Name::LstmSeg) => {
                corpus::planted(name, program, folder)?
            }
            (None, _) => return Err(Error::DataUnset),
        };
        let experiment = Self::of(name, train, test);
        Ok(if workspace.data().is_some() { experiment } else { experiment.on_planted_text() })
    }

    /// The same network, settings and passes on planted text.
    fn on_planted_text(self) -> Self {
        let (title, about) = match self.name {
            Name::LstmPos => (
                "Planted corpus, parts of speech by a Bi-LSTM",
                "2,000 sentences drawn from a known language for training, 500 others for the \
                 test. The score is the accuracy.",
            ),
            Name::LstmSeg => (
                "Planted corpus, word segmentation by a Bi-LSTM",
                "The letters of 2,000 sentences drawn from a known language for training, of 500 \
                 others for the test. The score is F1 of words.",
            ),
            _ => (
                "Planted corpus, chunks by a Bi-LSTM",
                "2,000 sentences drawn from a known language for training, 500 others for the \
                 test. The score is that of the classic conlleval.",
            ),
        };
        Self { title, about, theirs: &[], ..self }
    }

    fn of(name: Name, train: PathBuf, test: PathBuf) -> Self {
        let chunk = Self {
            name,
            model: Model::Crf,
            title: "CoNLL-2000, all types of chunks",
            about: "8,936 sentences of the Wall Street Journal for training, 2,012 for the test; \
                    the 19 templates of CRFsuite's tutorial and label pairs. The score is that of \
                    the classic conlleval.",
            train,
            test,
            scorer: "conlleval",
            flags: &["--template", "chunking"],
            passes: PASSES,
            target: Target::Score(93.5),
            best_possible: None,
            has_panels: true,
            theirs: &[],
        };
        let target = Target::BelowSerial(SLACK);
        // What the source reports is from Sun, "Asynchronous Parallel Learning for Neural Networks
        // and Structured Models with Dense Features", COLING 2016, tables 1 and 2.
        match name {
            Name::CrfChunk | Name::Planted | Name::EmAlign | Name::EmPos | Name::NerDelay => chunk,
            Name::CrfNp => Self {
                title: "CoNLL-2000, base noun phrases",
                about: "The same sentences with noun phrases only, three labels: most probably \
                        the chunking task of the source. As there, frequent attributes look at pairs \
                        of labels too. Its scores stand in the table as theirs: another \
                        program, one run each.",
                // Every frequent attribute also looks at pairs of labels: that makes it dense.
                flags: &["--template", "np", "--only-type", "NP", "--rich-edges"],
                target,
                theirs: const {
                    &[
                        Theirs::serial(94.55, 1.92),
                        Theirs::asyngrad(94.59, 0.25, 7.68),
                        Theirs::asyngrad_sr(94.60, 0.21),
                    ]
                },
                ..chunk
            },
            Name::CrfPos => Self {
                title: "English Web Treebank, parts of speech",
                about: "Universal parts of speech, 17 labels, 12,544 sentences for training and \
                        2,077 for the test; words, affixes and shapes. The score is the accuracy.",
                scorer: "accuracy",
                flags: &["--template", "pos"],
                target,
                ..chunk
            },
            Name::CrfPosBrown => Self {
                title: "Brown corpus, parts of speech",
                about: "1.16 million words, as many as the corpus of the source has, and 50 tags; \
                        every tenth sentence is for the test. Words, affixes and shapes. The score \
                        is the accuracy. The source has the Wall Street Journal, and rich edges; its \
                        scores and times stand in the table as theirs.",
                scorer: "accuracy",
                flags: &["--template", "pos"],
                target,
                has_panels: false,
                theirs: const {
                    &[
                        Theirs::serial(97.18, 466.08),
                        Theirs::asyngrad(97.18, 108.38, 4.30),
                        Theirs::asyngrad_sr(97.35, 25.99),
                    ]
                },
                ..chunk
            },
            Name::CrfSeg => Self {
                title: "MSR, Chinese word segmentation",
                about: "The last tenth of the training text of the second SIGHAN bakeoff, 8,693 \
                        sentences, and the whole test, both normalised; characters, their pairs, \
                        classes and repetition, and words of the training text. The score is F1 of \
                        words. The source has the whole training text, ten times as much; its \
                        scores and times stand in the table as theirs.",
                scorer: "sighan",
                flags: &["--template", "seg", "--min-freq", "1"],
                target,
                theirs: const {
                    &[
                        Theirs::serial(97.13, 64.94),
                        Theirs::asyngrad(97.15, 8.11, 8.01),
                        Theirs::asyngrad_sr(97.22, 6.59),
                    ]
                },
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
            Name::LstmPos => Self {
                model: Model::BiLstm,
                title: "CoNLL-2000, parts of speech by a Bi-LSTM",
                about: "Words and parts of speech, 44 labels; vectors of 85 numbers for the word \
                        in lower case and for its shape, 170 units in each direction. The score is \
                        the accuracy. The source has another part of the Wall Street Journal, \
                        four times as large; its scores and times stand in the table as theirs.",
                scorer: "accuracy",
                flags: LSTM_POS,
                passes: 3,
                target,
                theirs: THEIR_LSTM_POS,
                ..chunk
            },
            Name::LstmPosEwt => Self {
                model: Model::BiLstm,
                title: "English Web Treebank, parts of speech by a Bi-LSTM",
                about: "Universal parts of speech, 17 labels, by the network for those of \
                        CoNLL-2000. The score is the accuracy.",
                scorer: "accuracy",
                flags: LSTM_POS,
                passes: 3,
                target,
                has_panels: false,
                ..chunk
            },
            Name::LstmPosBrown => Self {
                model: Model::BiLstm,
                title: "Brown corpus, parts of speech by a Bi-LSTM",
                about: "1.16 million words, as many as the corpus of the source has, and 50 tags; \
                        every tenth sentence is for the test. The network is that for the parts of \
                        speech of CoNLL-2000. The score is the accuracy. The source has the Wall \
                        Street Journal; its scores and times stand in the table as theirs.",
                scorer: "accuracy",
                flags: LSTM_POS,
                passes: 3,
                target,
                has_panels: false,
                theirs: THEIR_LSTM_POS,
                ..chunk
            },
            Name::LstmChunk => Self {
                model: Model::BiLstm,
                title: "CoNLL-2000, all types of chunks by a Bi-LSTM",
                about: "Vectors of 140 numbers for the word in lower case and of 70 for its part \
                        of speech and its shape, 280 units in each direction. The score is that \
                        of the classic conlleval.",
                flags: &["--template", "words-tags", "--hidden", "280"],
                passes: 3,
                target,
                ..chunk
            },
            Name::LstmNp => Self {
                model: Model::BiLstm,
                title: "CoNLL-2000, base noun phrases by a Bi-LSTM",
                about: "The same network for noun phrases only, three labels: most probably the \
                        chunking task of the source, whose scores and times stand in the table as \
                        theirs.",
                flags: &["--template", "words-tags", "--hidden", "280", "--only-type", "NP"],
                passes: 3,
                target,
                has_panels: false,
                theirs: const {
                    &[Theirs::serial(95.40, 1750.68), Theirs::asyngrad(95.45, 465.95, 3.76)]
                },
                ..chunk
            },
            Name::LstmSeg => Self {
                model: Model::BiLstm,
                title: "MSR, Chinese word segmentation by a Bi-LSTM",
                about: "The last tenth of the training text of the second SIGHAN bakeoff and the \
                        whole test, both normalised; vectors of 112 numbers for the character and \
                        of 36 for its pairs with both neighbours and its class, 220 units in each \
                        direction. The score is F1 of words. The source has a corpus of Weibo, of \
                        12,081 sentences; its scores and times stand in the table as theirs.",
                scorer: "sighan",
                flags: LSTM_SEG,
                passes: 4,
                target,
                theirs: THEIR_LSTM_SEG,
                ..chunk
            },
            Name::LstmSegGsd => Self {
                model: Model::BiLstm,
                title: "UD Chinese GSD, word segmentation by a Bi-LSTM",
                about: "3,997 sentences for training and 500 for the test, by the network for \
                        MSR. The score is F1 of words.",
                scorer: "sighan",
                flags: LSTM_SEG,
                passes: 4,
                target,
                has_panels: false,
                ..chunk
            },
            Name::LstmSegWeibo => Self {
                model: Model::BiLstm,
                title: "Weibo, word segmentation by a Bi-LSTM",
                about: "The training text of NLPCC 2016, which its owners give to those who sign \
                        for it: the first 12,081 sentences for training and the other 8,054 for \
                        the test, which is the cut of the source, by the network for MSR. The \
                        score is F1 of words. The source's scores and times stand in the table as \
                        theirs.",
                scorer: "sighan",
                flags: LSTM_SEG,
                passes: 4,
                target,
                theirs: THEIR_LSTM_SEG,
                ..chunk
            },
        }
    }
}

impl Model {
    /// Returns what `asyn train` calls it.
    pub(super) fn argument(self) -> &'static str {
        match self {
            Self::Crf => "crf",
            Self::BiLstm => "bilstm",
        }
    }
}

impl Theirs {
    const fn serial(score: f64, seconds_a_pass: f64) -> Self {
        let name = "serial (Sun 2016)";
        Self { name, threads: 1, score, seconds_a_pass, over_serial: None }
    }

    /// Their AsynGrad has ten threads.
    const fn asyngrad(score: f64, seconds_a_pass: f64, over_serial: f64) -> Self {
        let (name, over_serial) = ("AsynGrad (Sun 2016)", Some(over_serial));
        Self { name, threads: 10, score, seconds_a_pass, over_serial }
    }

    /// With structure regularisation, whose speed-up is not that of threads alone.
    const fn asyngrad_sr(score: f64, seconds_a_pass: f64) -> Self {
        let name = "AsynGrad, SR (Sun 2016)";
        Self { name, threads: 10, score, seconds_a_pass, over_serial: None }
    }
}

fn planted(program: &Program<'_>, folder: &Path) -> Result<Experiment> {
    let (train, test) = (folder.join("planted-train.txt"), folder.join("planted-test.txt"));
    program.generate(N_TRAIN, 1, &train)?;
    let best_possible = program.generate(N_TEST, 2, &test)?;
    Ok(Experiment {
        name: Name::Planted,
        model: Model::Crf,
        title: "Planted chunking corpus",
        about: "9,000 sentences drawn from a known language for training, 2,000 others for the \
                test. The best possible score is what the true parameters of the language reach \
                on the test.",
        train,
        test,
        scorer: "conlleval",
        flags: &["--template", "chunking"],
        passes: PASSES,
        target: Target::BelowSerial(SLACK),
        best_possible,
        has_panels: true,
        theirs: &[],
    })
}
