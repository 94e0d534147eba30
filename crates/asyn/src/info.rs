//! `asyn info`.

use std::fmt::Write as _;
use std::io::{Write as _, stdout};

use asyn::Tagger;
use asyn::core::Model;
use asyn::data::Scheme;
use serde_json::{Value, json};

use crate::args::InfoArgs;
use crate::failure::Failure;
use crate::settings::all_cores;

/// Prints what a model is, how it was trained, and its scores.
pub(crate) fn run(args: &InfoArgs) -> Result<(), Failure> {
    let (tagger, about) = Tagger::load(&args.model, all_cores().get())?;
    let encoder = tagger.encoder();
    let n_weights = tagger.crf().layout().n_weights();
    let mut text = String::new();
    if args.json {
        let mut report = json!({
            "model": asyn::KIND,
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
        line("model", "dense linear-chain conditional random field");
        line("labels", &format!("{}: {}", encoder.labels().len(), encoder.labels().join(" ")));
        if let Some(scheme) = encoder.scheme() {
            let written =
                encoder.spelling().map(|it| format!(", written as {}", it.scheme().name()));
            line("scheme", &format!("{}{}", scheme.name(), written.unwrap_or_default()));
        }
        line(
            "attributes",
            &format!("{}, {} of them rich", encoder.n_attributes(), encoder.n_rich()),
        );
        line("weights", &n_weights.to_string());
        line("template", encoder.template().name());
        line("columns", &format!("{}, the last one is the label", encoder.n_columns()));
        for (name, value) in &about {
            line(name, value);
        }
    }
    stdout().write_all(text.as_bytes()).map_err(|source| Failure::Output { source })
}
