//! Splits a rule into words as `iptables-restore` does: at blanks outside double quotes.
//!
//! Invariant: words are slices of the line, so that any stretch of them can be kept word for word.

use std::borrow::Cow;

#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    line: &'a str,
    at: usize,
    /// A quote was never closed.
    pub(super) broken: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'a> {
    /// With its quotes.
    pub(super) raw: &'a str,
    /// Where it starts in the line.
    pub(super) start: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Words<'a> {
        Words { line, at: 0, broken: false }
    }

    pub(super) fn next(&mut self) -> Option<Word<'a>> {
        let bytes = self.line.as_bytes();
        let mut at = self.at;
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        let (start, mut quoted) = (at, false);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\\' if quoted => at += 1,
                b'"' => quoted = !quoted,
                byte if byte.is_ascii_whitespace() && !quoted => break,
                _ => {}
            }
            at += 1;
        }
        // An escape may be the last byte.
        self.at = at.min(bytes.len());
        self.broken |= quoted;
        (start < self.at).then(|| Word { raw: &self.line[start..self.at], start })
    }

    pub(super) fn peek(&self) -> Option<Word<'a>> {
        self.clone().next()
    }

    /// The text from `start` to the last word taken.
    pub(super) fn since(&self, start: usize) -> &'a str {
        &self.line[start..self.at]
    }

    /// Takes everything that is left.
    pub(super) fn rest(&mut self) -> Words<'a> {
        let rest = *self;
        while self.next().is_some() {}
        rest
    }
}

/// What the word means: without its quotes and escapes.
pub(super) fn unquoted(raw: &str) -> Cow<'_, str> {
    let Some(inner) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return if raw.contains('"') { Cow::Owned(unescaped(raw)) } else { Cow::Borrowed(raw) };
    };
    if inner.contains(['"', '\\']) { Cow::Owned(unescaped(raw)) } else { Cow::Borrowed(inner) }
}

fn unescaped(raw: &str) -> String {
    let (mut text, mut quoted, mut letters) = (String::with_capacity(raw.len()), false, raw.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '"' => quoted = !quoted,
            '\\' if quoted => text.extend(letters.next()),
            letter => text.push(letter),
        }
    }
    text
}
