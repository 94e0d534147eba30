//! The settings of a training run: the defaults, under those of the run that is resumed, under
//! what was typed.
//!
//! All three are tables with the same keys, which are the names of the flags, so laying one over
//! the other is one loop; [`Settings`] then gives the keys their types. What only a network has is
//! a table of its own.

use std::collections::BTreeMap;
use std::fs;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;

use asyn::core::simulate::MOST_WORKERS;
use asyn::data::Format;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::choice::{
    Delay, InstrumentsChoice, L2FormChoice, ReadChoice, Replication, SamplingChoice,
    ScheduleChoice, SimulatedCost, StrategyChoice, UpdateChoice, WriteChoice,
};
use crate::defaults;
use crate::failure::Failure;
use crate::format::{Fields, FormatChoice, SchemeChoice};
use crate::network::NetworkSettings;
use crate::train_args::ModelArgs;

/// The settings that a resumed run may have otherwise than it began: none changes the model or
/// the steps that lead to it, and the training file is compared by content.
const MAY_CHANGE: [&str; 11] = [
    "train",
    "dev",
    "model",
    "threads",
    "passes",
    "patience",
    "log",
    "instruments",
    "segment",
    "f16",
    "prune",
];

/// The table of what only a Bi-LSTM has.
pub(crate) const NETWORK: &str = "bilstm";

/// The settings in it that not all update rules have, and those that do.
const OF_RULES: [(&str, &[UpdateChoice]); 6] = {
    use UpdateChoice::{Adam, Momentum, Rmsprop};
    [
        ("beta-1", &[Adam, Momentum]),
        ("beta-2", &[Adam, Rmsprop]),
        ("epsilon", &[Adam, Rmsprop]),
        ("warm-up", &[Adam, Rmsprop, Momentum]),
        ("clip", &[Adam, Rmsprop, Momentum]),
        ("moments", &[Adam, Rmsprop, Momentum]),
    ]
};

/// The settings that only a CRF has.
const OF_CRF: [&str; 8] = [
    "edge-min-freq",
    "rich-edges",
    "average-from",
    "windows",
    "alpha",
    "beta",
    "sums-every",
    "sparse-threshold",
];

/// Everything that a run depends on, as `config.toml` holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) train: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<FormatChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) columns: Option<Fields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<PathBuf>,
    pub(crate) f16: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prune: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) init: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dev: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<PathBuf>,
    /// Filled in once the number of columns is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lexicon: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scheme: Option<SchemeChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) only_type: Option<String>,
    pub(crate) min_freq: u32,
    pub(crate) rich_edges: bool,
    pub(crate) edge_min_freq: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sr_length: Option<NonZeroU32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sr_pieces: Option<NonZeroU32>,
    pub(crate) strategy: StrategyChoice,
    pub(crate) threads: NonZeroUsize,
    pub(crate) passes: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) patience: Option<NonZeroU32>,
    pub(crate) seed: u64,
    pub(crate) update: UpdateChoice,
    pub(crate) l2: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) l2_form: Option<L2FormChoice>,
    /// Filled in by the update rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rate: Option<f64>,
    pub(crate) schedule: ScheduleChoice,
    pub(crate) decay: f64,
    pub(crate) half_life: f64,
    pub(crate) average_from: u32,
    pub(crate) windows: u32,
    pub(crate) alpha: f64,
    pub(crate) beta: f64,
    pub(crate) accumulate: u32,
    pub(crate) sums_every: u32,
    pub(crate) sparse_threshold: f64,
    /// Filled in by strategy and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replicas: Option<Replication>,
    pub(crate) merge_every: u32,
    pub(crate) read: ReadChoice,
    pub(crate) write: WriteChoice,
    pub(crate) sampling: SamplingChoice,
    /// Filled in by the strategy bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) staleness: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delay: Option<Delay>,
    pub(crate) simulate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<SimulatedCost>,
    pub(crate) instruments: InstrumentsChoice,
    pub(crate) segment: NonZeroUsize,
    /// What only a Bi-LSTM has; nothing for a CRF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bilstm: Option<NetworkSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            train: PathBuf::new(),
            format: None,
            columns: None,
            model: None,
            f16: false,
            prune: None,
            init: None,
            dev: None,
            log: None,
            template: None,
            lexicon: None,
            scheme: None,
            only_type: None,
            min_freq: defaults::MIN_FREQ,
            rich_edges: false,
            edge_min_freq: defaults::EDGE_MIN_FREQ,
            sr_length: None,
            sr_pieces: None,
            strategy: StrategyChoice::Asyngrad,
            threads: all_cores(),
            passes: defaults::PASSES,
            patience: None,
            seed: defaults::SEED,
            update: UpdateChoice::Adf,
            l2: defaults::L2,
            l2_form: None,
            rate: None,
            schedule: ScheduleChoice::Exponential,
            decay: defaults::DECAY,
            half_life: defaults::HALF_LIFE,
            average_from: defaults::AVERAGE_FROM,
            windows: defaults::WINDOWS,
            alpha: defaults::ALPHA,
            beta: defaults::BETA,
            accumulate: defaults::ACCUMULATE,
            sums_every: defaults::SUMS_EVERY,
            sparse_threshold: defaults::SPARSE_THRESHOLD,
            replicas: None,
            merge_every: defaults::MERGE_EVERY,
            read: ReadChoice::InPlace,
            write: WriteChoice::Racy,
            sampling: SamplingChoice::WithoutReplacement,
            staleness: None,
            delay: None,
            simulate: false,
            cost: None,
            instruments: InstrumentsChoice::Off,
            segment: NonZeroUsize::new(defaults::SEGMENT).unwrap_or(NonZeroUsize::MIN),
            bilstm: None,
        }
    }
}

impl Settings {
    /// Returns the defaults of a Bi-LSTM.
    pub(crate) fn of_bilstm() -> Self {
        Self {
            min_freq: 1,
            update: UpdateChoice::Adam,
            l2: 0.0,
            schedule: ScheduleChoice::Constant,
            sums_every: 1,
            sparse_threshold: 0.0,
            merge_every: defaults::NETWORK_MERGE_EVERY,
            segment: NonZeroUsize::new(defaults::NETWORK_SEGMENT).unwrap_or(NonZeroUsize::MIN),
            bilstm: Some(NetworkSettings::default()),
            ..Self::default()
        }
    }

    /// Lays what was typed over the run that is resumed, if there is one, and over the defaults.
    pub(crate) fn resolve<A: ModelArgs>(args: &A) -> Result<Self, Failure> {
        let mut table = to_table(&A::defaults());
        let mut typed = to_table(args);
        let args = args.common();
        if let Some(file) = &args.file {
            typed.insert("train".to_owned(), file.display().to_string().into());
        }
        if let Some(folder) = &args.resume {
            let before = read(&folder.join("config.toml"))?;
            if before.contains_key(NETWORK) != table.contains_key(NETWORK) {
                let kind = if before.contains_key(NETWORK) { "bilstm" } else { "crf" };
                let folder = folder.display();
                return Err(Failure::Usage(format!("{folder} holds the run of a {kind}")));
            }
            check_changes(folder, &before, &typed)?;
            lay_over(&mut table, before);
        }
        let names_strategy = args.resume.is_some() || typed.contains_key("strategy");
        let network = typed.get(NETWORK).and_then(Value::as_table);
        let of_rules: Vec<_> = OF_RULES
            .into_iter()
            .filter(|(name, _)| network.is_some_and(|network| network.contains_key(*name)))
            .collect();
        lay_over(&mut table, typed);
        let mut settings: Self = table.try_into().map_err(|error: toml::de::Error| {
            Failure::Usage(format!("settings do not fit: {}", error.message()))
        })?;
        if settings.train.as_os_str().is_empty() {
            return Err(Failure::Usage("a training file is needed".to_owned()));
        }
        if settings.update == UpdateChoice::Lbfgs && !names_strategy {
            settings.strategy = StrategyChoice::Minibatch;
        }
        if settings.patience.is_some() && settings.dev.is_none() {
            return Err(Failure::Usage("--patience needs --dev: the score to watch".to_owned()));
        }
        settings.check_model()?;
        if let Some((name, rules)) =
            of_rules.iter().find(|(_, rules)| !rules.contains(&settings.update))
        {
            let rules: Vec<_> = rules.iter().map(|rule| rule.name()).collect();
            return Err(Failure::Usage(format!("--{name} is for --update {}", rules.join(", "))));
        }
        settings.check_strategy()?;
        settings.check_batch()?;
        settings.check_l2_form()?;
        settings.check_simulation()?;
        settings.fill();
        Ok(settings)
    }

    /// Refuses what the model does not have.
    fn check_model(&self) -> Result<(), Failure> {
        use UpdateChoice::{Adam, Momentum, Rmsprop, Sgd};
        let rule = self.update.name();
        let problem = match (&self.bilstm, self.update) {
            (None, Adam | Rmsprop | Momentum) => format!("--update {rule} is for bilstm"),
            (Some(_), Adam | Rmsprop | Momentum) if self.l2 > 0.0 => {
                format!("--l2 is for --update sgd: {rule} has none")
            }
            (None, _) | (Some(_), Adam | Rmsprop | Momentum | Sgd) => return Ok(()),
            (Some(_), _) => {
                format!("--update {rule} is for crf: bilstm has adam, rmsprop, momentum and sgd")
            }
        };
        Err(Failure::Usage(problem))
    }

    fn check_strategy(&self) -> Result<(), Failure> {
        let problem = match self.strategy {
            StrategyChoice::Bounded => return Ok(()),
            _ if self.staleness.is_some() => "--staleness is for --strategy bounded",
            _ => return Ok(()),
        };
        Err(Failure::Usage(problem.to_owned()))
    }

    fn check_batch(&self) -> Result<(), Failure> {
        let is_quiet = matches!(self.strategy, StrategyChoice::Minibatch | StrategyChoice::Serial);
        let problem = match self.update {
            UpdateChoice::Lbfgs if !is_quiet => "is for --strategy minibatch and serial",
            UpdateChoice::Lbfgs if self.sr_length.or(self.sr_pieces).is_some() => {
                "minimises one function: it cannot be combined with pieces that change in each pass"
            }
            UpdateChoice::Lbfgs if self.delay.is_some() => "has no steps that could be delayed",
            UpdateChoice::Lbfgs if self.simulate => "cannot be simulated",
            UpdateChoice::Lbfgs if self.instruments != InstrumentsChoice::Off => {
                "has no races that instruments could watch"
            }
            _ => return Ok(()),
        };
        Err(Failure::Usage(format!("--update lbfgs {problem}")))
    }

    /// Refuses a form of L2 that the update rule does not have.
    fn check_l2_form(&self) -> Result<(), Failure> {
        use L2FormChoice::{Exact, OnTouch, PerPass, PerWindow};
        let (rule, forms): (_, &[L2FormChoice]) = match self.update {
            UpdateChoice::Adf => ("adf", &[OnTouch, PerWindow, PerPass]),
            UpdateChoice::AdfCounting => ("adf-counting", &[PerWindow, PerPass]),
            UpdateChoice::Sgd => ("sgd", &[Exact, PerPass]),
            UpdateChoice::Asgd => ("asgd", &[Exact, PerPass]),
            UpdateChoice::AdaptiveRevision => ("adaptive-revision", &[OnTouch]),
            UpdateChoice::Lbfgs => ("lbfgs", &[Exact]),
            UpdateChoice::Adam | UpdateChoice::Rmsprop | UpdateChoice::Momentum => {
                (self.update.name(), &[])
            }
        };
        match self.l2_form {
            Some(form) if !forms.contains(&form) => {
                let has: Vec<String> = forms.iter().map(ToString::to_string).collect();
                let has = has.join(", ");
                Err(Failure::Usage(format!("--l2-form {form}: --update {rule} has {has}")))
            }
            _ => Ok(()),
        }
    }

    fn check_simulation(&self) -> Result<(), Failure> {
        let problem = match (self.simulate, self.strategy, self.threads.get()) {
            (true, StrategyChoice::Minibatch, _) => {
                "minibatch cannot be simulated: its workers are threads of a pool".to_owned()
            }
            (true, _, n) if n > MOST_WORKERS => {
                format!("--threads {n}: at most {MOST_WORKERS} workers can be simulated")
            }
            _ => return Ok(()),
        };
        Err(Failure::Usage(problem))
    }

    /// Settles the step size, which depends on the number of attributes of a token.
    pub(crate) fn fill_rate(&mut self, attributes: f64) {
        let rate = match self.update {
            UpdateChoice::Adf | UpdateChoice::AdfCounting => defaults::adf_rate(attributes),
            UpdateChoice::Sgd
            | UpdateChoice::Asgd
            | UpdateChoice::AdaptiveRevision
            | UpdateChoice::Lbfgs => defaults::SGD_RATE,
            UpdateChoice::Adam | UpdateChoice::Rmsprop => defaults::ADAM_RATE,
            UpdateChoice::Momentum => defaults::MOMENTUM_RATE,
        };
        self.rate.get_or_insert(rate);
    }

    /// Settles what depends on other settings.
    fn fill(&mut self) {
        if self.strategy == StrategyChoice::Bounded {
            self.staleness.get_or_insert(defaults::STALENESS);
        }
        // Copies of hot rows and of matrices save what several workers would lose by writing the
        // same lines of memory; the other strategies read copies of everything or have one writer.
        let shares = matches!(self.strategy, StrategyChoice::Asyngrad | StrategyChoice::Bounded)
            && self.threads.get() > 1
            && self.read == ReadChoice::InPlace
            && self.update != UpdateChoice::AdaptiveRevision;
        let (rows, pays) = match self.bilstm {
            // The simulator does not know what reading a copy costs.
            Some(_) => (0, self.accumulate < defaults::NETWORK_COPIES_BELOW && !self.simulate),
            None => (defaults::REPLICA_ROWS, true),
        };
        self.replicas.get_or_insert(Replication((shares && pays).then_some(rows)));
    }

    /// Returns the text of `config.toml`.
    pub(crate) fn to_toml(&self) -> String {
        toml::to_string(self).expect("settings are numbers and strings")
    }

    /// Returns the settings that say how a model was trained, without where files are and who
    /// watched.
    pub(crate) fn of_model(&self) -> Self {
        let train = self.train.file_name().map_or_else(PathBuf::new, PathBuf::from);
        let instruments = InstrumentsChoice::Off;
        Self { train, model: None, log: None, instruments, ..self.clone() }
    }
}

/// Returns in which format the training file of a model was, and which fields its columns were, from
/// what the model file says.
pub(crate) fn format_of_model(
    about: &BTreeMap<String, String>,
) -> (Option<Format>, Option<Fields>) {
    let settings = about.get("settings").and_then(|text| toml::from_str::<Settings>(text).ok());
    let Some(settings) = settings else {
        return (None, None);
    };
    let by_name = || Format::of_path(&settings.train);
    (settings.format.map(Format::from).or_else(by_name), settings.columns)
}

/// Returns the defaults in words, as `--help` shows them.
pub(crate) fn in_words(settings: &Settings) -> String {
    let mut defaults = to_table(settings);
    for depends_on_the_run in ["train", "threads"] {
        defaults.remove(depends_on_the_run);
    }
    let network = defaults.remove(NETWORK);
    if let Some(Value::Table(network)) = network {
        for name in OF_CRF {
            defaults.remove(name);
        }
        defaults.extend(network);
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let words = defaults.iter().map(|(name, value)| format!("{name} {}", word(value)));
        let rate = format!(
            "rate {} with adam and rmsprop, {} with momentum, {} with sgd",
            defaults::ADAM_RATE,
            defaults::MOMENTUM_RATE,
            defaults::SGD_RATE
        );
        let replicas = format!(
            "replicas 0 with asyngrad and bounded on several threads and fewer than {} sentences a \
             step, off otherwise",
            defaults::NETWORK_COPIES_BELOW
        );
        return words.chain([rate, replicas]).collect::<Vec<_>>().join(", ");
    }
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut words: Vec<String> =
        defaults.iter().map(|(name, value)| format!("{name} {}", word(value))).collect();
    words.push(format!(
        "rate {} with adf and less where a token has more than {} attributes, {} otherwise",
        defaults::ADF_RATE,
        defaults::ADF_ATTRIBUTES,
        defaults::SGD_RATE
    ));
    words.push(format!(
        "replicas {} with asyngrad and bounded on several threads, off otherwise",
        defaults::REPLICA_ROWS
    ));
    words.push(format!("staleness {} with bounded", defaults::STALENESS));
    words.join(", ")
}

/// Returns how many workers the machine can run at once.
pub(crate) fn all_cores() -> NonZeroUsize {
    available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Returns settings by the names of their flags.
pub(crate) fn to_table(settings: &impl Serialize) -> Table {
    Table::try_from(settings).expect("settings are numbers and strings")
}

fn read(path: &Path) -> Result<Table, Failure> {
    let text = fs::read_to_string(path).map_err(Failure::io("read", path))?;
    let malformed = |source| Failure::Settings { path: path.to_owned(), source };
    let settings: Settings = toml::from_str(&text).map_err(malformed)?;
    Ok(to_table(&settings))
}

/// Lays a table over another, and tables in it over those there.
fn lay_over(table: &mut Table, over: Table) {
    for (name, value) in over {
        match (table.get_mut(&name), value) {
            (Some(Value::Table(table)), Value::Table(over)) => lay_over(table, over),
            (_, value) => {
                table.insert(name, value);
            }
        }
    }
}

fn check_changes(folder: &Path, before: &Table, typed: &Table) -> Result<(), Failure> {
    for (name, here) in typed {
        let there = before.get(name);
        if let (Some(Value::Table(there)), Value::Table(here)) = (there, here) {
            check_changes(folder, there, here)?;
            continue;
        }
        if there != Some(here) && !MAY_CHANGE.contains(&name.as_str()) {
            let there = there.map_or("not set".to_owned(), ToString::to_string);
            return Err(Failure::Usage(format!(
                "--{name} is {there} in the run of {}, and cannot become {here}: a resumed run keeps its settings",
                folder.display()
            )));
        }
    }
    Ok(())
}
