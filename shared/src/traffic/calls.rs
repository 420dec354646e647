//! Which Services a pod connects to, as its annotation says: the sandbox's clients, and clients that checks know of.

use std::str::FromStr;

use crate::model::{Key, Text};

/// `NAMESPACE/NAME[:PORT]=RATE`, several separated by commas: the Services that a pod connects to, and how often a second.
pub const CALLS_ANNOTATION: &str = "vipscope.dev/simulated-calls";
const MOST_RATE: f64 = 1000.0;

/// Where to, and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub service: Key,
    /// Name or number; `None`: the first port.
    pub port: Option<Text>,
    /// A second.
    pub rate: f64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not NAMESPACE/NAME[:PORT]=RATE with a rate from 0 to 1000 a second")]
pub struct CallError(String);

impl FromStr for Call {
    type Err = CallError;

    fn from_str(text: &str) -> Result<Call, CallError> {
        let wrong = || CallError(text.to_owned());
        let (target, rate) = text.trim().split_once('=').ok_or_else(wrong)?;
        let (namespace, name) = target.split_once('/').ok_or_else(wrong)?;
        let (name, port) = match name.split_once(':') {
            Some((name, port)) => (name, Some(port.into())),
            None => (name, None),
        };
        if namespace.is_empty() || name.is_empty() {
            return Err(wrong());
        }
        Ok(Call { service: Key::new(namespace, name), port, rate: rate_of(rate).ok_or_else(wrong)? })
    }
}

/// All calls of an annotation.
pub fn parse_calls(text: &str) -> Result<Vec<Call>, CallError> {
    text.split(',').filter(|one| !one.trim().is_empty()).map(str::parse).collect()
}

/// `None`: not a rate.
pub fn rate_of(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|rate| (0.0..=MOST_RATE).contains(rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations() {
        let rows = [
            ("shop/cart:http=5", Ok(vec![("shop/cart", Some("http"), 5.0)])),
            ("shop/cart=0.5, data/queue=1", Ok(vec![("shop/cart", None, 0.5), ("data/queue", None, 1.0)])),
            ("", Ok(vec![])),
            ("cart=5", Err("cart=5")),
            ("shop/cart", Err("shop/cart")),
            ("shop/cart=-1", Err("shop/cart=-1")),
            ("shop/cart=1001", Err("shop/cart=1001")),
            ("shop/cart=NaN", Err("shop/cart=NaN")),
            ("shop/=1", Err("shop/=1")),
        ];
        for (text, expected) in rows {
            let calls = parse_calls(text).map_err(|error| error.0);
            let seen = calls.map(|calls| {
                calls
                    .into_iter()
                    .map(|call| (call.service.to_string(), call.port, call.rate))
                    .collect::<Vec<_>>()
            });
            let expected = expected.map_err(str::to_owned).map(|rows| {
                rows.into_iter()
                    .map(|(key, port, rate)| (key.to_owned(), port.map(Text::from), rate))
                    .collect()
            });
            assert_eq!(seen, expected, "{text}");
        }
    }
}
