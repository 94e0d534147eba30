//! Forecasts of memory before training, and runs that are refused because they would not fit.

#![cfg(target_os = "linux")]

use std::fmt::Write as _;
use std::process::Command;

use serde_json::Value;

use crate::place::{Place, assert_fails, errors};

/// Trains and returns the forecast of memory and the most that was held, in bytes.
fn forecast_and_peak(place: &Place, flags: &str) -> (f64, f64) {
    place.succeed(&format!("train {flags} -q --log log"));
    let log = place.text("log");
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let forecast = events[0]["forecast"]["memory_bytes"].as_f64().unwrap();
    assert!(events[0]["forecast"]["available_bytes"].as_f64().unwrap() > 0.0);
    (forecast, events.last().unwrap()["peak_memory_bytes"].as_f64().unwrap())
}

#[track_caller]
fn assert_close(place: &Place, flags: &str) {
    let (forecast, peak) = forecast_and_peak(place, flags);
    // What small runs take beside their data, 6 to 8 MB, is not forecast.
    let error = (forecast - peak).abs();
    assert!(error < (0.1 * peak).max(1e7), "{flags}: {forecast} of {peak}");
}

#[test]
fn the_memory_of_a_run_is_forecast_within_a_tenth_or_ten_megabytes() {
    let place = Place::with_corpus(800);
    let train = "crf train.txt -f 1 --passes 2 -t 2";
    for flags in [
        "-m m",
        "-m m --rich-edges -d 20% --strategy serial",
        "-m m --rich-edges --update asgd --average-from 1",
        "-m m --rich-edges --update adf-counting --strategy round-robin",
        "-m m --rich-edges --update adaptive-revision -d 20%",
        "-m m --update lbfgs",
        "-m m --init m",
        "--run r --rich-edges -d 20%",
    ] {
        assert_close(&place, &format!("{train} {flags}"));
    }
}

#[test]
fn the_memory_of_a_network_is_forecast_too() {
    let place = Place::with_corpus(60);
    let train = "bilstm train.txt --passes 2 -t 2";
    for flags in [
        "-m m --hidden 200",
        "-m m --hidden 200 -d 20% --moments private --accumulate 8 --dropout 0.3",
        "-m m --hidden 64 --characters 30,25 --update sgd --strategy locked",
        "--run r --hidden 200 -d 20%",
    ] {
        assert_close(&place, &format!("{train} {flags}"));
    }
}

#[test]
fn the_forecast_is_said_and_covers_time_where_that_is_long() {
    let place = Place::with_corpus(400);
    let said = errors(&place.run("train crf train.txt -m m --passes 1200"));
    let line = said.lines().find(|line| line.starts_with("forecast: at most ")).unwrap();
    assert!(line.contains(" MB of the ") && line.ends_with(" s of training"), "{line}");
    assert!(said.lines().any(|line| line.ends_with(" s left")), "{said}");
    for update in ["adam", "rmsprop --beta-2 0.9", "momentum --beta-1 0.98", "sgd"] {
        let flags = format!("-m m --passes 2 --hidden 40 --update {update}");
        let said = errors(&place.run(&format!("train bilstm train.txt {flags}")));
        let line = said.lines().find(|line| line.starts_with("forecast: at most ")).unwrap();
        assert!(line.contains(", about ") && line.ends_with(" s of training"), "{line}");
    }
    assert_close(&place, "bilstm train.txt -m m --passes 2 --hidden 200 -t 1");
    let said = errors(&place.run("train crf train.txt -m m --passes 1 --simulate"));
    assert!(!said.contains("s of training\n") || !said.contains("about"), "{said}");
}

#[test]
fn many_labels_and_long_sentences_are_within_bounds_or_refused() {
    let place = Place::new();
    let mut text = String::new();
    for i in 0..2000 {
        _ = write!(text, "w{} L{}\nv{} L{}\n\n", i % 700, i % 1000, i % 90, (i * 7) % 1000);
    }
    place.write("labels.txt", &text);
    let train = "crf labels.txt -p word -f 1 --passes 1 --strategy serial -m m";
    assert_close(&place, train);
    // Each attribute that is rich takes a million weights, 4 MB, in three copies.
    let rich = format!("train {train} -q --rich-edges --edge-min-freq 1");
    let output = place.command(&rich).output().unwrap();
    if !output.status.success() {
        assert_fails(&output, 2, "labels.txt: training would take ");
    }
    let long: String = (0..100_000).map(|i| format!("w{} T{}\n", i % 977, i % 13)).collect();
    place.write("long.txt", long);
    assert_close(&place, "crf long.txt -p word --passes 1 --strategy serial -m m");
    assert_close(&place, "crf long.txt -p word --passes 1 -t 2 -m m --rich-edges --sr-length 20");
}

#[test]
fn what_does_not_fit_is_refused_with_cut_offs_that_do() {
    let place = Place::with_corpus(4500);
    place.write("template", "U0:%x[0,0]/%x[1,0]/%x[0,1]\nU1:%x[-1,0]/%x[0,0]\nU2:%x[0,0]\nB\n");
    let limited = |flags: &str| {
        // A limit on addresses stands for a machine with less memory.
        let script = format!(
            r#"ulimit -v 120000; exec "$0" train crf -q train.txt -m m -p template --strategy serial -t 1 --passes 1 {flags}"#
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_asyn")]).current_dir(place.path(""));
        command.output().unwrap()
    };
    let before = place.names();
    let output = limited("-f 1 --rich-edges --edge-min-freq 1");
    assert_fails(&output, 2, "train.txt: training would take ");
    let said = errors(&output);
    assert_eq!((said.lines().count(), place.names()), (1, before));
    assert!(said.contains("or no --rich-edges ("), "{said}");
    let value_of = |flag: &str| {
        let rest = said.split(flag).nth(1).unwrap();
        rest.split(' ').nth(1).unwrap().to_owned()
    };
    let (edge_min_freq, min_freq) = (value_of("--edge-min-freq"), value_of("--min-freq"));
    for flags in [
        format!("-f 1 --rich-edges --edge-min-freq {edge_min_freq}"),
        "-f 1".to_owned(),
        format!("-f {min_freq} --rich-edges --edge-min-freq 1"),
    ] {
        let output = limited(&flags);
        assert!(output.status.success(), "{flags}: {}", errors(&output));
    }
}
