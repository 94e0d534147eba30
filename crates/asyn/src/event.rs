//! The events of a run for machines: one JSON object a line, written as it happens.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use asyn::core::simulate::SimulationReport;
use asyn::data::conlleval::Score;
use serde::Serialize;

use crate::failure::Failure;
use crate::forecast::ForecastFacts;
use crate::races::RaceFacts;
use crate::settings::Settings;

/// What happened.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event<'a> {
    Start {
        model: &'a str,
        strategy: &'a str,
        threads: usize,
        seed: u64,
        update: &'a str,
        settings: SettingFacts<'a>,
        kernels: String,
        version: &'a str,
        data: DataFacts,
        forecast: Option<ForecastFacts>,
        machine: MachineFacts,
    },
    Pass {
        pass: u32,
        loss: f64,
        examples: u64,
        steps: u64,
        train_seconds: f64,
        total_train_seconds: f64,
        total_observe_seconds: f64,
        tokens_per_second: f64,
        dev: Option<DevScore>,
        #[serde(skip_serializing_if = "Option::is_none")]
        races: Option<RaceFacts>,
        #[serde(skip_serializing_if = "Option::is_none")]
        simulation: Option<SimulationFacts>,
    },
    End {
        passes: u32,
        stopped: bool,
        best_pass: Option<u32>,
        dev_f1: Option<f64>,
        total_train_seconds: f64,
        wall_seconds: f64,
        peak_memory_bytes: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        races: Option<RaceFacts>,
        #[serde(skip_serializing_if = "Option::is_none")]
        simulation: Option<SimulationFacts>,
    },
}

/// What was asked for.
#[derive(Debug, Serialize)]
pub(crate) struct SettingFacts<'a> {
    #[serde(flatten)]
    pub(crate) settings: &'a Settings,
    /// The line that was typed.
    pub(crate) command: String,
}

/// The size of the training data, and what it took to get them.
#[derive(Debug, Serialize)]
pub(crate) struct DataFacts {
    pub(crate) train: String,
    pub(crate) sentences: usize,
    pub(crate) tokens: usize,
    pub(crate) attributes: usize,
    pub(crate) rich: usize,
    pub(crate) labels: usize,
    pub(crate) weights: usize,
    pub(crate) read_seconds: f64,
    pub(crate) encode_seconds: f64,
}

/// Where it ran.
#[derive(Debug, Serialize)]
pub(crate) struct MachineFacts {
    pub(crate) cpu: Option<String>,
    pub(crate) cores: usize,
}

/// A score on development data, in percent.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
pub(crate) struct DevScore {
    pub(crate) f1: f64,
    pub(crate) precision: f64,
    pub(crate) recall: f64,
    pub(crate) accuracy: f64,
}

impl From<&Score> for DevScore {
    fn from(score: &Score) -> Self {
        Self {
            f1: score.f1(),
            precision: score.precision(),
            recall: score.recall(),
            accuracy: score.accuracy(),
        }
    }
}

impl DevScore {
    /// Returns whether this score is above another: by F1, or by accuracy where there are no
    /// chunks that would make F1 differ.
    pub(crate) fn is_above(&self, other: &Self) -> bool {
        (self.f1, self.accuracy) > (other.f1, other.accuracy)
    }
}

/// What a simulation counted, in a pass or in all.
#[derive(Debug, Serialize)]
pub(crate) struct SimulationFacts {
    seconds: f64,
    loads: u64,
    stores: u64,
    misses: u64,
    steps: u64,
    overwritten_steps: u64,
    lost_stores: u64,
    switches: u64,
}

impl From<&SimulationReport> for SimulationFacts {
    fn from(report: &SimulationReport) -> Self {
        Self {
            seconds: report.seconds,
            loads: report.loads,
            stores: report.stores,
            misses: report.misses,
            steps: report.steps,
            overwritten_steps: report.overwritten_steps,
            lost_stores: report.lost_stores,
            switches: report.switches,
        }
    }
}

/// The files that events are written to.
#[derive(Debug, Default)]
pub(crate) struct Log {
    files: Vec<(PathBuf, File)>,
}

impl Log {
    /// Adds a file, to begin anew or to go on with.
    pub(crate) fn add(&mut self, path: &Path, goes_on: bool) -> Result<(), Failure> {
        let mut options = OpenOptions::new();
        options.create(true).write(true).append(goes_on).truncate(!goes_on);
        let file = options.open(path).map_err(Failure::io("create", path))?;
        self.files.push((path.to_owned(), file));
        Ok(())
    }

    /// Returns whether events are written nowhere.
    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Writes an event to all files, at once.
    pub(crate) fn write(&mut self, event: &Event<'_>) -> Result<(), Failure> {
        let mut line = serde_json::to_string(event).expect("events are JSON");
        line.push('\n');
        for (path, file) in &mut self.files {
            file.write_all(line.as_bytes()).map_err(Failure::io("write", path))?;
        }
        Ok(())
    }
}
