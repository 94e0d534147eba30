//! What a run needs to go on, in a file, together with what it is a run of.
//!
//! The file is a model file of its own kind: `table.0` holds the weights as they are stored,
//! `table.1` and so on the tables of the update rule, `best` the weights of the best pass. Numbers
//! stand in the string map in decimal digits that read back as the same bits.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use asyn::core::{Checkpoint, SharedWeights};
use asyn::data::{ModelFault, ModelFile, Tensor};
use asyn::{Examples, Tagger};
use flate2::Crc;

use crate::event::DevScore;
use crate::failure::Failure;
use crate::run_folder::RunFolder;

const KIND: &str = "crf checkpoint";

/// What tells a model and its training data from others.
#[derive(Debug)]
pub(crate) struct Fingerprint {
    facts: Vec<(&'static str, String)>,
}

/// The weights of the pass that scored best.
#[derive(Debug)]
pub(crate) struct Best {
    pub(crate) pass: u32,
    pub(crate) score: DevScore,
    pub(crate) weights: SharedWeights,
}

impl Best {
    /// Returns true if so many passes up to `pass` have not done better.
    pub(crate) fn has_aged(&self, pass: u32, patience: NonZeroU32) -> bool {
        pass.saturating_sub(self.pass) >= patience.get()
    }

    /// Returns what a model file says about the score.
    pub(crate) fn describe(&self) -> String {
        let Self { pass, score, .. } = self;
        format!("F1 {:.2}, accuracy {:.2} after pass {pass}", score.f1, score.accuracy)
    }
}

impl Fingerprint {
    /// Takes the fingerprint of a tagger and the examples its encoder made.
    pub(crate) fn new(tagger: &Tagger, examples: &Examples) -> Self {
        let encoder = tagger.encoder();
        let mut vocabulary = ModelFile::default();
        encoder.to_tensors(&mut vocabulary);
        let mut attributes = Crc::new();
        vocabulary.blobs.values().for_each(|blob| attributes.update(blob));
        let mut content = Crc::new();
        let mut bytes = Vec::new();
        let mut add = |parts: &[&[u32]], labels: &[u16]| {
            bytes.clear();
            bytes.extend(parts.iter().copied().flatten().flat_map(|id| id.to_le_bytes()));
            bytes.extend(labels.iter().flat_map(|id| id.to_le_bytes()));
            content.update(&bytes);
        };
        match examples {
            Examples::Attributes(examples) => {
                examples.iter().for_each(|example| add(&[&example.attributes], &example.labels));
            }
            Examples::Ids(examples) => examples
                .iter()
                .for_each(|example| add(&[&example.ids, &example.characters], &example.labels)),
        }
        Self {
            facts: vec![
                ("columns", encoder.n_columns().to_string()),
                ("template", encoder.template().text().to_owned()),
                ("labels", encoder.labels().join(" ")),
                ("attributes", encoder.n_attributes().to_string()),
                ("rich attributes", encoder.n_rich().to_string()),
                ("checksum of the attributes", format!("{:08x}", attributes.sum())),
                ("sentences", examples.len().to_string()),
                ("checksum of the examples", format!("{:08x}", content.sum())),
            ],
        }
    }

    /// Returns the facts by name, to be kept.
    pub(crate) fn facts(&self) -> BTreeMap<String, String> {
        self.facts.iter().map(|(what, fact)| ((*what).to_owned(), fact.clone())).collect()
    }

    /// Refuses facts that were kept with a run, in the file or folder `run`, of another model.
    pub(crate) fn check(&self, kept: &BTreeMap<String, String>, run: &Path) -> Result<(), Failure> {
        for (what, here) in &self.facts {
            let there = kept.get(*what).map_or("", String::as_str);
            if there != here {
                let run = run.to_owned();
                let (there, here) = (abbreviated(there), abbreviated(here));
                return Err(Failure::OtherModel { run, what, there, here });
            }
        }
        Ok(())
    }
}

/// Writes a checkpoint; the one before stays until the new one is whole.
pub(crate) fn save(
    folder: &RunFolder,
    checkpoint: Checkpoint,
    best: Option<&Best>,
    fingerprint: &Fingerprint,
) -> Result<(), Failure> {
    let mut file = ModelFile::new(KIND);
    file.metadata.extend(fingerprint.facts());
    let mut note = |name: &str, value: String| file.metadata.insert(name.to_owned(), value);
    let scalars: Vec<String> = checkpoint.scalars.iter().map(ToString::to_string).collect();
    let (loss, examples, steps) = checkpoint.partial;
    note("pass", checkpoint.pass.to_string());
    note("done", checkpoint.done.to_string());
    note("loss", loss.to_string());
    note("examples", examples.to_string());
    note("steps", steps.to_string());
    note("scalars", scalars.join(" "));
    note("train_nanoseconds", checkpoint.train_time.as_nanos().to_string());
    if let Some(best) = best {
        let DevScore { f1, precision, recall, accuracy } = best.score;
        note("best.pass", best.pass.to_string());
        note("best.score", format!("{f1} {precision} {recall} {accuracy}"));
    }
    if let Some(best) = best {
        let values = best.weights.to_vec();
        file.tensors.insert("best".to_owned(), Tensor::new(&[values.len()], values));
    }
    for (number, table) in checkpoint.tables.into_iter().enumerate() {
        file.tensors.insert(format!("table.{number}"), Tensor::new(&[table.len()], table));
    }
    Ok(file.save(folder.checkpoint())?)
}

/// Reads a checkpoint; refuses one of another model.
pub(crate) fn load(
    folder: &RunFolder,
    fingerprint: &Fingerprint,
) -> Result<(Checkpoint, Option<Best>), Failure> {
    let path = folder.checkpoint();
    let mut file = ModelFile::load(&path, KIND)?;
    fingerprint.check(&file.metadata, folder.path())?;
    let unfit = |name| asyn::data::Error::Model {
        name: path.display().to_string(),
        fault: ModelFault::Content { name },
    };
    let best = match file.tensors.remove("best") {
        None => None,
        Some(tensor) => Some(best(&file, &tensor.values).ok_or_else(|| unfit("best"))?),
    };
    let mut checkpoint = position(&file).ok_or_else(|| unfit("the position"))?;
    while let Some(table) = file.tensors.remove(&format!("table.{}", checkpoint.tables.len())) {
        checkpoint.tables.push(table.values);
    }
    Ok((checkpoint, best))
}

fn position(file: &ModelFile) -> Option<Checkpoint> {
    let note = |name: &str| file.metadata.get(name).map(String::as_str);
    Some(Checkpoint {
        pass: note("pass")?.parse().ok()?,
        done: note("done")?.parse().ok()?,
        partial: (
            note("loss")?.parse().ok()?,
            note("examples")?.parse().ok()?,
            note("steps")?.parse().ok()?,
        ),
        scalars: numbers(note("scalars")?)?,
        tables: Vec::new(),
        train_time: Duration::from_nanos(note("train_nanoseconds")?.parse().ok()?),
    })
}

fn best(file: &ModelFile, values: &[f32]) -> Option<Best> {
    let note = |name: &str| file.metadata.get(name).map(String::as_str);
    let score = numbers(note("best.score")?)?;
    let [f1, precision, recall, accuracy] = *score.as_slice() else {
        return None;
    };
    let mut weights = SharedWeights::zeroed(values.len());
    weights.as_mut_slice().copy_from_slice(values);
    let score = DevScore { f1, precision, recall, accuracy };
    Some(Best { pass: note("best.pass")?.parse().ok()?, score, weights })
}

fn numbers(text: &str) -> Option<Vec<f64>> {
    text.split_whitespace().map(|number| number.parse().ok()).collect()
}

/// Returns the start of a long text, in one line.
fn abbreviated(text: &str) -> String {
    const MOST: usize = 60;
    let line = text.replace('\n', " ");
    match line.char_indices().nth(MOST) {
        None => line,
        Some((end, _)) => format!("{} …", &line[..end]),
    }
}
