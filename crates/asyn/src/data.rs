//! From settings to data: corpora, template, encoder, and an untrained model for them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asyn::data::{
    Corpus, Encoder, Error, Format, FormatOptions, Scheme, Template, TokenEncoder,
    VocabularyOptions, Warning, open_text,
};
use asyn::models::Pieces;
use asyn::{Examples, HeldOut, SequenceModel, Tagger};

use crate::failure::Failure;
use crate::forecast::Forecast;
use crate::format::{format_of, options_of};
use crate::long_sentences::cut_long;
use crate::network::input_len;
use crate::progress::Talk;
use crate::settings::Settings;

/// What the template of files that have their attributes already is called.
const ATTRIBUTES: &str = "attributes";

/// The data of a run, encoded, with an untrained model for them.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) tagger: Tagger,
    pub(crate) examples: Examples,
    pub(crate) held_out: Option<Arc<HeldOut>>,
    pub(crate) forecast: Option<Forecast>,
    pub(crate) n_sentences: usize,
    pub(crate) n_tokens: usize,
    pub(crate) read_time: Duration,
    pub(crate) encode_time: Duration,
}

impl Data {
    /// Reads and encodes what the settings name, and settles the template and the step size.
    pub(crate) fn load(settings: &mut Settings, talk: Talk) -> Result<Self, Failure> {
        let started = Instant::now();
        let (train, dev) = read(settings)?;
        let read_time = started.elapsed();
        Ok(Self { read_time, ..Self::encode(settings, train, dev, talk)? })
    }

    /// Encodes corpora that were read.
    pub(crate) fn encode(
        settings: &mut Settings,
        train: Corpus,
        dev: Option<Corpus>,
        talk: Talk,
    ) -> Result<Self, Failure> {
        let started = Instant::now();
        let threads = settings.threads.get();
        let n_columns = train.n_columns();
        if n_columns < 2 {
            let name = train.name().to_owned();
            return Err(Error::Columns { name, expected: 2, actual: n_columns }.into());
        }
        let format = format_of(&settings.train, settings.format);
        let before = match settings.init.clone() {
            None => None,
            Some(path) => Some(load_before(&path, settings, threads)?),
        };
        let template = match &before {
            None => {
                let is_network = settings.bilstm.is_some();
                let name = settings
                    .template
                    .get_or_insert_with(|| default_template(format, &train, is_network));
                find_template(name, format, n_columns)?
            }
            Some(before) => template_of(before, n_columns, settings)?,
        };
        if format != Format::Crfsuite {
            let warnings = template.lint(n_columns)?.into_iter();
            let lacks_transitions =
                |warning: &Warning| matches!(warning, Warning::NoTransitions { .. });
            for warning in warnings.filter(|it| settings.bilstm.is_none() || !lacks_transitions(it))
            {
                talk.warn(&warning.to_string());
            }
        }
        if settings.bilstm.is_some() && (template.has_transitions() || format == Format::Crfsuite) {
            let problem = "its lines are not columns of a network: lines with B and files of \
                           attributes are for crf";
            return Err(Failure::Usage(format!("--template {}: {problem}", template.name())));
        }
        let mut lexicon = match &settings.lexicon {
            None => String::new(),
            Some(path) => read_lexicon(path, &template)?,
        };
        if let Some(before) = &before {
            lexicon.push('\n');
            lexicon.push_str(&before.encoder().lexicon());
        }
        let options = VocabularyOptions {
            min_freq: settings.min_freq,
            rich_edges: settings.rich_edges,
            edge_min_freq: settings.edge_min_freq,
            lexicon: &lexicon,
            scheme: scheme_of(before.as_ref(), settings)?,
            threads,
        };
        let (encoder, mut examples) = Encoder::build(&train, template, &options)?;
        let (n_sentences, n_tokens) = (train.n_sentences(), train.n_tokens());
        let n_attributes: usize = examples.iter().map(|example| example.attributes.len()).sum();
        settings.fill_rate(n_attributes as f64 / n_tokens.max(1) as f64);
        let (encoder, before) = match before {
            None => (encoder, None),
            Some(before) => {
                let (encoder, places) = encoder.join(before.encoder(), threads)?;
                examples.iter_mut().for_each(|example| places.renumber(example));
                (encoder, Some((before, places)))
            }
        };
        let mut vectors = None;
        let (model, examples) = match &mut settings.bilstm {
            None => {
                let examples = cut_long(examples, talk);
                (SequenceModel::crf_of(&encoder)?, Examples::Attributes(examples))
            }
            Some(network) => {
                drop(examples);
                let mut columns = TokenEncoder::new(&encoder, &train, network.characters.is_some());
                if let Some((_, there)) = before.as_ref().and_then(|(it, _)| it.model().bilstm()) {
                    columns = columns.with_characters_of(there);
                }
                let model;
                (model, vectors) = network.model(&encoder, columns, input_len(format, &train))?;
                let examples = model.encode(&encoder, &train, threads)?;
                (model, examples)
            }
        };
        let held_out = match &dev {
            None => None,
            Some(dev) => Some(Arc::new(HeldOut::new(&encoder, &model, dev, threads)?)),
        };
        if let (Some(held_out), Some(dev)) = (&held_out, &dev) {
            warn_of_unknown(dev.name(), held_out.unknown_labels(), talk);
        }
        drop((train, dev));
        let longest_dev = held_out.as_ref().map(|held_out| held_out.longest());
        let forecast = Forecast::new(settings, &encoder, &model, &examples, longest_dev);
        if let Some(forecast) = &forecast {
            forecast.check(&encoder, &examples)?;
        }
        let mut tagger = Tagger::new(encoder, model, settings.seed);
        if let Some(vectors) = &vectors {
            let n = vectors.ids.len();
            talk.say(&format!("{n} words start with vectors of {} numbers", vectors.width));
            tagger.set_vectors(vectors);
        }
        if let Some((before, places)) = &before {
            tagger = tagger.continuing(before, places);
        }
        let tagger = tagger.with_pieces(pieces(settings));
        let encode_time = started.elapsed();
        let read_time = Duration::ZERO;
        Ok(Self {
            tagger,
            examples,
            held_out,
            forecast,
            n_sentences,
            n_tokens,
            read_time,
            encode_time,
        })
    }
}

/// Reads a model to go on from, whose kind and sizes become those of the settings.
fn load_before(path: &Path, settings: &mut Settings, threads: usize) -> Result<Tagger, Failure> {
    let (before, _) = Tagger::load(path, threads)?;
    let refused = |problem| Failure::Usage(format!("--init {}: {problem}", path.display()));
    match (&mut settings.bilstm, before.model()) {
        (None, SequenceModel::Crf(_)) => {}
        (Some(network), SequenceModel::BiLstm(model, _)) => {
            network.take_sizes(model.spec()).map_err(refused)?;
        }
        (_, model) => return Err(refused(format!("it is a {}", model.kind()))),
    }
    Ok(before)
}

/// Returns the template of a model to go on from, which the data and the settings have to fit.
fn template_of(
    model: &Tagger,
    n_columns: usize,
    settings: &mut Settings,
) -> Result<Template, Failure> {
    let template = model.encoder().template();
    let format = format_of(&settings.train, settings.format);
    let name = settings.template.get_or_insert_with(|| template.name().to_owned());
    let is_other = *name != template.name()
        && find_template(name, format, n_columns)?.text() != template.text();
    let problem = if is_other {
        format!("its template is {}, not {name}", template.name())
    } else if model.encoder().n_columns() != n_columns {
        format!("it was trained on {} columns, not {n_columns}", model.encoder().n_columns())
    } else {
        return Ok(template.clone());
    };
    let path = settings.init.as_deref().unwrap_or(Path::new("")).display();
    Err(Failure::Usage(format!("--init {path}: {problem}")))
}

/// Returns the scheme that labels are learned in, where that is not the scheme of the file.
fn scheme_of(before: Option<&Tagger>, settings: &Settings) -> Result<Option<Scheme>, Failure> {
    let asked = settings.scheme.map(Scheme::from);
    let Some(before) = before.map(Tagger::encoder) else { return Ok(asked) };
    match asked {
        Some(asked) if before.scheme() != Some(asked) => Err(Failure::Usage(format!(
            "--scheme {}: the model to go on from learned {}",
            asked.name(),
            before.scheme().map_or("labels of no scheme", Scheme::name)
        ))),
        Some(asked) => Ok(Some(asked)),
        None => Ok(before.spelling().and(before.scheme())),
    }
}

/// Returns how sentences are cut for training.
fn pieces(settings: &Settings) -> Pieces {
    match (settings.sr_length, settings.sr_pieces) {
        (Some(length), _) => Pieces::Length(length),
        (None, Some(number)) => Pieces::Number(number),
        (None, None) => Pieces::Whole,
    }
}

/// Says which labels a model does not know, if there are any.
pub(crate) fn warn_of_unknown(name: &str, unknown: &BTreeMap<String, u64>, talk: Talk) {
    if unknown.is_empty() {
        return;
    }
    let n_tokens: u64 = unknown.values().sum();
    let labels: Vec<String> = unknown.iter().map(|(label, n)| format!("{label} ({n})")).collect();
    talk.warn(&format!(
        "{name}: {n_tokens} tokens have labels that the training data lack: {}",
        labels.join(", ")
    ));
}

/// Reads the training and the development data.
pub(crate) fn read(settings: &Settings) -> Result<(Corpus, Option<Corpus>), Failure> {
    let mut options = options_of(settings.columns.as_ref());
    let open = |path: &Path, options: &FormatOptions| -> Result<Corpus, Failure> {
        let mut corpus = format_of(path, settings.format).open(path, options)?;
        if let Some(kind) = &settings.only_type {
            corpus.only_type(kind);
        }
        Ok(corpus)
    };
    let train = open(&settings.train, &options)?;
    options.n_columns = Some(train.n_columns());
    let Some(dev) = &settings.dev else {
        return Ok((train, None));
    };
    let Some(percent) = dev.strip_suffix('%') else {
        let dev = open(Path::new(dev), &options)?;
        return Ok((train, Some(dev)));
    };
    let share = percent.parse().ok().filter(|share| (0.0..100.0).contains(share));
    let share: f64 =
        share.ok_or_else(|| Failure::Usage(format!("--dev {dev}: expected a file or a share")))?;
    let (kept, held_out) = train.split(share / 100.0, settings.seed);
    if kept.n_sentences() == 0 || held_out.n_sentences() == 0 {
        let n = train.n_sentences();
        return Err(Failure::Usage(format!("--dev {dev} leaves nothing of {n} sentences")));
    }
    Ok((kept, Some(held_out)))
}

/// Returns the name of the template for data of a format where none is named.
pub(crate) fn default_template(format: Format, corpus: &Corpus, is_network: bool) -> String {
    let name = match (format, corpus.n_columns()) {
        (Format::Segmented, _) if is_network => "characters",
        (_, 2) if is_network => "words",
        _ if is_network => "words-tags",
        (Format::Segmented, _) => "seg",
        (Format::Crfsuite, _) => ATTRIBUTES,
        (Format::Conllu, 2) => "pos",
        (_, 2) => "word",
        _ => "chunking",
    };
    name.to_owned()
}

/// Returns a template for data of a format, by its name or out of a file.
pub(crate) fn find_template(
    name: &str,
    format: Format,
    n_columns: usize,
) -> Result<Template, Failure> {
    if format == Format::Crfsuite {
        return if name == ATTRIBUTES {
            Ok(Template::attributes(n_columns))
        } else {
            let problem = "files of CRFsuite have their attributes already";
            Err(Failure::Usage(format!("--template {name}: {problem}")))
        };
    }
    if let Some(template) = Template::builtin(name) {
        return Ok(template);
    }
    let path = Path::new(name);
    let text = fs::read_to_string(path).map_err(Failure::io("read template", path))?;
    Ok(Template::parse(name, &text)?)
}

fn read_lexicon(path: &Path, template: &Template) -> Result<String, Failure> {
    if !template.uses_dictionary() {
        let name = template.name();
        let problem =
            format!("--lexicon is for templates with %word or %known: {name} has neither");
        return Err(Failure::Usage(problem));
    }
    Ok(open_text(path)?)
}
