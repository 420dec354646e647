//! A headless Chromium of its own for each user of this module: fresh profile, no background traffic, and no
//! process left behind. A [`Page`] is what the browser shows; everything is awaited with a deadline.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, bail};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::sleep;

use crate::PATIENCE;
use crate::process::Running;

/// How often the page is asked.
const INTERVAL: Duration = Duration::from_millis(25);

const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--no-proxy-server",
    "--force-color-profile=srgb",
    "--window-size=1440,900",
];

/// A driver, its browser and the profile of both. Dropping it ends them.
#[derive(Debug)]
pub struct Browser {
    profile: TempDir,
    _driver: Running,
    pub page: Page,
}

impl Browser {
    /// Starts driver and browser with an empty page.
    pub async fn start() -> Result<Self> {
        let profile = tempfile::Builder::new().prefix("vipscope-browser-").tempdir()?;
        let program = env::var_os("CHROMEDRIVER").unwrap_or_else(|| "chromedriver".into());
        let mut driver = Running::start(Command::new(program).arg("--port=0"))?;
        let port = driver.line("its port", started_on).await.context("chromedriver")?;
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(capabilities(profile.path()));
        let client = builder.connect(&format!("http://127.0.0.1:{port}")).await;
        let client = client.context("chromedriver cannot start Chromium")?;
        let page = Page { client };
        page.open("about:blank").await?;
        page.requests().await?;
        page.cdp("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WITNESS })).await?;
        Ok(Self { profile, _driver: driver, page })
    }
}

impl Drop for Browser {
    /// The driver is killed with its `Running`, but the browser is a process of its own.
    fn drop(&mut self) {
        for process in processes_with(&self.profile.path().to_string_lossy()) {
            let _ = std::process::Command::new("sh").args(["-c", &format!("kill -KILL {process}")]).status();
        }
    }
}

/// Runs before any script of any page: remembers what must not happen.
const WITNESS: &str = "
window.__witness = [];
for (const name of ['alert', 'confirm', 'prompt', 'open'])
  window[name] = (...words) => { window.__witness.push(name + ' ' + words.join(' ')); return null; };
addEventListener('error', event => {
  if (event.message) window.__witness.push('error ' + event.message);
}, true);
addEventListener('unhandledrejection', event => window.__witness.push('rejection ' + event.reason));
document.addEventListener('securitypolicyviolation', event =>
  window.__witness.push('csp ' + event.violatedDirective + ' ' + event.blockedURI));
";

fn started_on(line: &str) -> Option<u16> {
    line.strip_prefix("ChromeDriver was started successfully on port ")?.trim_end_matches('.').parse().ok()
}

fn capabilities(profile: &Path) -> serde_json::Map<String, Value> {
    let mut arguments: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
    arguments.push(format!("--user-data-dir={}", profile.display()));
    let mut options = json!({ "args": arguments });
    if let Some(binary) = env::var_os("CHROMIUM") {
        options["binary"] = json!(binary.to_string_lossy());
    }
    let wanted = json!({
        "browserName": "chrome",
        "unhandledPromptBehavior": "ignore",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
    });
    wanted.as_object().cloned().unwrap_or_default()
}

/// Processes whose command line holds a text, by id; none where there is no `/proc`.
fn processes_with(text: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has = |id: &u32| {
        fs::read(format!("/proc/{id}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))
    };
    ids.filter(has).collect()
}

/// What the browser shows.
#[derive(Clone, Debug)]
pub struct Page {
    client: Client,
}

impl Page {
    /// Opens an address.
    pub async fn open(&self, url: &str) -> Result<()> {
        self.client.goto(url).await.with_context(|| format!("cannot open {url}"))
    }

    /// As the reload button.
    pub async fn reload(&self) -> Result<()> {
        self.client.refresh().await.context("cannot reload")
    }

    /// The address in the address bar.
    pub async fn url(&self) -> Result<String> {
        Ok(self.client.current_url().await?.to_string())
    }

    /// The value of a JavaScript expression.
    pub async fn eval(&self, expression: &str) -> Result<Value> {
        let script = format!("return ({expression});");
        self.client
            .execute(&script, Vec::new())
            .await
            .with_context(|| format!("cannot evaluate {expression}"))
    }

    /// Waits until an expression is true (as JavaScript sees it) and returns its value.
    pub async fn until(&self, what: &str, expression: &str) -> Result<Value> {
        self.until_within(what, PATIENCE, expression).await
    }

    /// The same with a deadline of its own; an error shows what the page looks like.
    pub async fn until_within(&self, what: &str, patience: Duration, expression: &str) -> Result<Value> {
        let start = Instant::now();
        let asked = format!("(() => {{ const value = ({expression}); return value ? [value] : []; }})()");
        loop {
            if let Some(value) = self.eval(&asked).await?.get_mut(0) {
                return Ok(value.take());
            }
            if start.elapsed() > patience {
                bail!("{what}: not within {patience:?}: {expression}\n{}", self.describe().await);
            }
            sleep(INTERVAL).await;
        }
    }

    /// Types into whatever has the focus, one key at a time.
    pub async fn press(&self, key: &str) -> Result<()> {
        let text = if key.chars().count() == 1 { key } else { "" };
        for (kind, text) in [("keyDown", text), ("keyUp", "")] {
            self.cdp("Input.dispatchKeyEvent", json!({ "type": kind, "key": key, "text": text })).await?;
        }
        Ok(())
    }

    /// Clicks the middle of the element that a CSS selector finds.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let element = self.client.find(fantoccini::Locator::Css(selector)).await;
        element.with_context(|| format!("nothing to click at {selector}"))?.click().await?;
        Ok(())
    }

    /// What the witness saw and what the console complained about since the last call.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let seen = self.eval("(window.__witness || ['no witness']).splice(0)").await?;
        let mut complaints: Vec<String> =
            seen.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        complaints.extend(
            self.console().await?.into_iter().filter(|(level, _)| level == "SEVERE").map(|(_, text)| text),
        );
        Ok(complaints)
    }

    /// Level and text of each message on the console since the last call.
    pub async fn console(&self) -> Result<Vec<(String, String)>> {
        let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let entries = self.log("browser").await?;
        Ok(entries.iter().map(|entry| (text(entry, "level"), text(entry, "message"))).collect())
    }

    /// Every address on the network that was asked for since the last call.
    pub async fn requests(&self) -> Result<Vec<String>> {
        let entries = self.log("performance").await?;
        let messages =
            entries.iter().filter_map(|entry| serde_json::from_str::<Value>(entry["message"].as_str()?).ok());
        Ok(messages.filter_map(|message| requested(&message["message"])).collect())
    }

    /// A PNG of what is visible.
    pub async fn screenshot(&self) -> Result<Vec<u8>> {
        self.client.screenshot().await.context("cannot take a screenshot")
    }

    /// A viewport of any size, smaller than a window may be.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.cdp("Emulation.setDeviceMetricsOverride", metrics).await.map(|_| ())
    }

    /// What the system prefers: `light` or `dark`.
    pub async fn prefer_colours(&self, scheme: &str) -> Result<()> {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.cdp("Emulation.setEmulatedMedia", features).await.map(|_| ())
    }

    /// A command of the DevTools protocol.
    pub async fn cdp(&self, command: &str, parameters: Value) -> Result<Value> {
        let body = json!({ "cmd": command, "params": parameters });
        let answer = self.client.issue_cmd(Vendor { path: "goog/cdp/execute", body }).await;
        answer.with_context(|| format!("{command} failed"))
    }

    async fn log(&self, kind: &str) -> Result<Vec<Value>> {
        let body = json!({ "type": kind });
        let entries = self.client.issue_cmd(Vendor { path: "se/log", body }).await?;
        Ok(entries.as_array().cloned().unwrap_or_default())
    }

    /// For error messages.
    async fn describe(&self) -> String {
        let text = "location.href + '\\n' + (document.body?.innerText ?? '').slice(0, 1500)";
        let text = self.eval(text).await.unwrap_or_else(|error| json!(error.to_string()));
        let console = self.console().await.unwrap_or_default();
        let console: Vec<String> =
            console.into_iter().map(|(level, text)| format!("{level} {text}")).collect();
        let witness = self.eval("window.__witness").await.unwrap_or_default();
        format!(
            "page: {}\nwitness: {witness}\nconsole: {}",
            text.as_str().unwrap_or_default(),
            console.join("\n")
        )
    }
}

fn requested(message: &Value) -> Option<String> {
    let parameters = &message["params"];
    let url = match message["method"].as_str()? {
        "Network.requestWillBeSent" => parameters["request"]["url"].as_str()?,
        "Network.webSocketCreated" => parameters["url"].as_str()?,
        _ => return None,
    };
    let is_network = ["http:", "https:", "ws:", "wss:"].iter().any(|scheme| url.starts_with(scheme));
    is_network.then(|| url.to_owned())
}

/// A command that only Chromium's driver knows.
#[derive(Debug)]
struct Vendor {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Vendor {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_is_asked_watched_and_gone_afterwards() {
        let browser = Browser::start().await.unwrap();
        let page = browser.page.clone();
        page.open("data:text/html,<body onload=\"alert('x')\"><p id=a>one</p>").await.unwrap();
        assert_eq!(page.until("the text", "document.querySelector('#a')?.textContent").await.unwrap(), "one");
        assert_eq!(page.complaints().await.unwrap(), ["alert x"]);
        assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
        assert_eq!(page.requests().await.unwrap(), Vec::<String>::new());
        page.eval("void (new Image().src = 'http://127.0.0.1:1/x.png')").await.unwrap();
        page.until("the failure", "performance.getEntriesByType('resource').length").await.unwrap();
        assert_eq!(page.requests().await.unwrap(), ["http://127.0.0.1:1/x.png"]);
        page.resize(390, 844).await.unwrap();
        assert_eq!(page.eval("innerWidth").await.unwrap(), 390);
        page.prefer_colours("dark").await.unwrap();
        assert_eq!(page.eval("matchMedia('(prefers-color-scheme: dark)').matches").await.unwrap(), true);
        let late =
            page.until_within("the end", Duration::from_millis(50), "false").await.unwrap_err().to_string();
        assert!(late.contains("the end: not within 50ms") && late.contains("one"), "{late}");
        let profile = browser.profile.path().to_string_lossy().into_owned();
        assert!(!processes_with(&profile).is_empty());
        drop(browser);
        assert!(processes_with(&format!("--user-data-dir={profile}")).iter().all(is_zombie));
    }

    /// A killed process stays in the table until its parent has asked for it.
    fn is_zombie(id: &u32) -> bool {
        fs::read_to_string(format!("/proc/{id}/stat")).map_or(true, |stat| stat.contains(") Z "))
    }
}
