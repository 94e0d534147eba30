//! `asyn segment`.
//!
//! Raw text goes through the workers of `asyn tag`: its characters are labelled, and the words that
//! the labels spell are printed with spaces between them. A line comes out as a line.

use asyn::Tagger;
use asyn::data::{Format, FormatOptions, Scheme};

use crate::args::SegmentArgs;
use crate::failure::Failure;
use crate::progress::Talk;
use crate::settings::all_cores;
use crate::tag::{Print, Task, label_file};

/// Puts spaces between the words of raw text.
pub(crate) fn run(args: &SegmentArgs, talk: Talk) -> Result<(), Failure> {
    let threads = args.threads.unwrap_or_else(all_cores).get();
    let (tagger, _) = Tagger::load(&args.model, threads)?;
    let encoder = tagger.encoder();
    let labels: Vec<&str> = encoder.labels().iter().map(String::as_str).collect();
    let spells_words =
        Scheme::begins(&labels).is_some() && labels.iter().all(|label| label.len() == 1);
    if !spells_words || encoder.n_columns() != 2 {
        return Err(Failure::Usage(format!(
            "{}: the model is not one of segmented text, its labels are {}",
            args.model.display(),
            labels.iter().take(5).copied().collect::<Vec<_>>().join(", ")
        )));
    }
    let options = FormatOptions::default();
    let task =
        Task { tagger: &tagger, format: Format::Segmented, options: &options, print: Print::Words };
    label_file(task, &args.file, threads, talk)
}
