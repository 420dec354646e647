//! Who may talk to this server, from which page, and what pages may do: Host and Origin checks, CSP and the other headers.
//!
//! A page of another site must be able to neither read nor open anything here, also when a hostile DNS name leads to this
//! address (rebinding) or the page runs on another port of this machine.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Where the app lives below the origin. Prints with a slash at both ends: `/` or `/tools/vipscope/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasePath(Arc<str>);

/// Not a base path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a base path: expected a path such as /vipscope, of letters, digits and - . _ ~ /")]
pub struct BasePathError(String);

impl BasePath {
    /// The path to nest routes at, without the last slash; `None` at the root.
    pub fn as_nested(&self) -> Option<&str> {
        self.0.strip_suffix('/').filter(|path| !path.is_empty())
    }
}

impl Default for BasePath {
    fn default() -> BasePath {
        BasePath("/".into())
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BasePath {
    type Err = BasePathError;

    fn from_str(text: &str) -> Result<BasePath, BasePathError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
        let segments: Vec<&str> = text.split('/').filter(|segment| !segment.is_empty()).collect();
        if !text.starts_with('/')
            || !text.chars().all(plain)
            || segments.iter().any(|s| matches!(*s, "." | ".."))
        {
            return Err(BasePathError(text.to_owned()));
        }
        let path = segments.iter().map(|segment| format!("/{segment}")).collect::<String>();
        Ok(BasePath(format!("{path}/").into()))
    }
}

/// The rules. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Security {
    pub base_path: BasePath,
    /// Host names, with or without a port, beside loopback's.
    pub allowed_hosts: Arc<[String]>,
    /// Origins (`https://portal.example.com`) whose pages may use the API and the socket.
    pub allowed_origins: Arc<[String]>,
    /// Origins whose pages may show this one in a frame.
    pub frame_ancestors: Arc<[String]>,
    /// `'sha256-…'` of the inline scripts of our own index page.
    pub script_hashes: Arc<[String]>,
}

/// Refuses foreign hosts and origins, and sets the headers of every response.
pub async fn guard(State(security): State<Security>, request: Request, next: Next) -> Response {
    let mut response = match security.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    security.set_headers(response.headers_mut());
    response
}

impl Security {
    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let path = self.relative(uri.path());
        // Probes and scrapers come by address; there is nothing secret in what they get.
        if matches!(path, "healthz" | "readyz" | "metrics") {
            return Ok(());
        }
        let host = self.check_host(uri, headers)?;
        if path.starts_with("api/") { self.check_origin(&host, headers) } else { Ok(()) }
    }

    fn relative<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(&*self.base_path.0).unwrap_or(path)
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<String, Problem> {
        let header = headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let host = header.or(uri.authority().map(|authority| authority.as_str())).unwrap_or_default();
        let name = host_name(host);
        let allowed = |known: &String| known.eq_ignore_ascii_case(host) || known.eq_ignore_ascii_case(name);
        if is_loopback(name) || self.allowed_hosts.iter().any(allowed) {
            return Ok(host.to_owned());
        }
        let shown = if host.is_empty() { "(none)" } else { name };
        let detail =
            format!("the host name {shown} is not allowed here: start vipscope with --allowed-host {shown}");
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail))
    }

    fn check_origin(&self, host: &str, headers: &HeaderMap) -> Result<(), Problem> {
        let refuse = |origin: &str| {
            let detail = format!(
                "pages of {origin} may not use this API: start vipscope with --allowed-origin {origin}"
            );
            Err(Problem::new(StatusCode::FORBIDDEN, detail))
        };
        if let Some(origin) = headers.get(header::ORIGIN) {
            let Ok(origin) = origin.to_str() else { return refuse("(unreadable)") };
            let own =
                origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
            let allowed = self.allowed_origins.iter().any(|known| known.eq_ignore_ascii_case(origin));
            return if own || allowed { Ok(()) } else { refuse(origin) };
        }
        // A browser that sends no Origin (a plain GET) still says where the request comes from.
        let site = headers.get(SEC_FETCH_SITE).and_then(|value| value.to_str().ok()).unwrap_or("none");
        let foreign = matches!(site, "cross-site" | "same-site");
        if foreign && self.allowed_origins.is_empty() { refuse("another site") } else { Ok(()) }
    }

    fn set_headers(&self, headers: &mut HeaderMap) {
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(header::CONTENT_SECURITY_POLICY, &self.content_security_policy());
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(header::REFERRER_POLICY, "no-referrer");
        set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
        // X-Frame-Options knows no list of origins, and would win over frame-ancestors in old browsers.
        if self.frame_ancestors.is_empty() {
            set(header::X_FRAME_OPTIONS, "DENY");
        }
    }

    fn content_security_policy(&self) -> String {
        let join = |words: &[String]| words.iter().map(|word| format!(" {word}")).collect::<String>();
        let ancestors =
            if self.frame_ancestors.is_empty() { " 'none'".to_owned() } else { join(&self.frame_ancestors) };
        format!(
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{}; style-src 'self'; img-src 'self' data:; \
             font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'none'; \
             frame-ancestors{ancestors}",
            join(&self.script_hashes)
        )
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The host without its port: `[::1]:80` → `::1`, `localhost:80` → `localhost`.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.split(':').next().unwrap_or_default()
}

fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs<'a> = &'a [(&'static str, &'a str)];

    fn headers(pairs: Pairs) -> HeaderMap {
        let entries =
            pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        entries.collect()
    }

    #[test]
    fn hosts_and_origins() {
        let security = Security {
            allowed_hosts: Arc::new(["vipscope.example.com".to_owned()]),
            allowed_origins: Arc::new(["https://portal.example.com".to_owned()]),
            ..Security::default()
        };
        let api = "/api/v1/snapshot";
        let rows: [(&str, Pairs, Option<u16>); 15] = [
            (api, &[("host", "127.0.0.1:7411")], None),
            (api, &[("host", "localhost")], None),
            (api, &[("host", "[::1]:8080")], None),
            (api, &[("host", "VIPSCOPE.example.com:443")], None),
            (api, &[("host", "evil.example.com")], Some(421)),
            (api, &[("host", "127.0.0.1.evil.example.com")], Some(421)),
            (api, &[], Some(421)),
            ("/", &[("host", "rebound.example.com")], Some(421)),
            ("/healthz", &[("host", "10.0.0.9:7411")], None),
            (api, &[("host", "127.0.0.1:7411"), ("origin", "http://127.0.0.1:7411")], None),
            (api, &[("host", "127.0.0.1:7411"), ("origin", "http://127.0.0.1:9999")], Some(403)),
            (api, &[("host", "127.0.0.1:7411"), ("origin", "null")], Some(403)),
            (api, &[("host", "127.0.0.1:7411"), ("origin", "https://portal.example.com")], None),
            (api, &[("host", "127.0.0.1:7411"), ("origin", "https://evil.example.com")], Some(403)),
            ("/", &[("host", "localhost:1"), ("origin", "https://evil.example.com")], None),
        ];
        for (path, pairs, refused) in rows {
            let answer = security.check(&path.parse().unwrap(), &headers(pairs)).err();
            assert_eq!(answer.map(|problem| problem.status.as_u16()), refused, "{path} {pairs:?}");
        }
        let strict = Security::default();
        let cross = headers(&[("host", "localhost"), ("sec-fetch-site", "cross-site")]);
        assert!(
            strict.check(&api.parse().unwrap(), &cross).is_err(),
            "a GET without Origin from another site"
        );
    }

    #[test]
    fn base_paths() {
        let rows = [
            ("/", Some("/")),
            ("/x", Some("/x/")),
            ("/a//b/", Some("/a/b/")),
            ("x", None),
            ("/../x", None),
            ("/a\"b", None),
        ];
        for (text, expected) in rows {
            assert_eq!(
                text.parse::<BasePath>().ok().map(|path| path.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }
}
