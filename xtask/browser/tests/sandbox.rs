//! The sandbox's screen, as a user uses it: an example is applied, a pod fails, everything starts anew.

#![allow(clippy::unwrap_used, reason = "a failed expectation fails the test")]

use std::time::Duration;

use vipscope_browser::{Browser, Vipscope};

/// Sets a field as typing would.
fn typed(selector: &str, value: &str) -> String {
    format!(
        "(() => {{ const field = document.querySelector({selector:?}); field.value = {value:?};
          field.dispatchEvent(new Event('input', {{ bubbles: true }})); return true; }})()"
    )
}

#[tokio::test]
async fn a_manifest_is_applied_a_pod_fails_and_all_starts_anew() {
    let server = Vipscope::serve_sandbox(&[]).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&format!("{}/?view=sandbox", server.url)).await.unwrap();
    page.until("the examples", "document.querySelectorAll('[data-testid=example] option').length > 5")
        .await
        .unwrap();

    // What is wrong is said, and nothing is changed.
    page.eval(&typed(
        "[data-testid=manifest]",
        "kind: Service\napiVersion: v1\nmetadata: {name: A_B}\nspec: {ports: [{port: 80}]}",
    ))
    .await
    .unwrap();
    page.click("[data-testid=apply]").await.unwrap();
    page.until(
        "the refusal",
        "document.querySelector('[data-testid=applied] .refused')?.innerText.includes('metadata.name')",
    )
    .await
    .unwrap();

    let choose = "(() => { const select = document.querySelector('[data-testid=example]');
        select.value = [...select.options].find(option => option.value.startsWith('01')).value;
        select.dispatchEvent(new Event('change', { bubbles: true })); return true; })()";
    page.eval(choose).await.unwrap();
    page.until(
        "the example's text",
        "document.querySelector('[data-testid=manifest]').value.includes('Deployment')",
    )
    .await
    .unwrap();
    page.click("[data-testid=apply]").await.unwrap();
    page.until(
        "what was created",
        "document.querySelector('[data-testid=applied]').innerText.includes('created')",
    )
    .await
    .unwrap();

    // Its pods come, and one of them is made to fail in the inspector.
    page.open(&format!("{}/?sel=svc/shop/payments", server.url)).await.unwrap();
    let pod = page
        .until(
            "a pod of payments that is ready",
            "document.querySelector('[data-target^=\"pod/shop/payments-\"]')?.dataset.target",
        )
        .await
        .unwrap();
    let pod = pod.as_str().unwrap();
    page.open(&format!("{}/?sel={pod}", server.url)).await.unwrap();
    let button = "[...document.querySelectorAll('[data-testid=inspector] button')].find(button => button.innerText === 'Make unready')";
    page.until("the button", button).await.unwrap();
    page.eval(&format!("({button}).click()")).await.unwrap();
    let state = "document.querySelector('[data-testid=inspector]').innerText.match(/not ready|unready/i)";
    page.until_within("the pod is unready", Duration::from_secs(5), state).await.unwrap();

    page.open(&format!("{}/?view=sandbox", server.url)).await.unwrap();
    let named = |text: &str| {
        format!(
            "[...document.querySelectorAll('[data-testid=sandbox] button')].find(button => button.innerText === {text:?})"
        )
    };
    page.until("the reset button", &named("Reset the sandbox…")).await.unwrap();
    page.eval(&format!("({}).click()", named("Reset the sandbox…"))).await.unwrap();
    page.until("the question", &named("Reset")).await.unwrap();
    page.eval(&format!("({}).click()", named("Reset"))).await.unwrap();
    page.open(&format!("{}/?view=table", server.url)).await.unwrap();
    let back = "document.body.innerText.includes('payments') && !document.body.innerText.includes('apache')";
    page.until_within("the demo as it was", Duration::from_secs(20), back).await.unwrap();
    // The browser complains of the refusal that was asked for, and of nothing else.
    let mut complaints = page.complaints().await.unwrap();
    complaints.retain(|text| !(text.contains("/sandbox/apply") && text.contains("422")));
    assert_eq!(complaints, Vec::<String>::new());
}

#[tokio::test]
async fn another_source_has_no_such_screen() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.json");
    std::fs::write(&file, r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"}}"#).unwrap();
    let server = Vipscope::serve(&["--source", &format!("file:{}", file.display())]).await.unwrap();
    let browser = Browser::start().await.unwrap();
    let page = &browser.page;
    page.open(&format!("{}/?view=sandbox", server.url)).await.unwrap();
    page.until(
        "the words",
        "document.querySelector('[data-testid=sandbox]')?.innerText.includes('no sandbox')",
    )
    .await
    .unwrap();
    let buttons =
        page.eval("document.querySelectorAll('nav button[aria-label=Sandbox]').length").await.unwrap();
    assert_eq!(buttons, 0);
}
