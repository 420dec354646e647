//! Which names were probably meant.

/// How many single characters must be changed, added or removed, counted up to `limit`; more is `None`.
pub(super) fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = changed.min(corner + 1).min(row[j] + 1);
        }
    }
    row.last().copied().filter(|found| *found <= limit)
}

/// How different two names are, if they are alike: a slip of the keyboard or two, or one begins the other.
pub(crate) fn likeness(a: &str, b: &str) -> Option<usize> {
    let limit = if a.len().min(b.len()) <= 3 { 1 } else { 2 };
    let begins = |long: &str, short: &str| short.len() >= 3 && long.starts_with(short);
    distance(a, b, limit).or_else(|| (begins(a, b) || begins(b, a)).then_some(limit + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeness_of_names() {
        for (a, b, expected) in [
            ("orders", "order", Some(1)),
            ("htpp", "http", Some(1)),
            ("web", "web", Some(0)),
            ("web", "wob", Some(1)),
            ("web", "api", None),
            ("cart", "cart-canary", Some(3)),
            ("db", "dbs", Some(1)),
            ("db", "database", None),
            ("payments", "recommendations", None),
        ] {
            assert_eq!(likeness(a, b), expected, "{a} {b}");
        }
    }
}
