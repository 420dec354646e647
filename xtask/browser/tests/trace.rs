//! The trace bar on the sandbox: a packet's way from typed ends to one verdict, on the map, in the rules, in every mode,
//! and in the link.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::fs;

use serde_json::{Value, json};
use vipscope_browser::{Browser, Page, Vipscope, http};

/// Services that no controller and no churn touches: `web` has an endpoint on each of two nodes and is reached on two
/// ports, `empty` has none, `alias` is a name for a name.
async fn create(api: &str) {
    let services = format!("{api}/api/v1/namespaces/default/services");
    let ports = json!([{ "name": "http", "port": 80 }, { "name": "dns", "port": 53, "protocol": "UDP" }]);
    for (name, spec) in [
        ("web", json!({ "ports": ports })),
        ("empty", json!({ "ports": [{ "name": "http", "port": 80 }] })),
        ("alias", json!({ "type": "ExternalName", "externalName": "db.example.com" })),
    ] {
        let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": "default" }, "spec": spec });
        http::send("POST", &services, &service).await.unwrap();
    }
    let endpoint = |ip: &str, node: &str| json!({ "addresses": [ip], "nodeName": node, "conditions": { "ready": true } });
    let labels = json!({ "kubernetes.io/service-name": "web" });
    let slice = json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": "web-1", "namespace": "default", "labels": labels },
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }, { "name": "dns", "port": 8053, "protocol": "UDP" }],
        "endpoints": [endpoint("10.244.0.201", "node-a"), endpoint("10.244.1.202", "node-b")] });
    let slices = format!("{api}/apis/discovery.k8s.io/v1/namespaces/default/endpointslices");
    http::send("POST", &slices, &slice).await.unwrap();
}

async fn sandbox() -> (Vipscope, Browser) {
    let mut server = Vipscope::serve_sandbox(&[]).await.unwrap();
    create(&server.sandbox_url().await.unwrap()).await;
    let browser = Browser::start().await.unwrap();
    browser.page.open(&server.url).await.unwrap();
    browser
        .page
        .until("the Service", "document.querySelector('[data-target=\"svc/default/web\"]')")
        .await
        .unwrap();
    (server, browser)
}

async fn type_text(page: &Page, text: &str) {
    for key in text.chars() {
        page.press(&key.to_string()).await.unwrap();
    }
}

async fn focused(page: &Page, end: &str) {
    let is_focused = format!("document.activeElement?.dataset.testid === 'trace-{end}'");
    page.until(&format!("the focus in {end}"), &is_focused).await.unwrap();
}

/// Types both ends and presses Enter, from the key that leads to the bar.
async fn trace(page: &Page, from: &str, to: &str) {
    page.press("t").await.unwrap();
    focused(page, "from").await;
    type_text(page, from).await;
    page.eval("document.querySelector('[data-testid=trace-to]').focus()").await.unwrap();
    page.eval("document.querySelector('[data-testid=trace-to]').select()").await.unwrap();
    type_text(page, to).await;
    page.press("Enter").await.unwrap();
}

async fn verdict(page: &Page, word: &str) {
    let is_there = format!("document.querySelector('[data-testid=verdict]')?.dataset.verdict === '{word}'");
    page.until(word, &is_there).await.unwrap();
}

/// Text of the first element that a selector finds, as JavaScript.
fn text(selector: &str) -> String {
    format!("document.querySelector('{selector}')?.innerText ?? ''")
}

async fn parameter(page: &Page, name: &str, value: &str) {
    let is = format!("new URLSearchParams(location.search).get('{name}') === {}", json!(value));
    page.until(&format!("{name} in the URL"), &is).await.unwrap();
}

/// What a link must reproduce.
async fn shown(page: &Page) -> Value {
    page.eval(
        "[...document.querySelectorAll('[data-testid=trace-way], [data-testid=verdict], .step, .trace-tabs button, [data-testid=trace-modes] tr')]
            .map(part => part.innerText + (part.ariaSelected ?? ''))",
    )
    .await
    .unwrap()
}

const STEPS: &str = "[...document.querySelectorAll('[data-testid=trace-steps] .step')].map(step => step.dataset.title ?? 'verdict')";

#[tokio::test]
async fn a_packet_is_followed_to_its_verdict_and_the_link_reproduces_it() {
    let (server, browser) = sandbox().await;
    let page = &browser.page;
    trace(page, "external", "svc/default/web:http").await;
    verdict(page, "deliver").await;
    let steps = page.eval(STEPS).await.unwrap();
    assert_eq!(steps, json!(["match", "mark", "choice", "DNAT", "accept", "masquerade", "verdict"]));
    assert_eq!(page.eval(&text("[data-testid=trace-shares]")).await.unwrap(), "1/2 · 1/2");
    let end = page.eval(&text("[data-testid=trace-end]")).await.unwrap();
    assert!(end.as_str().unwrap().contains("sent to an endpoint of default/web:http"), "{end}");

    let role = |target: &str| format!("document.querySelector('[data-target=\"{target}\"]')?.dataset.path");
    for (target, expected) in [
        ("from/outside", "on"),
        ("svc/default/web", "on"),
        ("address/10.244.0.201", "on"),
        ("address/10.244.1.202", "on"),
        ("from/nodes", "off"),
        ("svc/shop/cart", "off"),
    ] {
        page.until(target, &format!("{} === '{expected}'", role(target))).await.unwrap();
    }
    let share = "document.querySelector('[data-target=\"address/10.244.0.201\"]')?.dataset.share === '1/2'";
    page.until("the share on the map", share).await.unwrap();

    parameter(page, "from", "external").await;
    parameter(page, "to", "svc/default/web:http").await;
    let (url, before) = (page.url().await.unwrap(), shown(page).await);
    page.reload().await.unwrap();
    verdict(page, "deliver").await;
    assert_eq!((page.url().await.unwrap(), shown(page).await), (url, before));
    let typed =
        page.eval("[...document.querySelectorAll('.trace-end input')].map(input => input.value)").await;
    assert_eq!(typed.unwrap(), json!(["external", "svc/default/web:http"]));

    page.press("Escape").await.unwrap();
    page.until("no trace", "!document.querySelector('[data-testid=trace]')").await.unwrap();
    page.until("no trace in the URL", "!location.search.includes('to=')").await.unwrap();
    page.until("nothing faint", "!document.querySelector('[data-path]')").await.unwrap();
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
    drop(server);
}

#[tokio::test]
async fn other_modes_are_a_choice_and_a_table_and_their_rules_are_lit() {
    let (server, browser) = sandbox().await;
    let page = &browser.page;
    page.open(&format!("{}/?from=external&to=svc/default/web:http&via=node-b", server.url)).await.unwrap();
    verdict(page, "deliver").await;
    let choose = "(select => (select.value = 'nftables', select.dispatchEvent(new Event('change', { bubbles: true }))))(document.querySelector('[data-testid=trace-mode]'))";
    page.eval(choose).await.unwrap();
    parameter(page, "via-mode", "nftables").await;
    page.until("nft's chains", &format!("({}).includes('nat-prerouting') || document.querySelector('.step-chain[title*=\"nat-prerouting\"]')", text(".steps"))).await.unwrap();
    let place = page.eval("document.querySelector('.trace-place').textContent").await.unwrap();
    assert_eq!(place, "node-b · nftables · predicted");

    page.click("[data-testid=show-in-rules]").await.unwrap();
    page.until("lit lines", "document.querySelectorAll('.rule.lit').length > 2").await.unwrap();
    let title = page.eval("document.querySelector('.rules-title').innerText.toLowerCase()").await.unwrap();
    assert_eq!(title, "node-b · nftables · ipv4\npredicted");
    let lit = "[...document.querySelectorAll('li.rule.lit')].map(line => line.innerText).join('\\n')";
    let lit = page.eval(lit).await.unwrap();
    for part in ["numgen random mod 2", "masquerade"] {
        assert!(lit.as_str().unwrap().contains(part), "{part}: {lit}");
    }
    // Rules that the packet never met are not lit.
    let other = "(select => (select.value = 'node-c', select.dispatchEvent(new Event('change', { bubbles: true }))))(document.querySelector('[data-testid=rules-node]'))";
    page.eval(other).await.unwrap();
    page.until("no lit lines", "document.querySelector('li.rule') && !document.querySelector('li.rule.lit')")
        .await
        .unwrap();

    page.click("[data-testid=four-modes]").await.unwrap();
    let modes = "[...document.querySelectorAll('[data-testid=trace-modes] tbody tr')].map(row => row.dataset.mode + ' ' + row.dataset.verdict)";
    page.until("four rows", &format!("({modes}).length === 4")).await.unwrap();
    let rows = page.eval(modes).await.unwrap();
    // The userspace proxy of 1.25 read Endpoints objects, and there is none here.
    assert_eq!(rows, json!(["userspace reject", "iptables deliver", "nftables deliver", "ipvs deliver"]));
    let notes =
        page.eval("[...document.querySelectorAll('.mode-note')].map(note => note.innerText)").await.unwrap();
    assert_eq!(
        notes,
        json!([
            "differs: another verdict",
            "configured on this node",
            "same as configured",
            "same as configured"
        ])
    );
    parameter(page, "compare", "1").await;
    let before = shown(page).await;
    page.reload().await.unwrap();
    page.until("four rows again", &format!("({modes}).length === 4")).await.unwrap();
    assert_eq!(shown(page).await, before);
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_refused_and_what_has_no_vip_say_why() {
    let (server, browser) = sandbox().await;
    let page = &browser.page;
    trace(page, "node/node-a", "svc/default/empty").await;
    verdict(page, "reject").await;
    let end = page.eval(&text("[data-testid=trace-end]")).await.unwrap();
    assert!(end.as_str().unwrap().contains("default/empty:http has no endpoints"), "{end}");
    let stop = "document.querySelector('[data-target=\"svc/default/empty\"]')";
    page.until(
        "it stops at the VIP",
        &format!("{stop}?.dataset.path === 'stop' && {stop}.innerText.includes('refused')"),
    )
    .await
    .unwrap();

    page.open(&format!("{}/?from=external&to=svc/default/alias", server.url)).await.unwrap();
    page.until(
        "the alias",
        &format!("({}).includes('CNAME for db.example.com')", text("[data-testid=trace-resolution]")),
    )
    .await
    .unwrap();
    page.open(&format!("{}/?from=pod/default/gone&to=svc/default/web", server.url)).await.unwrap();
    page.until(
        "the error",
        &format!("({}).includes('Pod default/gone is not there')", text(".trace-problem")),
    )
    .await
    .unwrap();

    // A Service with two ports: a tab each.
    page.open(&format!("{}/?from=external&to=svc/default/web", server.url)).await.unwrap();
    page.until("two tabs", "document.querySelectorAll('.trace-tabs [role=tab]').length === 2").await.unwrap();
    page.click(".trace-tabs [role=tab]:nth-child(2)").await.unwrap();
    parameter(page, "answer", "2").await;
    page.until("the other port", &format!("({}).endsWith(':53 udp')", text("[data-testid=trace-way]")))
        .await
        .unwrap();
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn wrong_ends_are_said_below_their_fields_and_suggestions_help() {
    let (_server, browser) = sandbox().await;
    let page = &browser.page;
    trace(page, "somebody", "svc/default/web:http").await;
    let problem = text("#trace-from-error");
    page.until("the problem", &format!("({problem}).includes('`somebody` is not an IP address')"))
        .await
        .unwrap();
    assert_eq!(
        page.eval("document.querySelector('[data-testid=trace-from]').ariaInvalid").await.unwrap(),
        "true"
    );
    assert_eq!(page.eval("document.querySelector('[data-testid=trace]')").await.unwrap(), Value::Null);

    page.eval("document.querySelector('[data-testid=trace-from]').focus()").await.unwrap();
    page.eval("document.querySelector('[data-testid=trace-from]').select()").await.unwrap();
    type_text(page, "node-c").await;
    let first = "document.querySelector('#trace-from-list [role=option]')?.innerText.includes('node/node-c')";
    page.until("a suggestion", first).await.unwrap();
    page.press("ArrowDown").await.unwrap();
    page.press("Enter").await.unwrap();
    page.until("the name", "document.querySelector('[data-testid=trace-from]').value === 'node/node-c'")
        .await
        .unwrap();
    page.press("Enter").await.unwrap();
    verdict(page, "deliver").await;
    let place = page.eval(&text(".trace-place")).await.unwrap();
    assert!(place.as_str().unwrap().starts_with("node-c · "), "a node is traced on itself: {place}");
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn pointing_fills_the_ends_and_a_narrow_page_opens_a_sheet() {
    let (server, browser) = sandbox().await;
    let page = &browser.page;
    page.open(&format!("{}/?sel=node/node-b", server.url)).await.unwrap();
    page.until("an action", "document.querySelector('[data-trace=from]')").await.unwrap();
    page.click("[data-trace=from]").await.unwrap();
    focused(page, "to").await;
    page.open(&format!("{}/?sel=svc/default/web:dns", server.url)).await.unwrap();
    page.until("an action", "document.querySelector('[data-trace=to]')").await.unwrap();
    page.click("[data-trace=to]").await.unwrap();
    focused(page, "from").await;
    type_text(page, "external").await;
    page.press("Enter").await.unwrap();
    verdict(page, "deliver").await;
    parameter(page, "to", "svc/default/web:dns").await;

    page.resize(390, 844).await.unwrap();
    page.open(&server.url).await.unwrap();
    page.until("the Service", "document.querySelector('[data-target^=\"svc/\"]')").await.unwrap();
    let is_open = "document.querySelector('[data-testid=trace-bar]').checkVisibility()";
    assert_eq!(page.eval(is_open).await.unwrap(), false);
    page.click("[data-testid=trace-open]").await.unwrap();
    focused(page, "from").await;
    assert_eq!(page.eval(is_open).await.unwrap(), true);
    type_text(page, "external").await;
    page.eval("document.querySelector('[data-testid=trace-to]').focus()").await.unwrap();
    type_text(page, "svc/default/web:http").await;
    page.click(".trace-go").await.unwrap();
    verdict(page, "deliver").await;
    assert_eq!(page.eval(is_open).await.unwrap(), false, "the sheet gives way to the answer");
    assert_eq!(page.eval("document.documentElement.scrollWidth").await.unwrap(), 390, "nothing sticks out");
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn hostile_names_in_a_trace_stay_text() {
    const NAME: &str = "<img src=x onerror=alert(1)>";
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hostile.json");
    let items = json!([
        { "apiVersion": "v1", "kind": "Node", "metadata": { "name": NAME },
          "status": { "addresses": [{ "type": "InternalIP", "address": "192.0.2.7" }] } },
        { "apiVersion": "v1", "kind": "Pod", "metadata": { "name": NAME, "namespace": NAME },
          "spec": { "nodeName": NAME, "containers": [] },
          "status": { "phase": "Running", "podIP": "10.0.0.1", "podIPs": [{ "ip": "10.0.0.1" }] } },
        { "apiVersion": "v1", "kind": "Service", "metadata": { "name": NAME, "namespace": NAME },
          "spec": { "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": [{ "name": NAME, "port": 80 }] } },
        { "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
          "metadata": { "name": NAME, "namespace": NAME, "labels": { "kubernetes.io/service-name": NAME } },
          "ports": [{ "name": NAME, "port": 8080, "protocol": "TCP" }],
          "endpoints": [{ "addresses": ["10.0.0.1"], "nodeName": NAME, "conditions": { "ready": true },
              "targetRef": { "kind": "Pod", "namespace": NAME, "name": NAME } },
              { "addresses": ["10.0.0.2"], "nodeName": NAME, "conditions": { "ready": false } }] },
    ]);
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    fs::write(&file, list.to_string()).unwrap();
    let server = Vipscope::serve(&["--source", &format!("file:{}", file.display())]).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    let encoded =
        page.eval(&format!("encodeURIComponent({})", json!(format!("pod/{NAME}/{NAME}")))).await.unwrap();
    for (query, sees) in [
        ("to=10.96.0.9:80".to_owned(), "[data-testid=trace-shares]"),
        ("to=10.96.0.9:80&compare=1".to_owned(), "[data-testid=trace-modes]"),
    ] {
        page.open(&format!("{}/?from={}&{query}", server.url, encoded.as_str().unwrap())).await.unwrap();
        page.until("the verdict", "document.querySelector('[data-testid=verdict]')").await.unwrap();
        if query.contains("compare") {
            page.until(sees, &format!("document.querySelector('{sees}')")).await.unwrap();
        }
        page.until(
            "hostile text, shown",
            "document.querySelector('[data-testid=trace]').innerText.includes('onerror')",
        )
        .await
        .unwrap();
        assert_eq!(page.eval("document.querySelectorAll('img').length").await.unwrap(), 0);
        assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
    }
    page.press("t").await.unwrap();
    focused(page, "from").await;
    page.eval("document.activeElement.select()").await.unwrap();
    type_text(page, "pod/").await;
    page.until("a suggestion", "document.querySelector('#trace-from-list')?.innerText.includes('onerror')")
        .await
        .unwrap();
    assert_eq!(page.eval("document.querySelectorAll('img').length").await.unwrap(), 0);
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}
