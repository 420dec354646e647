//! The Rules panel on the sandbox: the chains of a Service, another mode, links between chains, and a link that
//! reproduces the view.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vipscope_browser::{Browser, Page, Vipscope, http};

/// A Service with two endpoints that no controller and no churn touches.
async fn create_web(api: &str) {
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": "default" },
        "spec": { "type": "NodePort", "ports": [{ "name": "http", "port": 80 }] } });
    let endpoint = |ip: &str, node: &str| json!({ "addresses": [ip], "nodeName": node, "conditions": { "ready": true } });
    let labels = json!({ "kubernetes.io/service-name": "web" });
    let slice = json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": { "name": "web-1", "namespace": "default", "labels": labels },
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": [endpoint("10.244.0.201", "node-a"), endpoint("10.244.1.202", "node-b")] });
    let slices = format!("{api}/apis/discovery.k8s.io/v1/namespaces/default/endpointslices");
    http::send("POST", &format!("{api}/api/v1/namespaces/default/services"), &service).await.unwrap();
    http::send("POST", &slices, &slice).await.unwrap();
}

/// A part of the panel by how its name begins, as JavaScript.
fn part(start: &str) -> String {
    format!("document.querySelector('[data-part^=\"{start}\"]')")
}

async fn choose(page: &Page, what: &str, value: &str) {
    let select = format!("document.querySelector('[data-testid=rules-{what}]')");
    page.until(what, &select).await.unwrap();
    let choose = format!(
        "{select}.value = '{value}', {select}.dispatchEvent(new Event('change', {{ bubbles: true }}))"
    );
    page.eval(&choose).await.unwrap();
}

/// Names of the Service's own chains, as the page shows them.
async fn chains_on_page(page: &Page) -> BTreeSet<String> {
    let parts = "[...document.querySelectorAll('[data-part^=\"nat/KUBE-S\"], [data-part^=\"nat/KUBE-EXT-\"]')].map(part => part.dataset.part)";
    let parts: Vec<String> = serde_json::from_value(page.eval(parts).await.unwrap()).unwrap();
    parts
        .iter()
        .filter(|part| part.matches('-').count() == 2)
        .map(|part| part["nat/".len()..].to_owned())
        .collect()
}

/// The same, as the server works them out.
async fn chains_of_server(server: &Vipscope) -> BTreeSet<String> {
    let url = format!("{}/api/v1/rules/node-a?mode=iptables&service=default/web", server.url);
    let rules = http::get(&url).await.unwrap().json().unwrap();
    let tables = rules["tables"].as_array().unwrap();
    let chains = tables.iter().flat_map(|table| table["chains"].as_array().unwrap());
    let names = chains.filter_map(|chain| chain["name"].as_str());
    names
        .filter(|name| name.matches('-').count() == 2 && *name != "KUBE-MARK-MASQ")
        .map(str::to_owned)
        .collect()
}

/// What a link must reproduce.
async fn shown(page: &Page) -> Value {
    page.eval("[...document.querySelectorAll('.rules-title, .part')].map(part => part.innerText)")
        .await
        .unwrap()
}

#[tokio::test]
async fn a_service_shows_its_chains_in_each_mode_and_a_reload_shows_the_same() {
    let mut server = Vipscope::serve_sandbox(&[]).await.unwrap();
    create_web(&server.sandbox_url().await.unwrap()).await;
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&format!("{}/?sel=svc/default/web", server.url)).await.unwrap();
    let tab = "[...document.querySelectorAll('[role=tab]')].find(tab => tab.innerText === 'Rules')";
    page.until("the tab", tab).await.unwrap();
    page.eval(&format!("{tab}.click()")).await.unwrap();
    let service = part("nat/KUBE-SVC-");
    page.until("the Service's chain", &format!("{service}?.innerText.includes('0.5000000000')"))
        .await
        .unwrap();
    for endpoint in ["10.244.0.201:8080", "10.244.1.202:8080"] {
        let dnat = format!(
            "[...document.querySelectorAll('[data-part^=\"nat/KUBE-SEP-\"]')].some(part => part.innerText.includes('--to-destination {endpoint}'))"
        );
        page.until(endpoint, &dnat).await.unwrap();
    }
    assert_eq!(chains_on_page(page).await, chains_of_server(&server).await);
    let title = page.eval("document.querySelector('.rules-title').innerText.toLowerCase()").await.unwrap();
    assert_eq!(title, "node-a · iptables · ipv4\npredicted");

    choose(page, "mode", "nftables").await;
    let nft = part("chain service-");
    page.until("nft's chain", &format!("{nft}?.innerText.includes('numgen random mod 2')")).await.unwrap();
    page.click("[data-part=\"map service-ips\"] .rule-part").await.unwrap();
    page.until(
        "the chain that the link leads to",
        &format!("{nft}.classList.contains('on') && document.activeElement === {nft}"),
    )
    .await
    .unwrap();
    choose(page, "node", "node-c").await;
    page.until(
        "the node",
        "document.querySelector('.rules-title').innerText.toLowerCase().startsWith('node-c · nftables')",
    )
    .await
    .unwrap();
    let query = "const q = new URLSearchParams(location.search)";
    let in_url = format!(
        "(() => {{ {query}; return q.get('tab') === 'rules' && q.get('mode') === 'nftables' && q.get('node') === 'node-c'; }})()"
    );
    page.until("the choice in the URL", &in_url).await.unwrap();
    let before = shown(page).await;
    page.reload().await.unwrap();
    page.until("the chain again", &nft).await.unwrap();
    assert_eq!(shown(page).await, before);
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_service_without_a_vip_says_why_it_has_no_rules() {
    let mut server = Vipscope::serve_sandbox(&["--empty"]).await.unwrap();
    let api = server.sandbox_url().await.unwrap();
    let services = [
        ("alias", json!({ "type": "ExternalName", "externalName": "db.example.com" }), "db.example.com"),
        ("headless", json!({ "clusterIP": "None", "ports": [{ "port": 80 }] }), "headless"),
    ];
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    for (name, spec, why) in services {
        let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": "default" }, "spec": spec });
        http::send("POST", &format!("{api}/api/v1/namespaces/default/services"), &service).await.unwrap();
        page.open(&format!("{}/?sel=svc/default/{name}&tab=rules", server.url)).await.unwrap();
        let said = format!("document.querySelector('[data-testid=no-rules]')?.innerText.includes('{why}')");
        page.until(name, &said).await.unwrap();
        assert_eq!(
            page.eval("document.querySelectorAll('.part, .rules-head select').length").await.unwrap(),
            0,
            "{name}"
        );
    }
    assert_eq!(page.complaints().await.unwrap(), Vec::<String>::new());
}
