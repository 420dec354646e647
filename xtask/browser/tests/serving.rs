//! The app as it is served: nothing that its own content security policy forbids, below any base path, without chrome
//! in a kiosk.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use vipscope_browser::{Browser, Page, Vipscope, http};

const LIVE: &str = "document.querySelector('[data-testid=connection][data-state=live]')";
const ON_MAP: &str = "document.querySelector('[data-target^=\"svc/\"]')";

async fn open(page: &Page, url: &str, ready: &str) {
    page.open(url).await.unwrap();
    page.until(url, ready).await.unwrap();
}

async fn assert_no_complaints(page: &Page, at: &str) {
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new(), "{at}");
}

#[tokio::test]
async fn no_screen_does_what_the_policy_forbids() {
    let server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let policy = http::get(&server.url).await.unwrap();
    let policy = policy.header("content-security-policy").unwrap();
    let scripts = policy.split(';').find(|part| part.trim().starts_with("script-src")).unwrap();
    assert!(scripts.contains("'wasm-unsafe-eval'") && scripts.contains("'sha256-"), "{scripts}");
    assert!(!scripts.contains("unsafe-inline"), "{scripts}");
    let browser = Browser::start().await.unwrap();
    for query in ["", "?view=table", "?view=nodes", "?theme=dark", "?sel=svc/shop/cart", "?ns=shop"] {
        open(&browser.page, &format!("{}/{query}", server.url), LIVE).await;
        assert_no_complaints(&browser.page, query).await;
    }
    assert_inline_script_is_refused(&browser.page).await;
}

/// The witness sees a violation where there is one: otherwise the silence above means nothing.
async fn assert_inline_script_is_refused(page: &Page) {
    page.eval("document.body.appendChild(Object.assign(document.createElement('script'), { textContent: 'window.__ran = 1' })) && null")
        .await
        .unwrap();
    page.until("a violation", "window.__witness.some(line => line.startsWith('csp script-src'))")
        .await
        .unwrap();
    assert_eq!(page.eval("window.__ran === undefined").await.unwrap(), true);
}

#[tokio::test]
async fn everything_lives_below_the_base_path() {
    let server = Vipscope::serve_sandbox(&["--base-path", "/x/y"]).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    open(page, &format!("{}/x/y/", server.url), LIVE).await;
    page.until("the map", ON_MAP).await.unwrap();
    let requests = page.requests().await.unwrap();
    let authority = server.url.trim_start_matches("http://");
    let below = format!("{authority}/x/y/");
    assert!(requests.iter().any(|url| url.starts_with("ws://") && url.contains(&below)), "{requests:?}");
    let outside: Vec<&String> = requests.iter().filter(|url| !url.contains(&below)).collect();
    assert!(outside.is_empty(), "{outside:?}");
    assert_no_complaints(page, "below /x/y/").await;
    assert_eq!(http::get(&server.url).await.unwrap().status, 404, "nothing at the root");
}

#[tokio::test]
async fn a_kiosk_shows_the_map_and_nothing_else() {
    let server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    open(page, &server.url, LIVE).await;
    let chrome = "['[data-testid=inspector]', '[data-testid=search]', 'header', 'nav', 'footer'].filter(css => document.querySelector(css)?.checkVisibility())";
    page.until("the chrome", &format!("{chrome}.length >= 4")).await.unwrap();
    open(page, &format!("{}/?kiosk=1", server.url), ON_MAP).await;
    page.until("how live it is, still said", LIVE).await.unwrap();
    assert_eq!(page.eval(chrome).await.unwrap(), serde_json::json!([]));
    assert_no_complaints(page, "kiosk").await;
}
