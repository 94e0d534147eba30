//! Writes a planted chunking corpus to standard output: sentences, then a seed.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example reports to its reader")]

fn main() {
    let mut numbers = std::env::args().skip(1).map_while(|number| number.parse().ok());
    let n_sentences = numbers.next().unwrap_or(100);
    let seed = numbers.next().unwrap_or(1);
    let planted = asyn_data::planted::chunking(usize::try_from(n_sentences).unwrap_or(100), seed);
    print!("{}", planted.text());
    eprintln!("the best labels score:\n{}", planted.best_score(&planted.corpus()));
}
