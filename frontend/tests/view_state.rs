//! The URL: what it says is shown, what is shown is what it says.

use vipscope_frontend::asked::Asked;
use vipscope_frontend::canvas::Theme;
use vipscope_frontend::compare::{Comparison, Settings, Switch};
use vipscope_frontend::findings::{Filter, Suppressed};
use vipscope_frontend::view_state::{Chrome, RulesBasis, Screen, Tab, Telling, Traced, ViewState};
use vipscope_shared::diagnose::Severity;
use vipscope_shared::model::{IpFamily, Key, Protocol, ProxyMode};
use vipscope_shared::predict::names::{Destination, Source};
use vipscope_shared::proxy::Via;
use vipscope_shared::proxy::reading::Wanted;
use vipscope_shared::scene::{Camera, Target};
use vipscope_shared::whatif::edit::{Edit, NodeEdit, link};
use wasm_bindgen_test::wasm_bindgen_test;

fn example() -> ViewState {
    ViewState {
        namespaces: ["edge".into(), "shop".into()].into(),
        selected: Some(Target::Service(Key::new("shop", "cart"))),
        camera: Some(Camera { x: -12.5, y: 40.0, zoom: 1.25 }),
        theme: Some(Theme::Dark),
        chrome: Chrome::Kiosk,
        screen: Screen::Table,
        tab: Some(Tab::Changes),
        rules: Wanted {
            node: Some("node a".into()),
            mode: Some(ProxyMode::Ipvs),
            family: Some(IpFamily::IPv6),
        },
        basis: RulesBasis::Observed,
        trace: Some(Traced {
            protocol: Some(Protocol::Udp),
            node: Some("node b".into()),
            mode: Some(ProxyMode::Nftables),
            telling: Telling::Modes,
            answer: 2,
            ..traced("pod/shop/web-0", "svc/shop/cart:http")
        }),
        findings: Filter {
            severities: [Severity::Info, Severity::Error].into(),
            code: "SVC012".parse().ok(),
            about: Some(Target::Pod(Key::new("shop", "web-0"))),
            text: "a & b".to_owned(),
            suppressed: Suppressed::Shown,
        },
        asked: Asked {
            pod: Some(Key::new("shop", "cart-x")),
            node: Some("node c".into()),
            via: Via::External,
            name: "cart.shop".to_owned(),
            asker: Some(Key::new("edge", "web-1")),
        },
        whatif: Some(vec![Edit::Node { node: "node-d".into(), state: NodeEdit::Drain }]),
        compare: Comparison {
            b: Settings { mode: Some(ProxyMode::Nftables), localhost: Switch::Off, ..Settings::default() },
            ..Comparison::default()
        },
        query: "app=web & more/ü".to_owned(),
    }
}

fn traced(from: &str, to: &str) -> Traced {
    Traced {
        from: from.parse().unwrap_or(Source::External),
        to: to.parse().unwrap_or(Destination::Service(Key::new("wrong", to), None)),
        protocol: None,
        node: None,
        mode: None,
        telling: Telling::Steps,
        answer: 0,
    }
}

#[wasm_bindgen_test]
fn prints_what_a_reader_can_read() {
    let text = example().print();
    let edits = link::encode(&example().whatif.unwrap_or_default());
    assert!(!edits.is_empty());
    let expected = format!(
        "view=table&ns=edge,shop&sel=svc/shop/cart&tab=changes&node=node%20a&mode=ipvs&family=ipv6&basis=observed\
         &from=pod/shop/web-0&to=svc/shop/cart:http&protocol=udp&via=node%20b&via-mode=nftables&compare=1&answer=3\
         &severity=info.error&check=SVC012&about=pod/shop/web-0&find=a%20%26%20b&suppressed=1\
         &why=shop/cart-x&why-node=node%20c&why-via=outside&lookup=cart.shop&asker=edge/web-1\
         &whatif={edits}\
         &b-mode=nftables&b-localhost=off&cam=-12.5,40,1.25&theme=dark&q=app%3Dweb%20%26%20more/%C3%BC&kiosk=1"
    );
    assert_eq!(text, expected);
}

#[wasm_bindgen_test]
fn parse_undoes_print() {
    let targets = [
        "svc/shop/cart",
        "svc/shop/cart:http",
        "pod/shop/cart-x",
        "node/node-a",
        "ns/shop",
        "from/outside",
        "from/nodes",
        "from/pods/shop",
        "address/192.0.2.10",
    ];
    let mut views: Vec<ViewState> = targets
        .iter()
        .map(|target| ViewState { selected: target.parse().ok(), ..ViewState::default() })
        .collect();
    assert!(views.iter().all(|view| view.selected.is_some()));
    views.push(ViewState::default());
    views.push(example());
    views.push(ViewState { namespaces: ["a,b&c=d%".into(), "<img>".into()].into(), ..ViewState::default() });
    for mode in ProxyMode::ALL {
        let rules = Wanted { mode: Some(mode), ..Wanted::default() };
        views.push(ViewState { rules, tab: Some(Tab::Rules), ..ViewState::default() });
    }
    for from in ["pod/shop/web-0", "node/node-a", "external", "10.0.0.1", "fd00::1"] {
        for to in ["svc/shop/cart", "svc/shop/cart:http", "svc/shop/cart:80", "10.96.0.1:443", "[fd00::1]:80"]
        {
            let trace = traced(from, to);
            assert_eq!((trace.from.to_string(), trace.to.to_string()), (from.to_owned(), to.to_owned()));
            views.push(ViewState { trace: Some(trace), ..ViewState::default() });
        }
    }
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        let trace = Traced { protocol: Some(protocol), ..traced("external", "10.96.0.1:443") };
        views.push(ViewState { trace: Some(trace), ..ViewState::default() });
    }
    for severities in [vec![], vec![Severity::Info], Severity::ALL.to_vec()] {
        let findings = Filter { severities: severities.into_iter().collect(), ..Filter::default() };
        views.push(ViewState { findings, screen: Screen::Findings, ..ViewState::default() });
    }
    for tab in Tab::ALL {
        views.push(ViewState { tab: Some(tab), ..ViewState::default() });
    }
    for view in views {
        let text = view.print();
        assert_eq!(ViewState::parse(&text), view, "{text}");
        assert_eq!(ViewState::parse(&format!("?{text}")), view, "{text}");
    }
}

#[wasm_bindgen_test]
fn defaults_are_not_printed() {
    assert_eq!(ViewState::default().print(), "");
    assert_eq!(ViewState::parse(""), ViewState::default());
}

#[wasm_bindgen_test]
fn nonsense_is_left_out() {
    let rows = [
        "sel=javascript:alert(1)",
        "sel=svc/shop",
        "cam=1,2",
        "cam=NaN,0,1",
        "cam=0,0,-1",
        "cam=0,0,inf",
        "theme=pink",
        "view=elsewhere",
        "tab=nope",
        "mode=ebpf",
        "family=ipv5",
        "node=",
        "kiosk=2",
        "ns=",
        "ns=,,",
        "from=external",
        "to=svc/shop/cart",
        "from=somewhere&to=svc/shop/cart",
        "from=external&to=cart",
        "protocol=icmp&via=node-a&via-mode=nftables&compare=1&answer=2",
        "severity=loud",
        "check=SVC999",
        "about=nothing",
        "suppressed=yes",
        "why=web-0",
        "why=a/b/c",
        "why-node=",
        "asker=/x",
        "unknown=1",
        "&&&",
        "=",
    ];
    for row in rows {
        assert_eq!(ViewState::parse(row), ViewState::default(), "{row}");
    }
    let plain = ViewState { trace: Some(traced("external", "svc/shop/cart")), ..ViewState::default() };
    for row in ["protocol=icmp", "via=", "via-mode=ebpf", "compare=yes", "answer=0", "answer=1", "answer=x"] {
        assert_eq!(ViewState::parse(&format!("from=external&to=svc/shop/cart&{row}")), plain, "{row}");
    }
    assert_eq!(ViewState::parse("q=a%2").query, "a%2");
    assert_eq!(ViewState::parse("q=%zz+b").query, "%zz b");
    assert_eq!(ViewState::parse("q=%FF").query, "\u{fffd}");
    assert_eq!(ViewState::parse("q=%+1").query, "% 1");
}
