//! A request to a server on this machine and its answer as JSON: as much HTTP as the tests need.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::PATIENCE;

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The header lines, lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("not JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// `GET`, whatever the status.
pub async fn get(url: &str) -> Result<Answer> {
    request("GET", url, "application/json", "").await
}

/// The first answer of a server that is about to listen.
pub async fn first(url: &str) -> Result<Answer> {
    let start = Instant::now();
    loop {
        match get(url).await {
            Err(_) if start.elapsed() < PATIENCE => sleep(Duration::from_millis(25)).await,
            answer => return answer,
        }
    }
}

/// Sends JSON to a Kubernetes API; a status other than 2xx is an error that shows the answer.
pub async fn send(method: &str, url: &str, body: &Value) -> Result<Value> {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let answer = request(method, url, kind, &body.to_string()).await?;
    if !(200..300).contains(&answer.status) {
        bail!("{method} {url}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    answer.json()
}

/// One request on a connection of its own. HTTP/1.0, so that the end of the connection is the end of the body.
pub async fn request(method: &str, url: &str, content_type: &str, body: &str) -> Result<Answer> {
    let (authority, path) = split(url)?;
    let text = format!(
        "{method} {path} HTTP/1.0\r\nHost: {authority}\r\nAccept: application/json\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(authority).await?;
        stream.write_all(text.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let bytes = timeout(Duration::from_secs(10), exchange)
        .await
        .with_context(|| format!("{method} {url}: no answer"))?;
    parse(&bytes.with_context(|| format!("{method} {url}"))?)
}

fn split(url: &str) -> Result<(&str, &str)> {
    let rest = url.strip_prefix("http://").with_context(|| format!("not an http URL: {url}"))?;
    Ok(rest.find('/').map_or((rest, "/"), |at| rest.split_at(at)))
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let end =
        bytes.windows(4).position(|window| window == b"\r\n\r\n").context("the answer has no header")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Ok(Answer {
        status: status.context("the answer has no status")?,
        headers,
        body: bytes[end + 4..].to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_split_into_their_parts() {
        let answer =
            parse(b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\r\n{\"a\":1}").unwrap();
        assert_eq!((answer.status, answer.header("content-type")), (201, Some("application/json")));
        assert_eq!(answer.json().unwrap()["a"], 1);
        assert!(parse(b"nonsense").is_err());
        assert_eq!(split("http://h:1/a?b").unwrap(), ("h:1", "/a?b"));
        assert_eq!(split("http://h:1").unwrap(), ("h:1", "/"));
    }
}
