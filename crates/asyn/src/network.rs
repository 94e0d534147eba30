//! The settings of a Bi-LSTM, and the model that they mean.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use asyn::SequenceModel;
use asyn::data::{Corpus, Encoder, Format, TokenEncoder, WordVectors};
use asyn::models::{BiLstmSpec, Characters, Initial, OutputLayer};
use serde::{Deserialize, Serialize};

use crate::choice::{CharacterSizes, InitialChoice, MomentsChoice, OutputChoice, Widths};
use crate::defaults;
use crate::failure::Failure;
use crate::rules::real;

/// The settings that only a Bi-LSTM has, as the table `bilstm` of `config.toml` holds them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct NetworkSettings {
    /// Filled in once the columns are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) width: Option<Widths>,
    /// Filled in once the columns are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hidden: Option<NonZeroUsize>,
    /// 1 where nothing else is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) layers: Option<NonZeroUsize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) characters: Option<CharacterSizes>,
    /// Softmax where nothing else is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<OutputChoice>,
    pub(crate) dropout: f64,
    pub(crate) unknown: f64,
    pub(crate) initial: InitialChoice,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vectors: Option<PathBuf>,
    pub(crate) beta_1: f64,
    pub(crate) beta_2: f64,
    pub(crate) epsilon: f64,
    pub(crate) warm_up: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) clip: Option<f64>,
    pub(crate) moments: MomentsChoice,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            width: None,
            hidden: None,
            layers: None,
            characters: None,
            output: None,
            dropout: defaults::DROPOUT,
            unknown: defaults::UNKNOWN,
            initial: InitialChoice::Orthogonal,
            vectors: None,
            beta_1: defaults::BETA_1,
            beta_2: defaults::BETA_2,
            epsilon: defaults::EPSILON,
            warm_up: 0.0,
            clip: None,
            moments: MomentsChoice::Shared,
        }
    }
}

/// Returns the length of an input vector for data of a format, where none is asked for.
pub(crate) fn input_len(format: Format, corpus: &Corpus) -> usize {
    match (format, corpus.n_columns()) {
        (Format::Segmented, _) => defaults::SEGMENTATION_INPUT,
        (_, 2) => defaults::TAGGING_INPUT,
        _ => defaults::CHUNKING_INPUT,
    }
}

impl NetworkSettings {
    /// Makes the model of an encoder of a training corpus, settles the sizes that depend on it, and
    /// returns the vectors that its words start with, if they are asked for.
    pub(crate) fn model(
        &mut self,
        encoder: &Encoder,
        columns: TokenEncoder,
        input_len: usize,
    ) -> Result<(SequenceModel, Option<WordVectors>), Failure> {
        let vectors = match &self.vectors {
            None => None,
            Some(path) => Some(WordVectors::open(path, &columns.values(encoder, 0))?),
        };
        let n_columns = columns.columns().len();
        let characters = self.characters.map_or(0, |characters| 2 * characters.hidden);
        let widths = self.width.get_or_insert_with(|| {
            let mut widths = widths(n_columns, input_len.saturating_sub(characters));
            if let Some(vectors) = &vectors {
                widths[0] = vectors.width;
            }
            Widths(widths)
        });
        let Widths(widths) = &*widths;
        if widths.len() != n_columns {
            let (n, name) = (widths.len(), encoder.template().name());
            return Err(Failure::Usage(format!(
                "--width has {n} lengths: the template {name} has {n_columns} columns"
            )));
        }
        if let (Some(vectors), Some(path)) = (&vectors, &self.vectors)
            && vectors.width != widths[0]
        {
            return Err(Failure::Usage(format!(
                "--width {}: the vectors of {} have {} numbers",
                widths[0],
                path.display(),
                vectors.width
            )));
        }
        let hidden = *self.hidden.get_or_insert_with(|| {
            NonZeroUsize::new(widths.iter().sum::<usize>() + characters)
                .unwrap_or(NonZeroUsize::MIN)
        });
        let spec = BiLstmSpec {
            columns: Vec::new(),
            characters: self.characters.map(|CharacterSizes { width, hidden }| Characters {
                rows: 0,
                width,
                hidden,
            }),
            hidden: hidden.get(),
            layers: self.layers.get_or_insert(NonZeroUsize::MIN).get(),
            labels: 0,
            output: match self.output.get_or_insert(OutputChoice::Softmax) {
                OutputChoice::Softmax => OutputLayer::Softmax,
                OutputChoice::Crf => OutputLayer::Crf,
            },
            dropout: real(self.dropout),
            unknown: real(self.unknown),
            initial: match self.initial {
                InitialChoice::Orthogonal => Initial::Orthogonal,
                InitialChoice::Xavier => Initial::Xavier,
                InitialChoice::DiagNormal => Initial::DiagNormal(defaults::DIAGONAL),
            },
        };
        Ok((SequenceModel::bilstm_of(encoder, columns, widths, spec)?, vectors))
    }

    /// Takes the sizes of a model to go on from, and refuses others.
    pub(crate) fn take_sizes(&mut self, before: &BiLstmSpec) -> Result<(), String> {
        let widths = Widths(before.columns.iter().map(|column| column.width).collect());
        let sizes = |it: Characters| CharacterSizes { width: it.width, hidden: it.hidden };
        let output = match before.output {
            OutputLayer::Softmax => OutputChoice::Softmax,
            OutputLayer::Crf => OutputChoice::Crf,
        };
        let there = Self {
            width: Some(widths),
            hidden: NonZeroUsize::new(before.hidden),
            layers: NonZeroUsize::new(before.layers),
            characters: before.characters.map(sizes),
            output: Some(output),
            ..self.clone()
        };
        let typed_otherwise = [
            ("width", self.width.is_some() && self.width != there.width),
            ("hidden", self.hidden.is_some() && self.hidden != there.hidden),
            ("layers", self.layers.is_some() && self.layers != there.layers),
            ("characters", self.characters.is_some() && self.characters != there.characters),
            ("output", self.output.is_some() && self.output != there.output),
        ];
        match typed_otherwise.iter().find(|(_, differs)| *differs) {
            Some((name, _)) => Err(format!("its {name} is another")),
            None => {
                *self = there;
                Ok(())
            }
        }
    }
}

/// Returns the lengths of the vectors of columns whose sum is `len`: half of it for the first one,
/// the rest for the others.
fn widths(n_columns: usize, len: usize) -> Vec<usize> {
    let n_others = n_columns.saturating_sub(1);
    let other = (len / 2).checked_div(n_others).map_or(0, |other| other.max(1));
    let mut widths = vec![other; n_columns];
    widths[0] = len.saturating_sub(other * n_others).max(1);
    widths
}
