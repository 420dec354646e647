//! Splits nft's language into tokens.
//!
//! Invariant: tokens are slices of the text, so that any stretch of them can be kept word for word.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    /// Without its quotes.
    Quoted,
    Comma,
    /// `;` or a line end.
    Separator,
    Open,
    Close,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
}

/// A place in the text. Copies are cheap: to look ahead, or to come back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Tokens<'a> {
        Tokens { text, at: 0 }
    }

    /// An unclosed quote ends the text.
    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blanks();
        let bytes = self.text.as_bytes();
        let start = self.at;
        let kind = match bytes.get(start)? {
            b'\n' | b';' => Kind::Separator,
            b',' => Kind::Comma,
            b'{' => Kind::Open,
            b'}' => Kind::Close,
            b'"' => return self.quoted(),
            _ => return Some(self.word()),
        };
        self.at += 1;
        Some(Token { kind, text: &self.text[start..self.at] })
    }

    fn word(&mut self) -> Token<'a> {
        let rest = &self.text[self.at..];
        let ends = |byte: u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' | b'{' | b'}' | b'"');
        let length = rest.bytes().position(ends).unwrap_or(rest.len());
        self.at += length;
        Token { kind: Kind::Word, text: &rest[..length] }
    }

    fn quoted(&mut self) -> Option<Token<'a>> {
        let inner = &self.text[self.at + 1..];
        let Some(length) = inner.find(['"', '\n']).filter(|end| inner.as_bytes()[*end] == b'"') else {
            self.at = self.text.len();
            return None;
        };
        self.at += length + 2;
        Some(Token { kind: Kind::Quoted, text: &inner[..length] })
    }

    /// Blanks, escaped line ends and comments.
    fn skip_blanks(&mut self) {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                Some(b'\\') if bytes.get(self.at + 1) == Some(&b'\n') => self.at += 2,
                Some(b'#') => {
                    let rest = &bytes[self.at..];
                    self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                }
                _ => break,
            }
        }
    }

    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.clone().next()
    }

    /// The next word, if the next token is one.
    pub(super) fn word_text(&mut self) -> Option<&'a str> {
        self.take(Kind::Word)
    }

    /// The next token's text, if it is of this kind; else nothing is taken.
    pub(super) fn take(&mut self, kind: Kind) -> Option<&'a str> {
        let mut ahead = *self;
        let token = ahead.next().filter(|token| token.kind == kind)?;
        *self = ahead;
        Some(token.text)
    }

    /// Takes the word if it comes next.
    pub(super) fn eat(&mut self, word: &str) -> Option<()> {
        let mut ahead = *self;
        ahead.next().filter(|token| token.kind == Kind::Word && token.text == word)?;
        *self = ahead;
        Some(())
    }

    /// Takes all of these words, or none.
    pub(super) fn eat_all(&mut self, words: &[&str]) -> Option<()> {
        let mut ahead = *self;
        words.iter().try_for_each(|word| ahead.eat(word))?;
        *self = ahead;
        Some(())
    }

    pub(super) fn skip_separators(&mut self) {
        while self.take(Kind::Separator).is_some() {}
    }

    /// At the end of a rule or declaration: a separator, a closing brace, or nothing more.
    pub(super) fn at_end(&self) -> bool {
        self.peek().is_none_or(|token| matches!(token.kind, Kind::Separator | Kind::Close))
    }

    /// Takes everything to the end of the line or declaration, with the braces that open in it. `None` if they never close.
    pub(super) fn skip_item(&mut self) -> Option<&'a str> {
        self.skip_blanks();
        let (start, mut end, mut depth) = (self.at, self.at, 0usize);
        loop {
            let before = *self;
            match self.next().map(|token| token.kind) {
                None if depth > 0 || self.at < self.text.len() => return None,
                None => break,
                Some(Kind::Open) => depth += 1,
                Some(Kind::Close) if depth == 0 => {
                    *self = before;
                    break;
                }
                Some(Kind::Close) => depth -= 1,
                Some(Kind::Separator) if depth == 0 => break,
                Some(_) => {}
            }
            end = self.at;
        }
        Some(&self.text[start..end])
    }

    /// The text between two places.
    pub(super) fn since(&self, mut start: Tokens<'a>) -> &'a str {
        start.skip_blanks();
        self.text.get(start.at..self.at).unwrap_or_default()
    }

    /// Of the place, from 1.
    pub(super) fn line(&self) -> usize {
        self.text.as_bytes()[..self.at].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// Nothing is left, and no quote was left open.
    pub(super) fn is_done(&self) -> bool {
        self.at >= self.text.len()
    }
}
