//! `asyn cv`: what a model would score on new text, by k-fold cross-validation.
//!
//! The sentences are divided into folds with the seed; each fold is labelled by a model that was
//! trained on the others, after the last pass. The pooled score is that of all sentences together,
//! each labelled once, with the interval of `asyn eval --ci`.

use std::io::{Write, stdout};

use asyn::HeldOut;
use asyn::data::Bootstrap;
use asyn::data::conlleval::Chunks;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::data::{self, Data};
use crate::event::{DevScore, Log};
use crate::failure::Failure;
use crate::plan;
use crate::progress::Talk;
use crate::recording::Tape;
use crate::settings::Settings;
use crate::train_args::{BiLstmArgs, CrfArgs, ModelArgs};
use crate::watch::Watch;

/// The models that can be validated.
#[derive(Debug, Subcommand)]
pub(crate) enum CvVerb {
    /// Validates a dense linear-chain conditional random field.
    #[command(after_help = "\
Examples:
  asyn cv crf train.txt
  asyn cv crf train.txt --folds 5 --strategy serial -p chunking-rich --json")]
    Crf(CvArgs<CrfArgs>),
    /// Validates a bidirectional LSTM.
    #[command(
        name = "bilstm",
        after_help = "\
Examples:
  asyn cv bilstm train.txt --folds 5 --passes 5"
    )]
    BiLstm(CvArgs<BiLstmArgs>),
}

/// The flags of `cv`.
#[derive(Debug, Args)]
pub(crate) struct CvArgs<A: Args> {
    /// Number of folds.
    #[arg(long, value_name = "K", default_value = "10")]
    folds: usize,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    model: Box<A>,
}

/// What came out, in percent.
#[derive(Debug, Serialize)]
struct Report {
    folds: Vec<Fold>,
    mean: f64,
    /// The standard deviation over the folds.
    deviation: f64,
    /// F1 of all sentences together, or accuracy where there are no chunks.
    pooled: f64,
    interval: [f64; 2],
}

/// A fold, as its own model labels it.
#[derive(Debug, Serialize)]
struct Fold {
    sentences: usize,
    tokens: usize,
    #[serde(flatten)]
    score: DevScore,
}

/// Trains and scores fold by fold, and prints the scores.
pub(crate) fn run(args: &CvArgs<impl ModelArgs + Args>, talk: Talk) -> Result<(), Failure> {
    args.model.refuse_files_of_a_run("cv")?;
    if args.model.common().dev.is_some() {
        return Err(Failure::Usage("--dev is not for cv: every fold is held out once".to_owned()));
    }
    let settings = Settings::resolve(&*args.model)?;
    let (corpus, _) = data::read(&settings)?;
    if !(2..=corpus.n_sentences()).contains(&args.folds) {
        return Err(Failure::Usage(format!(
            "--folds {}: expected from 2 to the {} sentences of {}",
            args.folds,
            corpus.n_sentences(),
            corpus.name()
        )));
    }
    let mut folds = Vec::new();
    let mut chunks: Vec<Chunks> = Vec::new();
    for (train, test) in corpus.folds(args.folds, settings.seed) {
        let mut settings = settings.clone();
        let (sentences, tokens) = (test.n_sentences(), test.n_tokens());
        // What the template lacks is said once.
        let warnings = if folds.is_empty() { talk } else { Talk::Quiet };
        let mut data = Data::encode(&mut settings, train, None, warnings)?;
        let test = HeldOut::new(
            data.tagger.encoder(),
            data.tagger.model(),
            &test,
            settings.threads.get(),
        )?;
        let mut watch = Watch::new(&settings, &data, Log::default(), Talk::Quiet);
        let outcome = plan::train(&settings, &mut data, None, &mut watch, &mut Tape::Off)?;
        watch.finish()?;
        if outcome.stopped {
            let done = folds.len();
            return Err(Failure::Stopped(format!("stopped after {done} of {} folds", args.folds)));
        }
        let (model, weights) = (data.tagger.model(), data.tagger.weights());
        let score = DevScore::from(&test.score(model, weights, settings.threads.get()));
        chunks.extend(test.chunks(model, weights));
        folds.push(Fold { sentences, tokens, score });
        let (n, k, f1) = (folds.len(), args.folds, score.f1);
        talk.say(&format!("fold {n}/{k}: F1 {f1:.2}, accuracy {:.2}", score.accuracy));
    }
    let report = Report::new(folds, &chunks, settings.seed);
    let text = if args.json {
        serde_json::to_string(&report).expect("numbers are JSON") + "\n"
    } else {
        report.table()
    };
    stdout().write_all(text.as_bytes()).map_err(|source| Failure::Output { source })
}

impl Report {
    fn new(folds: Vec<Fold>, chunks: &[Chunks], seed: u64) -> Self {
        let scores = || folds.iter().map(|fold| fold.score.f1);
        let n = folds.len() as f64;
        let mean = scores().sum::<f64>() / n;
        let squares: f64 = scores().map(|score| (score - mean).powi(2)).sum();
        let deviation = (squares / (n - 1.0)).sqrt();
        let mut sum = Chunks::default();
        chunks.iter().for_each(|&sentence| sum.add(sentence));
        let interval = Bootstrap { seed, ..Bootstrap::default() }.interval(chunks);
        let interval = [interval.low, interval.high];
        Self { folds, mean, deviation, pooled: sum.f1(), interval }
    }

    fn table(&self) -> String {
        let mut text = "fold  sentences  tokens     F1  accuracy\n".to_owned();
        for (number, Fold { sentences, tokens, score }) in (1..).zip(&self.folds) {
            let DevScore { f1, accuracy, .. } = score;
            text.push_str(&format!(
                "{number:4}  {sentences:9}  {tokens:6}  {f1:5.2}  {accuracy:8.2}\n"
            ));
        }
        let Self { mean, deviation, pooled, interval: [low, high], .. } = self;
        text.push_str(&format!(
            "mean F1 {mean:.2}, standard deviation {deviation:.2}\n\
             pooled F1 {pooled:.2}: {low:.2} to {high:.2} with a confidence of 95 %, from {} samples of sentences\n",
            Bootstrap::default().samples
        ));
        text
    }
}
