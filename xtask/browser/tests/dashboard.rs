//! The dashboard on the sandbox, as a user sees it: a Service's pods, a change that arrives, a link that reproduces
//! the view.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::time::Duration;

use serde_json::{Value, json};
use vipscope_browser::{Browser, Page, Vipscope, http};

/// A namespace, a Deployment and its Service that the demo's churn does not touch.
async fn create_web(api: &str, replicas: u32) {
    let labels = json!({ "app": "web" });
    let container = json!({ "name": "web", "image": "web", "ports": [{ "containerPort": 8080 }] });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
    let objects = [
        (
            "api/v1/namespaces",
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "test" } }),
        ),
        (
            "apis/apps/v1/namespaces/test/deployments",
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "test" },
                "spec": { "replicas": replicas, "selector": { "matchLabels": labels }, "template": template } }),
        ),
        (
            "api/v1/namespaces/test/services",
            json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": "test" },
                "spec": { "selector": labels, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] } }),
        ),
    ];
    for (path, object) in objects {
        http::send("POST", &format!("{api}/{path}"), &object).await.unwrap();
    }
}

async fn scale(api: &str, replicas: u32) {
    let url = format!("{api}/apis/apps/v1/namespaces/test/deployments/web/scale");
    http::send("PATCH", &url, &json!({ "spec": { "replicas": replicas } })).await.unwrap();
}

/// How many pods of the Deployment the inspector lists, as JavaScript.
const ENDPOINTS: &str = "[...document.querySelectorAll('[data-testid=endpoint]')].filter(row => row.innerText.includes('web-')).length";

/// How many of its pods the map shows.
const ON_MAP: &str = "document.querySelectorAll('[data-target^=\"pod/test/web-\"]').length";

async fn live(page: &Page) {
    page.until("a live connection", "document.querySelector('[data-testid=connection][data-state=live]')")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_service_shows_its_pods_and_follows_a_scale_within_two_seconds() {
    let mut server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let api = server.sandbox_url().await.unwrap();
    create_web(&api, 2).await;
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&format!("{}/?sel=svc/test/web", server.url)).await.unwrap();
    live(page).await;
    page.until("the Service on the map", "document.querySelector('[data-target=\"svc/test/web\"]')")
        .await
        .unwrap();
    page.until("two endpoints", &format!("{ENDPOINTS} === 2")).await.unwrap();
    page.until("two pods on the map", &format!("{ON_MAP} === 2")).await.unwrap();
    scale(&api, 5).await;
    let soon = Duration::from_secs(2);
    page.until_within("five pods after the scale", soon, &format!("{ENDPOINTS} === 5 && {ON_MAP} === 5"))
        .await
        .unwrap();
    scale(&api, 1).await;
    page.until("one endpoint that receives", &format!("{ENDPOINTS} === 1 && {ON_MAP} === 1")).await.unwrap();
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_reload_shows_the_same_view_from_the_url() {
    let server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&server.url).await.unwrap();
    live(page).await;
    page.until("a Service on the map", "document.querySelector('[data-target^=\"svc/\"]')").await.unwrap();
    page.press("/").await.unwrap();
    page.until("the search", "document.activeElement?.dataset.testid === 'search'").await.unwrap();
    for key in "cart".chars() {
        page.press(&key.to_string()).await.unwrap();
    }
    page.press("Enter").await.unwrap();
    page.until(
        "the selection in the URL",
        "new URLSearchParams(location.search).get('sel')?.includes('cart')",
    )
    .await
    .unwrap();
    page.click("button[aria-label='Zoom in']").await.unwrap();
    page.until("the camera in the URL", "new URLSearchParams(location.search).get('cam')").await.unwrap();
    page.until("the endpoints", "document.querySelector('[data-testid=endpoint]')").await.unwrap();
    let (url, before) = (page.url().await.unwrap(), view(page).await);
    page.reload().await.unwrap();
    live(page).await;
    page.until("the endpoints again", "document.querySelector('[data-testid=endpoint]')").await.unwrap();
    assert_eq!(page.url().await.unwrap(), url);
    assert_eq!(view(page).await, before);
}

/// What a link must reproduce: what is selected, which tab, how far zoomed.
async fn view(page: &Page) -> Value {
    page.eval(
        "[document.querySelector('[data-testid=inspector] h1')?.innerText,
          document.querySelector('[data-testid=inspector] [role=tab][aria-selected=true]')?.innerText,
          document.querySelector('.zoom-now')?.innerText]",
    )
    .await
    .unwrap()
}
