//! Sentences as ids, for models that look up a vector for each.

/// A sentence as ids: some columns a token, its characters, and its label.
///
/// | Field        | Shape               | Meaning                                               |
/// | ------------ | ------------------- | ----------------------------------------------------- |
/// | `ids`        | `n_tokens × columns` | the id of each token in each column, token after token |
/// | `characters` | all of the sentence | character ids, token after token                      |
/// | `offsets`    | `n_tokens + 1`      | where the characters of each token begin              |
/// | `labels`     | `n_tokens` or 0     | gold label ids; empty where the labels were not asked |
///
/// ```
/// use asyn_data::TokenIds;
///
/// // Two tokens with a word and a shape each, the second with two characters.
/// let sentence = TokenIds {
///     ids: vec![7, 0, 4, 1],
///     characters: vec![5, 2, 3],
///     offsets: vec![0, 1, 3],
///     labels: vec![0, 1],
/// };
/// assert_eq!(sentence.n_tokens(), 2);
/// assert_eq!(sentence.ids_of(1), [4, 1]);
/// assert_eq!(sentence.characters_of(1), [2, 3]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenIds {
    /// The ids of all columns, token after token.
    pub ids: Vec<u32>,
    /// Character ids of all the tokens.
    pub characters: Vec<u32>,
    /// The first character of each token, and the end of the last one.
    pub offsets: Vec<u32>,
    /// Label ids, or [`UNKNOWN_LABEL`](crate::UNKNOWN_LABEL).
    pub labels: Vec<u16>,
}

impl TokenIds {
    /// Returns the number of tokens.
    pub fn n_tokens(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Returns the ids of token `token`, one a column.
    ///
    /// # Panics
    ///
    /// If there is no such token.
    pub fn ids_of(&self, token: usize) -> &[u32] {
        let n_columns = self.ids.len() / self.n_tokens();
        &self.ids[token * n_columns..][..n_columns]
    }

    /// Returns the character ids of token `token`.
    ///
    /// # Panics
    ///
    /// If there is no such token.
    pub fn characters_of(&self, token: usize) -> &[u32] {
        &self.characters[self.offsets[token] as usize..self.offsets[token + 1] as usize]
    }
}
