//! `asyn info`.

use std::fmt::Write as _;
use std::io::{Write as _, stdout};

use asyn::data::{Scheme, TokenEncoder};
use asyn::models::{BiLstmSpec, OutputLayer};
use asyn::{SequenceModel, Tagger};
use serde_json::{Value, json};

use crate::args::InfoArgs;
use crate::failure::Failure;
use crate::settings::all_cores;

/// Prints what a model is, how it was trained, and its scores.
pub(crate) fn run(args: &InfoArgs) -> Result<(), Failure> {
    let (tagger, about) = Tagger::load(&args.model, all_cores().get())?;
    let encoder = tagger.encoder();
    let n_weights = tagger.model().layout().n_weights();
    let mut text = String::new();
    if args.json {
        let mut report = json!({
            "model": tagger.model().kind(),
            "labels": encoder.labels(),
            "scheme": encoder.scheme().map(Scheme::name),
            "written_scheme": encoder.spelling().map(|spelling| spelling.scheme().name()),
            "attributes": encoder.n_attributes(),
            "rich": encoder.n_rich(),
            "transitions": encoder.has_transitions(),
            "weights": n_weights,
            "columns": encoder.n_columns(),
            "template": encoder.template().name(),
        });
        if let Some((model, columns)) = tagger.model().bilstm() {
            let spec = model.spec();
            report["widths"] = spec.columns.iter().map(|column| column.width).collect();
            report["hidden"] = spec.hidden.into();
            report["layers"] = spec.layers.into();
            report["characters"] = columns.n_characters().into();
            report["output"] = format!("{:?}", spec.output).to_lowercase().into();
        }
        for (name, value) in about {
            report[name] = Value::String(value);
        }
        text = format!("{report}\n");
    } else {
        let mut line = |name: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ =
                writeln!(text, "{name:<12}{}", value.trim_end().replace('\n', "\n            "));
        };
        line(
            "model",
            match tagger.model() {
                SequenceModel::Crf(_) => "dense linear-chain conditional random field",
                SequenceModel::BiLstm(..) => "bidirectional long short-term memory",
            },
        );
        line("labels", &format!("{}: {}", encoder.labels().len(), encoder.labels().join(" ")));
        if let Some(scheme) = encoder.scheme() {
            let written =
                encoder.spelling().map(|it| format!(", written as {}", it.scheme().name()));
            line("scheme", &format!("{}{}", scheme.name(), written.unwrap_or_default()));
        }
        match tagger.model() {
            SequenceModel::Crf(_) => line(
                "attributes",
                &format!("{}, {} of them rich", encoder.n_attributes(), encoder.n_rich()),
            ),
            SequenceModel::BiLstm(model, columns) => {
                line("network", &describe(model.spec()));
                line("values", &values(columns));
            }
        }
        line("weights", &n_weights.to_string());
        line("template", encoder.template().name());
        line("columns", &format!("{}, the last one is the label", encoder.n_columns()));
        for (name, value) in &about {
            line(name, value);
        }
    }
    stdout().write_all(text.as_bytes()).map_err(|source| Failure::Output { source })
}

/// Returns the sizes of a Bi-LSTM in words.
fn describe(spec: &BiLstmSpec) -> String {
    let widths: Vec<String> = spec.columns.iter().map(|column| column.width.to_string()).collect();
    let mut text = format!("vectors of {}", widths.join(", "));
    if let Some(characters) = &spec.characters {
        let (width, hidden) = (characters.width, characters.hidden);
        text += &format!(", characters of {width} through twice {hidden} units");
    }
    let s = if spec.layers == 1 { "" } else { "s" };
    let output = match spec.output {
        OutputLayer::Softmax => "softmax",
        OutputLayer::Crf => "crf",
    };
    text + &format!("; {} layer{s} of twice {} units; {output}", spec.layers, spec.hidden)
}

/// Returns how many values the columns have.
fn values(columns: &TokenEncoder) -> String {
    let numbers: Vec<String> =
        columns.columns().map(|column| (column.n_ids - 1).to_string()).collect();
    let characters =
        columns.n_characters().map_or(String::new(), |n| format!(", {} characters", n - 1));
    numbers.join(", ") + &characters
}
