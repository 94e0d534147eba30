//! What the command tells of the races of a run.

use std::thread::available_parallelism;

use serde_json::Value;

use crate::place::{Place, assert_fails, errors};

fn events(place: &Place, log: &str) -> Vec<Value> {
    place.text(log).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn passes_tell_what_the_instruments_saw() {
    let place = Place::with_corpus(60);
    place.succeed("train crf -q train.txt --passes 2 -t 2 --instruments full -m m --log log");
    for pass in &events(&place, "log")[1..3] {
        let total = &pass["races"]["total"];
        assert_eq!(total["steps"], 60);
        let counts = total["staleness"].as_array().unwrap();
        assert_eq!(counts.iter().map(|count| count.as_u64().unwrap()).sum::<u64>(), 60);
        assert!(total["probes"].as_u64().unwrap() > 0, "{total}");
        for rate in ["overlapped_rate", "wrong_rate", "differing_share", "far_share"] {
            assert!((0.0..=1.0).contains(&total[rate].as_f64().unwrap()), "{rate}: {total}");
        }
        let workers = pass["races"]["workers"].as_array().unwrap();
        let steps = workers.iter().map(|worker| worker["steps"].as_u64().unwrap());
        assert_eq!(steps.sum::<u64>(), 60);
        assert!(pass.get("simulation").is_none(), "{pass}");
    }
}

#[test]
fn one_worker_is_never_wrong_and_instruments_change_nothing() {
    let place = Place::with_corpus(60);
    let serial = "train crf -q train.txt --passes 2 --strategy serial";
    place.succeed(&format!("{serial} -m a.model --log a"));
    place.succeed(&format!("{serial} -m b.model --log b --instruments full"));
    assert!(place.read("a.model") == place.read("b.model"));
    assert!(events(&place, "a")[1].get("races").is_none());
    let total = &events(&place, "b")[1]["races"]["total"];
    assert_eq!(total["staleness"], serde_json::json!([60]));
    for zero in ["overlapped_rate", "staleness_mean", "wrong_rate", "lost_mass", "bias"] {
        assert_eq!(total[zero], 0.0, "{zero}");
    }
    assert_eq!(
        (&total["cosine_mean"], &total["relative_error"]["max"]),
        (&1.0.into(), &0.0.into())
    );
}

#[test]
fn simulated_passes_add_up_and_are_watched_alike_every_time() {
    let place = Place::with_corpus(60);
    let simulated = "train crf train.txt --simulate -t 5 --passes 2 --instruments full";
    let said = errors(&place.run(&format!("{simulated} -m m --log a")));
    assert!(said.contains("of virtual time"), "{said}");
    place.succeed(&format!("{simulated} -m m --log b"));
    let (first, again) = (events(&place, "a"), events(&place, "b"));
    let end = &first[3]["simulation"];
    for count in ["loads", "stores", "misses", "steps", "overwritten_steps", "lost_stores"] {
        let passes = first[1..3].iter().map(|pass| pass["simulation"][count].as_u64().unwrap());
        assert_eq!(end[count], passes.sum::<u64>(), "{count}");
    }
    assert_eq!(end["steps"], 120);
    assert!(end["overwritten_steps"].as_u64().unwrap() > 0, "{end}");
    for pass in 1..3 {
        assert_eq!(first[pass]["races"], again[pass]["races"]);
        assert_eq!(first[pass]["simulation"], again[pass]["simulation"]);
    }
    let workers = first[1]["races"]["workers"].as_array().unwrap();
    assert_eq!(workers.len(), 5);
}

#[test]
fn measuring_is_training_with_a_table_and_a_page() {
    let place = Place::with_corpus(60);
    let output = place.succeed("measure crf -q train.txt -t 2 --passes 2 -m a.model");
    for word in ["stale (%)", "torn (%)", "lost (%)", "p99", "cosine", "bias", "\nall "] {
        assert!(output.contains(word), "{word:?} is not in {output}");
    }
    let log = events(&place, "a.measure/metrics.jsonl");
    assert_eq!(log[3]["races"]["total"]["steps"], 120);
    let page = place.text("a.measure/report.html");
    for title in ["Error of gradients by pass", "Stale and torn by worker", "Staleness"] {
        assert!(page.contains(title), "{title}");
    }
    // Without a model the run has a folder all the same.
    let simulated = place.succeed("measure crf -q train.txt -t 3 --passes 1 --simulate");
    let row = |text: &str, name: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect()
    };
    let stale: f64 = row(&simulated, "all")[1].parse().unwrap();
    let read_over: f64 = row(&simulated, "all")[4].parse().unwrap();
    assert!(stale > 0.0 && read_over > 0.0, "{simulated}");
    assert!(place.text("measure/report.html").contains("simulated stores lost (%)"));
    let serial = place.succeed("measure crf -q train.txt --strategy serial --passes 1 --run s");
    let zeros = ["0.00", "0.00", "0", "0.00", "0.00", "0.0000", "0.00", "0.0000"];
    assert_eq!(row(&serial, "all")[1..9], zeros, "{serial}");
    place.succeed("train crf -q train.txt --strategy serial --passes 1 -m b.model");
    assert!(place.read("b.model") == place.read("s/model.safetensors"));
}

#[test]
fn a_bound_and_sleeps_show_in_the_staleness() {
    let place = Place::with_corpus(60);
    let total = |flags: &str| {
        let line = "train crf -q train.txt -m m --log log --passes 1 --instruments default";
        place.succeed(&format!("{line} {flags}"));
        events(&place, "log")[1]["races"]["total"].clone()
    };
    // A sleeper is passed by many; the mean stays, since the others then meet fewer.
    let plain = total("--simulate -t 4")["staleness_largest"].as_u64().unwrap();
    let delayed = total("--simulate -t 4 --delay 4000:0.05")["staleness_largest"].as_u64().unwrap();
    assert!(delayed > 2 * plain, "{delayed} {plain}");
    // Three others may each write in their S steps ahead, in the S behind, and in the one between.
    let bounded = total("--simulate -t 4 --strategy bounded --staleness 1");
    assert!(bounded["staleness_largest"].as_u64().unwrap() <= 9, "{bounded}");
    assert_eq!(total("-t 2 --strategy bounded")["steps"], 60);
    assert_eq!(total("-t 2 --delay 20")["steps"], 60);
    place.succeed("train crf -q train.txt -m a --passes 1 --strategy serial");
    place.succeed("train crf -q train.txt -m b --passes 1 --strategy bounded -t 1");
    place.write("a.tagged", place.succeed("tag -q -m a --marginals train.txt"));
    place.write("b.tagged", place.succeed("tag -q -m b --marginals train.txt"));
    assert!(place.read("a.tagged") == place.read("b.tagged"));
}

#[test]
fn the_doctor_answers_in_sentences_and_in_json() {
    let place = Place::with_corpus(60);
    let text = place.succeed("doctor async train.txt -t 2");
    assert!((8..=15).contains(&text.lines().count()), "{text}");
    for part in ["AsynGrad ", "Measured, serial", "Simulated, not measured", "pay", "The bound on"]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let json = place.succeed("doctor async --train train.txt -p word -t 1 --sentences 20 --json");
    let report: Value = serde_json::from_str(&json).unwrap();
    assert!(report["sentences"].as_u64().unwrap() <= 20, "{report}");
    let workers = report["predictions"].as_array().unwrap().iter().map(|run| &run["workers"]);
    assert_eq!(workers.collect::<Vec<_>>(), [1, 2, 4, 8, 16]);
    // With one worker nothing can race, and what is simulated says so.
    assert_eq!(report["races"]["simulated"], true);
    assert_eq!(report["trials"].as_array().unwrap().len(), 1);
    assert!(report["advice"].to_string().contains("is simulated"), "{report}");
}

#[test]
fn the_doctor_looks_at_a_network_too() {
    let place = Place::with_corpus(12);
    let refusal = place.run("doctor async train.txt --kind bilstm -t 1");
    assert_fails(&refusal, 2, "--kind bilstm needs two cores and two threads");
    if available_parallelism().unwrap().get() == 1 {
        return;
    }
    let json = place.succeed("doctor async train.txt --kind bilstm -t 2 --json");
    let report: Value = serde_json::from_str(&json).unwrap();
    let trials = report["trials"].as_array().unwrap().iter().map(|trial| &trial["name"]);
    let names = ["serial", "asyngrad", "asyngrad without replicas", "locked", "round-robin"];
    assert_eq!(trials.collect::<Vec<_>>(), names);
    assert!(report["races"]["probes"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["predictions"].as_array().unwrap().len(), 5);
}
