//! Commands for people to copy: every word that comes from a cluster is quoted, so that a hostile name is still one word.

/// Joins words, each quoted for a POSIX shell if it has to be. Control characters, which a terminal would obey, become `?`.
pub(crate) fn command(words: &[&str]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let clean: String = word.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !clean.is_empty() && clean.chars().all(plain) {
        clean
    } else {
        format!("'{}'", clean.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        for (words, expected) in [
            (vec!["kubectl", "-n", "shop", "get", "svc"], "kubectl -n shop get svc"),
            (vec!["a", ""], "a ''"),
            (vec!["$(rm -rf /)", "`id`", "a;b"], "'$(rm -rf /)' '`id`' 'a;b'"),
            (vec!["it's"], r"'it'\''s'"),
            (vec!["a\u{1b}[31m\nb"], "'a?[31m?b'"),
            (vec![r#"[{"op":"remove"}]"#], r#"'[{"op":"remove"}]'"#),
        ] {
            assert_eq!(command(&words), expected);
        }
    }
}
