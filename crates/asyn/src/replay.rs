//! `asyn replay`.

use std::fmt::Write as _;
use std::io::{Write, stdout};

use crate::args::ReplayArgs;
use crate::checkpoint::Fingerprint;
use crate::data::Data;
use crate::event::Log;
use crate::failure::Failure;
use crate::plan;
use crate::progress::Talk;
use crate::recording::{Ending, Events, Recording, SUMS, Tape};
use crate::run_folder::check_target;
use crate::train::{about, save, say_simulation};
use crate::watch::Watch;

/// Repeats a recorded run and says how far it is from the run.
pub(crate) fn run(args: &ReplayArgs, talk: Talk) -> Result<(), Failure> {
    let Recording { header, events } = Recording::load(&args.file)?;
    let mut settings = header.settings;
    settings.log = None;
    settings.model.clone_from(&args.model);
    if let Some(train) = &args.train {
        settings.train.clone_from(train);
    }
    if let Some(path) = &settings.model {
        check_target(path)?;
    }
    let mut data = Data::load(&mut settings, talk)?;
    let fingerprint = Fingerprint::new(&data.tagger, &data.examples);
    fingerprint.check(&header.fingerprint, &args.file)?;

    let is_exact = matches!(events, Events::Turns(_));
    let mut watch = Watch::new(&settings, &data, Log::default(), talk);
    let mut tape = Tape::Given(events);
    let outcome = plan::train(&settings, &mut data, None, &mut watch, &mut tape)?;
    let (manner, best, _) = watch.finish()?;
    say_simulation(&outcome, talk);
    if outcome.stopped && outcome.passes.len() < settings.passes as usize {
        return Err(Failure::Stopped("stopped".to_owned()));
    }
    let dev_f1 = best.as_ref().map(|best| best.score.f1);
    let end = Ending::new(&data.tagger.weights().to_vec(), dev_f1);
    if is_exact && !end.has_weights_of(&header.end) {
        return Err(Failure::Strayed);
    }
    let mut about = about(&settings, &data, &manner, settings.passes);
    if let Some(best) = best {
        about.insert("dev".to_owned(), best.describe());
        *data.tagger.weights_mut() = best.weights;
    }
    save(&settings, None, &data.tagger, &about, talk)?;
    let text = compare(&end, &header.end);
    stdout().write_all(text.as_bytes()).map_err(|source| Failure::Output { source })
}

/// Says how a replay differs from its run.
fn compare(replay: &Ending, run: &Ending) -> String {
    let mut text = if replay.has_weights_of(run) {
        "weights: those of the run, to the bit\n".to_owned()
    } else {
        format!(
            "weights: {:.2e} of their length away from those of the run, estimated from {SUMS} sums\n",
            replay.distance(run)
        )
    };
    if let (Some(here), Some(there)) = (replay.dev_f1, run.dev_f1) {
        _ = writeln!(text, "dev F1: {here:.2}, in the run {there:.2}");
    }
    text
}
