//! Sentences that are much longer than others: a CRF is trained on their pieces.

use asyn::data::Encoded;

use crate::progress::Talk;

/// The longest sentence, in tokens, that is trained as a whole.
///
/// The gradient of a sentence grows with its length, and step sizes are made for usual ones. Four of
/// the 8,323 sentences of CoNLL-2002 Spanish, of 178 to 1,238 tokens, made F1 fall from 80.7 to 76
/// with some seeds and pieces of ten tokens (Sun, 2014); cut at 60, 100 or 200 tokens, they do not.
const LONGEST: usize = 100;

/// Cuts sentences of more than [`LONGEST`] tokens into pieces, and says how many there were.
pub(crate) fn cut_long(examples: Vec<Encoded>, talk: Talk) -> Vec<Encoded> {
    let n_long = examples.iter().filter(|sentence| sentence.n_tokens() > LONGEST).count();
    if n_long == 0 {
        return examples;
    }
    talk.detail(&format!(
        "{n_long} of the sentences have more than {LONGEST} tokens and are trained in pieces"
    ));
    examples.into_iter().flat_map(|sentence| sentence.into_pieces(LONGEST)).collect()
}
