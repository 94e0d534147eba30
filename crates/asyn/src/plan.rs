//! From settings to what runs: data, template, model, strategy, update.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asyn::core::simulate::{CostModel, Recorded, Replayed, Simulated};
use asyn::core::theory::{Lbfgs, Minimum, Stop};
use asyn::core::{
    Adam, AdaptiveRevision, Adf, AdfCounting, AsynGrad, Averaging, BatchTrainer, Checkpoint,
    Instruments, L2Form, Moments, Outcome, Read, Replicas, Sampling, Schedule, Serial, Sgd,
    Strategy, Trainer, Update, Write,
};
use asyn::data::{
    Corpus, Encoded, Encoder, Error, Format, FormatOptions, Scheme, Template, TokenEncoder,
    TokenIds, VocabularyOptions, Warning, open_text,
};
use asyn::models::Pieces;
use asyn::sync::{Bounded, Delayed, Locked, Minibatch, RoundRobin};
use asyn::{Examples, HeldOut, SequenceExample, SequenceModel, Tagger};

use crate::choice::{
    Delay, InstrumentsChoice, L2FormChoice, MomentsChoice, ReadChoice, SamplingChoice,
    ScheduleChoice, StrategyChoice, UpdateChoice, WriteChoice,
};
use crate::failure::Failure;
use crate::forecast::Forecast;
use crate::format::{format_of, options_of};
use crate::long_sentences::cut_long;
use crate::network::{NetworkSettings, input_len};
use crate::progress::Talk;
use crate::recording::{Events, Tape};
use crate::settings::Settings;
use crate::watch::Watch;

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
            let problem = "its lines are not columns of a network: lines with B and files of                            attributes are for crf";
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
        let mut forecast = None;
        if let (Some(crf), Examples::Attributes(examples)) = (model.crf(), &examples) {
            forecast = Forecast::new(settings, crf.shape(), examples, longest_dev);
            if let Some(forecast) = &forecast {
                forecast.check(&encoder, examples)?;
            }
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

/// Trains, or goes on from a checkpoint, in an order that may be kept or given.
pub(crate) fn train(
    settings: &Settings,
    data: &mut Data,
    checkpoint: Option<&Checkpoint>,
    watch: &mut Watch,
    tape: &mut Tape,
) -> Result<Outcome, Failure> {
    let run = Run { settings, data, checkpoint, watch };
    match settings.strategy {
        StrategyChoice::Serial => run.with_tape(Serial, tape),
        StrategyChoice::Asyngrad => match settings.delay {
            None => run.with_tape(AsynGrad, tape),
            Some(Delay { mean, share }) => {
                let mean = Duration::from_secs_f64(mean / 1e6);
                run.with_tape(Delayed { mean, probability: share, seed: settings.seed }, tape)
            }
        },
        StrategyChoice::Locked => run.with_tape(Locked, tape),
        StrategyChoice::RoundRobin => run.with_tape(RoundRobin, tape),
        StrategyChoice::Minibatch => run.with_strategy(Minibatch::default()),
        StrategyChoice::Bounded => {
            run.with_tape(Bounded { staleness: settings.staleness.unwrap_or_default() }, tape)
        }
    }
}

/// What is left once strategy and update are types.
struct Run<'r> {
    settings: &'r Settings,
    data: &'r mut Data,
    checkpoint: Option<&'r Checkpoint>,
    watch: &'r mut Watch,
}

impl Run<'_> {
    fn with_strategy(self, strategy: impl Strategy) -> Result<Outcome, Failure> {
        let settings = self.settings;
        match settings.update {
            UpdateChoice::Sgd if settings.bilstm.is_some() => {
                self.with_update::<TokenIds>(strategy, sgd(settings, Averaging::Off))
            }
            UpdateChoice::Sgd => {
                self.with_update::<Encoded>(strategy, sgd(settings, Averaging::Off))
            }
            UpdateChoice::Asgd => {
                let averaging = Averaging::FromPass(settings.average_from);
                self.with_update::<Encoded>(strategy, sgd(settings, averaging))
            }
            UpdateChoice::Adf => self.with_update::<Encoded>(strategy, adf(settings)),
            UpdateChoice::AdfCounting => {
                self.with_update::<Encoded>(strategy, AdfCounting(adf(settings)))
            }
            UpdateChoice::AdaptiveRevision => {
                let rate = real(settings.rate.unwrap_or_default());
                let update = AdaptiveRevision { rate, l2: real(settings.l2) };
                self.with_update::<Encoded>(strategy, update)
            }
            UpdateChoice::Adam => self.with_update::<TokenIds>(strategy, adam(settings)),
            UpdateChoice::Lbfgs => self.batch(&strategy),
        }
    }

    /// Runs a strategy on real threads, or on simulated ones if that is asked for.
    fn with_tape(self, strategy: impl Strategy, tape: &mut Tape) -> Result<Outcome, Failure> {
        if self.settings.simulate {
            return self.simulated(strategy, tape);
        }
        match std::mem::take(tape) {
            Tape::Off => self.with_strategy(strategy),
            Tape::Record => {
                let recorded = Recorded::new(strategy);
                let outcome = self.with_strategy(&recorded)?;
                *tape = Tape::Given(Events::Acts(recorded.into_acts()));
                Ok(outcome)
            }
            Tape::Given(Events::Acts(acts)) => {
                let replayed = Replayed::new(strategy, acts);
                let outcome = self.with_strategy(&replayed)?;
                check_end(outcome, replayed.has_strayed())
            }
            Tape::Given(Events::Turns(_)) => Err(Failure::Strayed),
        }
    }

    fn simulated(self, strategy: impl Strategy, tape: &mut Tape) -> Result<Outcome, Failure> {
        let cost = self.settings.cost.map_or_else(CostModel::default, |cost| cost.0);
        let simulated = Simulated::new(strategy, cost).map_err(asyn::Error::from)?;
        let keeps_turns = matches!(tape, Tape::Record);
        let simulated = match std::mem::take(tape) {
            Tape::Off => simulated,
            Tape::Record => simulated.recorded(),
            Tape::Given(Events::Turns(turns)) => simulated.replaying(turns),
            Tape::Given(Events::Acts(_)) => return Err(Failure::Strayed),
        };
        let outcome = self.with_strategy(&simulated)?;
        let outcome = check_end(outcome, simulated.has_strayed())?;
        if keeps_turns {
            *tape = Tape::Given(Events::Turns(simulated.into_turns()));
        }
        Ok(outcome)
    }

    /// Trains on examples of the kind `E`, which are those of the model.
    fn with_update<E: SequenceExample>(
        self,
        strategy: impl Strategy,
        update: impl Update,
    ) -> Result<Outcome, Failure> {
        let Self { settings, data, checkpoint, watch } = self;
        let (name, description) = (strategy.name(), update.describe());
        let trainer = trainer(settings, strategy, update)?;
        watch.start(settings, data, (name, trainer.n_workers(), &description))?;
        let examples = E::slice(&data.examples).expect("update rules are checked by model");
        let outcome = match checkpoint {
            None => data.tagger.fit(&trainer, examples, watch),
            Some(checkpoint) => data.tagger.resume(&trainer, examples, checkpoint, watch),
        };
        Ok(outcome?)
    }

    /// Runs L-BFGS on as many threads as the strategy has workers.
    fn batch(self, strategy: &impl Strategy) -> Result<Outcome, Failure> {
        let Self { settings, data, checkpoint, watch } = self;
        let threads = strategy.workers(settings.threads.get());
        let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        let lbfgs = Lbfgs { max_iterations: settings.passes as usize, ..Lbfgs::default() };
        let trainer = BatchTrainer { lbfgs, l2: settings.l2, threads };
        let description = format!("lbfgs with {} pairs, l2 {}", lbfgs.memory, settings.l2);
        watch.start(settings, data, (strategy.name(), threads.get(), &description))?;
        let examples = Encoded::slice(&data.examples).expect("lbfgs is for CRFs");
        let (outcome, minimum) = data.tagger.fit_batch(&trainer, examples, checkpoint, watch)?;
        watch.say(&describe(&minimum, data.examples.len()));
        Ok(outcome)
    }
}

/// Says where L-BFGS ended: the objective `Σ ℓ + λ/2 ‖w‖²`, and why there.
fn describe(minimum: &Minimum, n_examples: usize) -> String {
    let objective = minimum.value * n_examples as f64;
    let end = match minimum.stop {
        Stop::Tolerance => "its gradient is within tolerance",
        Stop::LineSearch => "minimal up to rounding",
        Stop::Iterations => "after all passes",
        Stop::Watch | Stop::NotFinite => "stopped",
    };
    let evaluations = minimum.evaluations;
    format!("objective {objective:.3} in {evaluations} evaluations of all examples: {end}")
}

/// Refuses the end of a replay that was not stopped and yet did other things than its run.
fn check_end(outcome: Outcome, has_strayed: bool) -> Result<Outcome, Failure> {
    if has_strayed && !outcome.stopped { Err(Failure::Strayed) } else { Ok(outcome) }
}

/// Makes the trainer of the settings.
pub(crate) fn trainer<S: Strategy, U: Update>(
    settings: &Settings,
    strategy: S,
    update: U,
) -> Result<Trainer<S, U>, Failure> {
    let replicas = settings.replicas.and_then(|replication| replication.0);
    let replicas = replicas.map(|rows| Replicas { rows, merge_every: settings.merge_every });
    let trainer = Trainer::builder()
        .strategy(strategy)
        .update(update)
        .threads(settings.threads.get())
        .passes(settings.passes)
        .seed(settings.seed)
        .sampling(match settings.sampling {
            SamplingChoice::WithoutReplacement => Sampling::WithoutReplacement,
            SamplingChoice::WithReplacement => Sampling::WithReplacement,
        })
        .read(match settings.read {
            ReadChoice::InPlace => Read::InPlace,
            ReadChoice::Snapshot => Read::Snapshot,
        })
        .write(match settings.write {
            WriteChoice::Racy => Write::Racy,
            WriteChoice::Cas => Write::Cas,
        })
        .accumulate(settings.accumulate)
        .sums_every(settings.sums_every)
        .sparse_threshold(real(settings.sparse_threshold))
        .replicas(replicas)
        .instruments(match settings.instruments {
            InstrumentsChoice::Off => Instruments::default(),
            InstrumentsChoice::Default => Instruments::default_set(),
            InstrumentsChoice::Full => Instruments::full(),
        })
        .segment_len(settings.segment.get())
        // Of a CRF a copy could be what does not fit into memory, and divergence leaves no model.
        .keep_good(settings.bilstm.is_some())
        .build()
        .map_err(asyn::Error::from);
    Ok(trainer?)
}

/// Makes the update rule Adam of the settings.
fn adam(settings: &Settings) -> Adam {
    let NetworkSettings { beta_1, beta_2, epsilon, warm_up, clip, moments, .. } =
        settings.bilstm.clone().unwrap_or_default();
    Adam {
        schedule: schedule(settings),
        beta_1: real(beta_1),
        beta_2: real(beta_2),
        epsilon: real(epsilon),
        warm_up: real(warm_up),
        clip: clip.map_or(f32::INFINITY, real),
        moments: match moments {
            MomentsChoice::Shared => Moments::Shared,
            MomentsChoice::Mixed => Moments::Mixed,
            MomentsChoice::Private => Moments::Private,
        },
    }
}

fn schedule(settings: &Settings) -> Schedule {
    let rate = real(settings.rate.unwrap_or_default());
    match settings.schedule {
        ScheduleChoice::Constant => Schedule::Constant { rate },
        ScheduleChoice::Exponential => Schedule::Exponential { rate, factor: real(settings.decay) },
        ScheduleChoice::InverseTime => {
            Schedule::InverseTime { rate, half_life: real(settings.half_life) }
        }
    }
}

/// Makes the update rule SGD of the settings.
pub(crate) fn sgd(settings: &Settings, averaging: Averaging) -> Sgd {
    let schedule = schedule(settings);
    Sgd { schedule, l2: real(settings.l2), averaging, l2_form: l2_form(settings) }
}

/// Makes the update rule ADF of the settings.
pub(crate) fn adf(settings: &Settings) -> Adf {
    Adf {
        rate: real(settings.rate.unwrap_or_default()),
        alpha: real(settings.alpha),
        beta: real(settings.beta),
        windows: settings.windows,
        factor: real(settings.decay),
        l2: real(settings.l2),
        l2_form: l2_form(settings),
    }
}

fn l2_form(settings: &Settings) -> Option<L2Form> {
    settings.l2_form.map(|form| match form {
        L2FormChoice::Exact => L2Form::Exact,
        L2FormChoice::OnTouch => L2Form::OnTouch,
        L2FormChoice::PerWindow => L2Form::PerWindow,
        L2FormChoice::PerPass => L2Form::PerPass,
    })
}

#[allow(clippy::cast_possible_truncation, reason = "settings need no more than f32")]
pub(crate) fn real(number: f64) -> f32 {
    number as f32
}
