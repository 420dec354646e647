//! What `cargo xtask bench` and `cargo xtask screenshots` do in the browser.

use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use vipscope_browser::{Browser, Vipscope, synthetic};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bench"] => bench().await,
        ["screenshots", directory] => screenshots(Path::new(directory)).await,
        _ => bail!("usage: vipscope-browser bench | screenshots DIRECTORY"),
    }
}

/// Opens the app on 500 Services and 5,000 endpoints and prints what it measures while it pans, without and with traffic.
async fn bench() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("cluster.json");
    fs::write(&file, synthetic::cluster(synthetic::MAP).to_string())?;
    let server = Vipscope::serve(&["--source", &format!("file:{}", file.display())]).await?;
    let browser = Browser::start().await?;
    for what in ["1", "traffic"] {
        browser.page.open(&format!("{}/?bench={what}", server.url)).await?;
        let minutes = Duration::from_secs(120);
        let frames =
            browser.page.until_within("figures", minutes, "document.documentElement.dataset.frames").await?;
        println!("bench={what} {}", frames.as_str().unwrap_or_default());
    }
    Ok(())
}

/// What pictures are taken of: a name, the URL's query, and what is there once the view is.
const VIEWS: [(&str, &str, &str); 5] = [
    ("map", "", "[data-target^=\"svc/\"]"),
    ("rules-nftables", "?sel=svc/shop/web&tab=rules&mode=nftables", "[data-part^=\"chain external-\"]"),
    ("rules", "?sel=svc/shop/cart:http&tab=rules", "[data-part^=\"nat/KUBE-SEP-\"]"),
    ("trace", "?from=node/node-a&to=svc/shop/catalog:http&sel=svc/shop/catalog&tab=rules", "[data-path=on]"),
    ("trace-modes", "?from=external&to=svc/shop/web&answer=3&compare=1", "[data-testid=trace-modes]"),
];

async fn screenshots(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let server = Vipscope::serve_sandbox(&[]).await?;
    let browser = Browser::start().await?;
    for scheme in ["light", "dark"] {
        for (width, height) in [(1440, 900), (390, 844)] {
            let page = &browser.page;
            page.resize(width, height).await?;
            page.prefer_colours(scheme).await?;
            for (name, query, shown) in VIEWS {
                page.open(&format!("{}/{query}", server.url)).await?;
                page.until(name, &format!("document.querySelector('{shown}')")).await?;
                // Two frames after the data: painted.
                page.until("a painted frame", PAINTED).await?;
                let file = directory.join(format!("{name}-{scheme}-{width}x{height}.png"));
                fs::write(&file, page.screenshot().await?)
                    .with_context(|| format!("cannot write {}", file.display()))?;
                println!("{}", file.display());
            }
        }
    }
    Ok(())
}

const PAINTED: &str = "(window.__painted ??= { frames: 0, next() { if (this.frames++ < 30) requestAnimationFrame(() => this.next()); return this; } }.next()).frames > 30";
