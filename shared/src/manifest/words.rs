//! What a deserializer says of a value that does not fit, in words for people: `expected a whole number from 0 to 65535`, not `u16`.

/// The words of Rust's types, and what they mean.
const EXPECTED: [(&str, &str); 14] = [
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number from 0"),
    ("usize", "a whole number from 0"),
    ("i32", "a whole number from -2147483648 to 2147483647"),
    ("i64", "a whole number"),
    ("f64", "a number"),
    ("a nonzero u8", "a whole number from 1 to 255"),
    ("a nonzero u16", "a whole number from 1 to 65535"),
    ("a nonzero u32", "a whole number from 1 to 4294967295"),
    ("a boolean", "true or false"),
    ("a sequence", "a list"),
    ("a map", "an object"),
];

/// An error of serde, without the names of Rust's types.
pub fn plain(error: &str) -> String {
    match error {
        "data did not match any variant of untagged enum IntOrString" => {
            return "expected a whole number from 0 to 65535, or a name".to_owned();
        }
        "data did not match any variant of untagged enum IntOrText" => {
            return "expected a whole number or text".to_owned();
        }
        _ => {}
    }
    let Some((found, expected)) = error.rsplit_once(", expected ") else { return error.to_owned() };
    let found = match found {
        "invalid type: sequence" => "invalid type: a list",
        "invalid type: map" => "invalid type: an object",
        found => found,
    };
    let known = EXPECTED.iter().find(|(rust, _)| *rust == expected).map(|(_, words)| *words);
    let expected = match expected {
        expected if expected.starts_with("struct ") => "an object",
        expected => known.unwrap_or(expected),
    };
    format!("{found}, expected {expected}")
}
