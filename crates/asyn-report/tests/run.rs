//! Events of a run are read, and its page shows them.

use asyn_report::{Error, Run, run_report};

const METRICS: &str = include_str!("fixtures/metrics.jsonl");

#[test]
fn events_are_read_and_unknown_ones_passed_over() {
    let run = Run::parse(METRICS).unwrap();
    assert_eq!((run.start.threads, run.passes.len()), (2, 4));
    assert_eq!(run.passes[1].dev.unwrap().f1, 93.5625);
    assert_eq!(run.end.as_ref().unwrap().peak_memory_bytes, Some(181_403_648));
    assert_eq!(run.score_by_time()[0], (0.031, 92.9));
    assert_eq!(run.seconds_a_pass(), Some(0.02725));
}

#[test]
fn the_last_score_is_not_the_best_one() {
    let run = Run::parse(METRICS).unwrap();
    assert_eq!(run.last_score(), Some(93.6875));
}

#[test]
fn a_resumed_run_counts_a_repeated_pass_once() {
    let lines: Vec<&str> = METRICS.lines().collect();
    let resumed = [&lines[..4], &[lines[0]], &lines[2..]].concat().join("\n");
    let run = Run::parse(&resumed).unwrap();
    let passes: Vec<u64> = run.passes.iter().map(|pass| pass.pass).collect();
    assert_eq!(passes, [1, 2, 3, 4]);
}

#[test]
fn a_broken_line_is_named() {
    let text = format!("{METRICS}{{\"event\":\"pass\",\n");
    assert!(matches!(Run::parse(&text), Err(Error::Event { line: 8, .. })));
    assert!(matches!(Run::parse(""), Err(Error::NoStart)));
}

#[test]
fn the_page_of_a_run_shows_its_result_and_settings() {
    let html = run_report(METRICS).unwrap().html().unwrap();
    for text in ["93.69", "93.70", "182", "A &lt;fast&gt; processor", "rich_edges", "0.112"] {
        assert!(html.contains(text), "{text}");
    }
    assert_eq!(html.matches("<figure>").count(), 4);
}

#[test]
fn a_run_without_scores_or_end_has_a_page() {
    let start = METRICS.lines().next().unwrap();
    let html = run_report(start).unwrap().html().unwrap();
    assert!(html.contains("The run has not ended.") && !html.contains("<figure>"));

    let pass = "{\"event\":\"pass\",\"pass\":1,\"loss\":null,\"examples\":1,\"steps\":1,\
        \"train_seconds\":1.0,\"total_train_seconds\":1.0,\"total_observe_seconds\":0.0,\
        \"tokens_per_second\":7.0,\"dev\":null}";
    let html = run_report(&format!("{start}\n{pass}\n")).unwrap().html().unwrap();
    assert_eq!(html.matches("<figure>").count(), 2);
}
