//! Rust text with comments and literals blanked out, so that what remains is code. Offsets and lines stay as they
//! were: every masked byte becomes a space.

/// The code of a Rust file.
pub(crate) fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = skipped_to(bytes, at);
        code[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// The end of the comment or literal that starts here; `at` itself if none does.
fn skipped_to(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let starts_word = at == 0 || !is_word(bytes[at - 1]);
    match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => at + block_comment(rest),
        [b'r', b'"' | b'#', ..] if starts_word => at + raw_string(rest, 1),
        [b'b', b'r', b'"' | b'#', ..] if starts_word => at + raw_string(rest, 2),
        [b'"', ..] => at + quoted(rest, b'"'),
        [b'\'', ..] => at + char_literal(rest),
        _ => at,
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Block comments nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn raw_string(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&b'"') {
        return 0; // r#type: a raw identifier
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = &rest[open + 1..];
    let length = body.windows(close.len()).position(|window| window == close).unwrap_or(body.len());
    (open + 1 + length + close.len()).min(rest.len())
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `'x'` and `'\n'`, but not the lifetime `'x`.
fn char_literal(rest: &[u8]) -> usize {
    match rest {
        [_, b'\\', ..] => quoted(rest, b'\''),
        _ => rest.iter().skip(2).take(4).position(|byte| *byte == b'\'').map_or(0, |at| {
            let inner = &rest[1..at + 2];
            let is_one_char = std::str::from_utf8(inner).is_ok_and(|text| text.chars().count() == 1);
            if is_one_char { at + 3 } else { 0 }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_remains() {
        for (text, code) in [
            ("a // crate::b\nc", "a            \nc"),
            ("a /* x /* y */ z */ b", "a                   b"),
            ("f(\"crate::x \\\" y\");", "f(               );"),
            ("r#\"a\"b\"# + r\"c\"", "         +     "),
            ("r#type", "r#type"),
            ("br\"x\" b\"y\"", "      b   "),
            ("fn f<'a>(c: &'a u8) { '\"' }", "fn f<'a>(c: &'a u8) {     }"),
            ("'\\'' 'é' \"", "          "),
            ("let for_r = bar;", "let for_r = bar;"),
        ] {
            assert_eq!(code_of(text).trim_end(), code.trim_end(), "{text}");
            assert_eq!(code_of(text).len(), text.len(), "{text}");
        }
    }
}
