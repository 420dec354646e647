//! Splits a printed rule into words and says what each of them is. Every language of rules separates its words by blanks.
//!
//! Law: the words joined with blanks are the text, unless a long list was cut.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::model::Text;

/// What a word is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    Plain,
    /// `-m`, `--dport`
    Flag,
    Address,
    Number,
    /// What is done.
    Verdict,
    /// The name of another part, by which [`super::LineId`] knows it.
    Part(Text),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: Text,
    pub role: Role,
}

const VERDICTS: [&str; 16] = [
    "ACCEPT",
    "DROP",
    "REJECT",
    "RETURN",
    "MASQUERADE",
    "DNAT",
    "MARK",
    "REDIRECT",
    "accept",
    "drop",
    "reject",
    "return",
    "masquerade",
    "dnat",
    "vmap",
    "update",
];

/// Words, and how many items of the last list are beyond `limit`. `part` knows the part that a word names, from the word
/// before it and the word.
pub(super) fn words(
    text: &str,
    limit: usize,
    part: impl Fn(&str, &str) -> Option<Text>,
) -> (Vec<Token>, usize) {
    let (mut words, mut before, mut commas) = (Vec::new(), "", 0);
    let mut rest = text.split(' ');
    for word in rest.by_ref() {
        let role = part(before, word).map_or_else(|| role(word), Role::Part);
        words.push(Token { text: word.into(), role });
        before = word;
        commas += usize::from(word == ",");
        if commas >= limit {
            break;
        }
    }
    // A comma was the last word: each one after it ends an item, and the last item has none.
    let cut = if commas >= limit && limit > 0 { rest.filter(|word| *word == ",").count() + 1 } else { 0 };
    (words, cut)
}

fn role(word: &str) -> Role {
    if VERDICTS.contains(&word) {
        return Role::Verdict;
    }
    let is_flag =
        |dashes: &str| word.strip_prefix(dashes).is_some_and(|rest| rest.starts_with(char::is_alphabetic));
    if is_flag("-") || is_flag("--") {
        return Role::Flag;
    }
    let first = word.split(',').next().unwrap_or(word);
    let is_address = first.parse::<IpAddr>().is_ok()
        || first.parse::<IpNet>().is_ok()
        || first.parse::<SocketAddr>().is_ok();
    match word.bytes().next() {
        _ if is_address => Role::Address,
        Some(b'0'..=b'9') => Role::Number,
        _ => Role::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_known_by_their_looks() {
        let rows = [
            ("-m", Role::Flag),
            ("--dport", Role::Flag),
            ("->", Role::Plain),
            ("-", Role::Plain),
            ("10.96.0.21", Role::Address),
            ("10.244.0.0/16", Role::Address),
            ("[fd00::1]:80", Role::Address),
            ("10.244.0.2,tcp:80,10.244.0.2", Role::Address),
            ("0x00004000/0x00004000", Role::Number),
            ("0.3333333333", Role::Number),
            ("80", Role::Number),
            ("DNAT", Role::Verdict),
            ("tcp", Role::Plain),
            ("", Role::Plain),
        ];
        for (word, expected) in rows {
            assert_eq!(role(word), expected, "{word}");
        }
    }

    #[test]
    fn long_lists_are_cut_at_an_item_and_counted() {
        let text = "dnat to numgen random mod 4 map { 0 : a , 1 : b , 2 : c , 3 : d }";
        let joined = |limit| {
            let (words, cut) = words(text, limit, |_, _| None);
            (words.iter().map(|word| &*word.text).collect::<Vec<_>>().join(" "), cut)
        };
        assert_eq!(joined(4), (text.to_owned(), 0));
        assert_eq!(joined(3), ("dnat to numgen random mod 4 map { 0 : a , 1 : b , 2 : c ,".to_owned(), 1));
        assert_eq!(joined(1), ("dnat to numgen random mod 4 map { 0 : a ,".to_owned(), 3));
    }
}
