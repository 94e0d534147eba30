//! The page of one run.

use serde_json::Value;

use crate::axis::Axis;
use crate::error::Result;
use crate::events::{Pass, Run};
use crate::figure::{Figure, Point, Series};
use crate::page::Page;
use crate::races;
use crate::table::Table;

/// Makes the page of one run from the text of its `metrics.jsonl`: loss, score
/// and speed by pass, the score by time, and all settings.
///
/// # Errors
///
/// As [`Run::parse`].
pub fn run_report(metrics_jsonl: &str) -> Result<Page> {
    let run = Run::parse(metrics_jsonl)?;
    let start = &run.start;
    let title = format!("{} trained on {}", start.model, file_name(&start.data.train));
    let threads = if start.threads == 1 { "thread" } else { "threads" };
    let mut page = Page::new(title)
        .text(format!(
            "{} on {} {threads}, {}, seed {}.",
            start.strategy, start.threads, start.update, start.seed
        ))
        .table(result(&run));
    if let Some(command) = start.settings.get("command").and_then(Value::as_str) {
        page = page.command(command);
    }
    if !run.passes.is_empty() {
        page = page.section("Passes");
        if run.passes.iter().any(|pass| pass.dev.is_some()) {
            page = page.figure(score_by_pass(&run)).figure(score_by_time(&run));
        }
        page = page.figure(loss(&run)).figure(speed(&run)).table(passes(&run));
        page = races::add_section(page, &run);
    }
    Ok(page.section("Data and machine").table(data(&run)).section("Settings").table(settings(&run)))
}

fn result(run: &Run) -> Table {
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "–".into());
    let last = run.passes.last();
    let mut table = Table::new(["result", "value"]);
    if let Some(score) = last.and_then(|pass| pass.dev) {
        let Pass { pass, .. } = run.passes[run.passes.len() - 1];
        table = table.row([format!("F1 after pass {pass} (%)"), format!("{:.2}", score.f1)]);
    }
    if let Some(end) = &run.end {
        if let (Some(pass), Some(f1)) = (end.best_pass, end.dev_f1) {
            table =
                table.row([format!("F1 of the weights kept, pass {pass} (%)"), format!("{f1:.2}")]);
        }
        let memory = end.peak_memory_bytes.map(|bytes| megabytes(bytes).to_string());
        table = table
            .row(["training time (s)".to_owned(), format!("{:.3}", end.total_train_seconds)])
            .row(["time in all (s)".to_owned(), format!("{:.3}", end.wall_seconds)])
            .row(["peak memory (MB)".to_owned(), or_none(memory)]);
        if let Some(counted) = &end.simulation {
            table = races::add_simulation(table, counted);
        }
    } else {
        table = table.note("The run has not ended.");
    }
    let speed = run.tokens_per_second().map(|speed| format!("{:.2}", speed / 1e6));
    table.row(["median speed (million tokens/s)".to_owned(), or_none(speed)])
}

#[allow(clippy::cast_precision_loss, reason = "there are few passes")]
pub(crate) fn by_pass(run: &Run, value: impl Fn(&Pass) -> Option<f64>) -> Vec<Point> {
    let point = |pass: &Pass| Some(Point::new(pass.pass as f64, value(pass)?));
    run.passes.iter().filter_map(point).collect()
}

/// Returns the axis of passes, with each of them as a tick while there is room.
pub(crate) fn pass_axis(run: &Run) -> Axis {
    let passes = run.passes.iter().filter_map(|pass| u32::try_from(pass.pass).ok());
    let axis = Axis::new("pass");
    if run.passes.len() > 20 { axis } else { axis.whole_numbers(passes) }
}

fn score_by_pass(run: &Run) -> Figure {
    let points = by_pass(run, |pass| Some(pass.dev?.f1));
    Figure::lines("Score by pass", pass_axis(run), Axis::new("score on held-out data (%)"))
        .series(Series::new("F1", points))
        .series(Series::new("precision", by_pass(run, |pass| Some(pass.dev?.precision))))
        .series(Series::new("recall", by_pass(run, |pass| Some(pass.dev?.recall))))
}

fn score_by_time(run: &Run) -> Figure {
    let points = run.score_by_time().into_iter().map(|(time, f1)| Point::new(time, f1));
    let x = Axis::new("training time (s)").from(0.0);
    Figure::lines("Score by time", x, Axis::new("F1 on held-out data (%)"))
        .series(Series::new("F1", points))
        .caption("The clock stands still while the model is evaluated and saved.")
}

fn loss(run: &Run) -> Figure {
    let points = by_pass(run, |pass| pass.loss);
    Figure::lines("Loss by pass", pass_axis(run), Axis::new("sum of losses").from(0.0))
        .series(Series::new("loss", points))
        .caption("Each example is counted with the weights of the moment in which it was used.")
}

fn speed(run: &Run) -> Figure {
    let points = by_pass(run, |pass| Some(pass.tokens_per_second / 1e6));
    Figure::lines("Speed by pass", pass_axis(run), Axis::new("million tokens/s").from(0.0))
        .series(Series::new("speed", points))
}

fn passes(run: &Run) -> Table {
    let header = ["pass", "loss", "steps", "time (s)", "million tokens/s", "F1 (%)"];
    run.passes.iter().fold(Table::new(header), |table, pass| {
        let number = |value: Option<f64>, n_digits: usize| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.n_digits$}"))
        };
        table.row([
            pass.pass.to_string(),
            number(pass.loss, 1),
            pass.steps.to_string(),
            number(Some(pass.train_seconds), 4),
            number(Some(pass.tokens_per_second / 1e6), 2),
            number(pass.dev.map(|dev| dev.f1), 2),
        ])
    })
}

fn data(run: &Run) -> Table {
    let (data, machine) = (&run.start.data, &run.start.machine);
    let cpu = machine.cpu.as_deref().unwrap_or("of an unknown name");
    Table::new(["what", "value"])
        .row(["training file", &data.train])
        .row(["sentences", &data.sentences.to_string()])
        .row(["tokens", &data.tokens.to_string()])
        .row(["labels", &data.labels.to_string()])
        .row(["attributes", &data.attributes.to_string()])
        .row(["attributes on pairs of labels", &data.rich.to_string()])
        .row(["weights", &data.weights.to_string()])
        .row([
            "reading and encoding (s)",
            &format!("{:.3}", data.read_seconds + data.encode_seconds),
        ])
        .row(["processor", &format!("{cpu}, {} cores", machine.cores)])
        .row(["kernels", &run.start.kernels])
        .row(["version", &run.start.version])
}

fn settings(run: &Run) -> Table {
    run.start.settings.iter().fold(Table::new(["setting", "value"]), |table, (name, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        table.row([name.clone(), value])
    })
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Returns whole megabytes, rounded up.
pub(crate) fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}
