//! Rules as values: what is printed is read back, and what real kernels print is understood.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation fails the test"
)]

#[allow(dead_code, reason = "each test file uses its part")]
mod support;

use std::time::Duration;

use proptest::prelude::*;
use support::{Case, Rules, cases, iptables_text, variation};
use vipscope_shared::netfilter::iptables::{
    self, Counter, Loaded, Match, ParseError, Policy, Reason, Table, Target, parse_rule,
};
use vipscope_shared::netfilter::{ipvs, nft};
use vipscope_shared::proxy;

fn tables(text: &str) -> Vec<Table> {
    iptables::parse(text).unwrap().into_iter().map(|loaded| loaded.table).collect()
}

/// `parse(print(r)) == r` in every form.
fn reads_back(name: &str, rules: &Rules) {
    for generated in [&rules.iptables, &rules.ipvs.tables, &rules.userspace] {
        assert_eq!(tables(&iptables_text(generated)), *generated, "{name}");
        let normal = generated.each_ref().map(Table::normal);
        assert_eq!(tables(&iptables_text(&normal)), normal, "{name}");
        assert_eq!(normal.each_ref().map(Table::normal), normal, "{name}");
    }
    let printed = proxy::Rules::Ipvs(rules.ipvs.clone());
    let text = printed.print(proxy::Format::Ipvsadm).unwrap();
    let (sets, rest) = text.split_once("# ip -batch -\n").unwrap();
    let (_, servers) = rest.split_once("# ipvsadm -R\n").unwrap();
    let (sets, servers) = (ipvs::parse_ipset(sets), ipvs::parse_ipvsadm(servers));
    assert_eq!((sets.sets, sets.unknown), (rules.ipvs.sets.clone(), Vec::new()), "{name}");
    assert_eq!(
        (servers.servers, servers.unknown),
        (rules.ipvs.virtual_servers.clone(), Vec::new()),
        "{name}"
    );
    for table in [rules.nft.clone(), rules.nft.normal()] {
        let mut text = String::new();
        table.write(&mut text);
        assert_eq!(nft_table(&text), table, "{name}");
        assert_eq!(table.normal(), rules.nft.normal(), "{name}");
    }
}

#[test]
fn the_corpus_reads_back() {
    let cases = cases();
    cases.iter().for_each(|case| reads_back(&case.name, &case.rules()));
    assert_eq!(cases.len(), 160);
}

thread_local! {
    static CASES: Vec<Case> = cases();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_clusters_read_back(index in 0..160usize, seed in any::<u64>()) {
        let rules = CASES.with(|cases| variation(&cases[index], seed));
        reads_back(&format!("case {index}, seed {seed}"), &rules);
    }

    /// Whatever comes in, it is rules or an error; rules of words that mean something, in any order.
    #[test]
    fn readers_do_not_panic(words in prop::collection::vec(prop::sample::select(WORDS), 0..12)) {
        let line = words.join(" ");
        let _ = iptables::parse(&format!("*nat\n-A X {line}\nCOMMIT\n"));
        let _ = nft::parse(&format!("table ip t {{\nchain c {{\n{line}\n}}\n}}\n"));
        let _ = nft::parse(&format!("add {line}\n"));
    }
}

const WORDS: &[&str] = &[
    "-m",
    "tcp",
    "-p",
    "-s",
    "!",
    "--dport",
    "80",
    "-j",
    "X",
    "--comment",
    "comment",
    "\"",
    "\"a b\"",
    "\\",
    "1.2.3.4",
    "recent",
    "--name",
    "--set",
    "mark",
    "and",
    "0x1",
    "!=",
    "0",
    "meta",
    "set",
    "{",
    "}",
    ",",
    ";",
    ":",
    "@s",
    "ip",
    "saddr",
    ".",
    "numgen",
    "random",
    "mod",
    "1",
    "vmap",
    "goto",
    "table",
    "chain",
    "rule",
    "element",
    "map",
    "elements",
    "=",
    "type",
    "ipv4_addr",
    "verdict",
    "é",
    "\u{a0}",
    "#",
    "timeout",
    "3h",
    "counter",
    "dnat",
    "to",
    "[::1]:80",
];

/// The one table of a text, of which everything was understood.
fn nft_table(text: &str) -> nft::Table {
    let ruleset = nft::parse(text).unwrap();
    let [loaded] = &ruleset.tables[..] else { panic!("{ruleset:?}") };
    assert_eq!((&loaded.unknown[..], &ruleset.unknown[..]), (&[][..], &[][..]));
    loaded.table.clone()
}

/// The two rules are one to the kernel.
fn same(generated: &str, saved: &str) {
    let normal = |text: &str| {
        let (chain, rule, _) = parse_rule(text).unwrap();
        (chain, rule.normal())
    };
    assert_eq!(normal(generated), normal(saved));
    let (_, rule, _) = parse_rule(saved).unwrap();
    let unknown = rule.matches.iter().any(|each| matches!(each, Match::Unknown(_)));
    assert!(!unknown && !matches!(rule.target, Some(Target::Unknown(_))), "{rule:?}");
}

#[test]
fn the_kernels_forms() {
    let rows = [
        (
            r#"-A S -m comment --comment "ns/a:p cluster IP" -m tcp -p tcp -d 10.0.0.1 --dport 80 -j KUBE-SVC-X"#,
            r#"-A S -d 10.0.0.1/32 -p tcp -m comment --comment "ns/a:p cluster IP" -m tcp --dport 80 -j KUBE-SVC-X"#,
        ),
        (
            "-A S -m comment --comment ns1/a:p80 -s fd00::1 -j M",
            r#"-A S -s fd00::1/128 -m comment --comment "ns1/a:p80" -j M"#,
        ),
        (
            "-A S -m mark ! --mark 0x00004000/0x00004000 -j RETURN",
            "-A S -m mark ! --mark 0x4000/0x4000 -j RETURN",
        ),
        ("-A S -j MARK --or-mark 0x00004000", "-A S -j MARK --set-xmark 0x4000/0x4000"),
        ("-A S -j MARK --xor-mark 0x00004000", "-A S -j MARK --set-xmark 0x4000/0x0"),
        ("-A S -j REJECT", "-A S -j REJECT --reject-with icmp-port-unreachable"),
        ("-A S -j REJECT", "-A S -j REJECT --reject-with icmp6-port-unreachable"),
        (
            "-A S -m statistic --mode random --probability 0.3333333333 -j E",
            "-A S -m statistic --mode random --probability 0.33333333349 -j E",
        ),
        (
            "-A S -m recent --name E --rcheck --seconds 60 --reap -j E",
            "-A S -m recent --rcheck --seconds 60 --reap --name E --mask 255.255.255.255 --rsource -j E",
        ),
        (
            "-A S -m comment --comment a -m recent --name E --set -m tcp -p tcp -j DNAT --to-destination [fd00::1]:80",
            "[3:180] -A S -p tcp -m comment --comment a -m recent --set --name E --mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource -m tcp -j DNAT --to-destination [fd00::1]:80",
        ),
        (
            "-A S -d 127.0.0.0/8 ! -s 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
            "-A S ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate ESTABLISHED,RELATED,DNAT -j DROP",
        ),
        (
            "-A S -s 1.2.3.4 -m ipvs --vaddr 1.2.3.4 --vproto tcp --vport 9090 -j DROP",
            "-A S -s 1.2.3.4/32 -m ipvs --vaddr 1.2.3.4 --vproto 6 --vport 9090 -j DROP",
        ),
        (
            "-A S -m set --match-set KUBE-CLUSTER-IP dst,dst -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL ! -i veth+ -j ACCEPT",
            "-A S ! -i veth+ -m set --match-set KUBE-CLUSTER-IP dst,dst -m physdev ! --physdev-is-in -m addrtype ! --src-type LOCAL -j ACCEPT",
        ),
        (
            "-A S -m tcp -p tcp -d 127.0.0.0/8 --dport 30000 -m nfacct --nfacct-name localhost_nps_accepted_pkts -j X",
            "-A S -d 127.0.0.0/8 -p tcp -m tcp --dport 30000 -m nfacct --nfacct-name  localhost_nps_accepted_pkts -j X",
        ),
    ];
    rows.iter().for_each(|(generated, saved)| same(generated, saved));
}

#[test]
fn comments_may_hold_anything() {
    for text in
        ["a", "a b", "", "-j", "a\"b\\c'd", "!", "ns/a:p", "ä ö", "it's", "\\", "\"", "a\u{15}b\0c\td"]
    {
        let (chain, mut rule, _) = parse_rule("-A X -m comment --comment x -j Y").unwrap();
        rule.matches[0] = Match::Comment(text.into());
        let mut line = String::new();
        rule.write(&chain, &mut line);
        assert_eq!(parse_rule(&line), Ok((chain, rule, None)), "{line}");
    }
}

#[test]
fn a_line_break_in_a_comment_makes_no_second_rule() {
    let (chain, mut rule, _) = parse_rule("-A X -m comment --comment x -j Y").unwrap();
    rule.matches[0] = Match::Comment("a\n-A INPUT -j DROP".into());
    let mut line = String::new();
    rule.write(&chain, &mut line);
    assert_eq!(line, "-A X -m comment --comment \"a -A INPUT -j DROP\" -j Y\n");
}

#[test]
fn the_unknown_is_kept_word_for_word() {
    let rows: [(&str, &[&str], Option<&str>); 9] = [
        ("-A X -m limit --limit 5/min -j DROP", &["-m limit --limit 5/min"], None),
        ("-A X ! -p tcp -m tcp ! --dport 5:7", &["! -p tcp", "! --dport 5:7"], None),
        ("-A X -p tcp -m tcp --tcp-flags FIN,SYN SYN -j DROP", &["--tcp-flags FIN,SYN SYN"], None),
        ("-A X -p icmp -m icmp --icmp-type 8 -j DROP", &["-p icmp", "-m icmp --icmp-type 8"], None),
        (r#"-A X -j LOG --log-prefix "a -j b""#, &[], Some(r#"-j LOG --log-prefix "a -j b""#)),
        ("-A X -g Y", &["-g Y"], None),
        ("-A X -m conntrack --ctstate NEW --ctdir ORIGINAL -j Y", &["--ctdir ORIGINAL"], None),
        ("-A X -s 10.0.0.0/255.0.255.0 -j Y", &["-s 10.0.0.0/255.0.255.0"], None),
        ("-A X -j MARK --set-xmark 0x1/0xff", &[], Some("-j MARK --set-xmark 0x1/0xff")),
    ];
    for (line, matches, target) in rows {
        let (chain, rule, _) = parse_rule(line).unwrap();
        let kept: Vec<&str> = rule
            .matches
            .iter()
            .filter_map(|each| if let Match::Unknown(text) = each { Some(&**text) } else { None })
            .collect();
        let kept_target = if let Some(Target::Unknown(text)) = &rule.target { Some(&**text) } else { None };
        assert_eq!((kept.as_slice(), kept_target), (matches, target), "{line}");
        let mut printed = String::new();
        rule.write(&chain, &mut printed);
        assert_eq!(parse_rule(&printed), Ok((chain, rule, None)), "{line}");
    }
}

#[test]
fn counters_and_policies_stand_beside_the_rules() {
    let text = "# Generated\n*filter\n:INPUT DROP [7:420]\n:KUBE-X - [0:0]\n[12:345] -A INPUT -j KUBE-X\n-X KUBE-OLD\nCOMMIT\n";
    let [Loaded { table, chains, unknown }] = &iptables::parse(text).unwrap()[..] else { panic!() };
    assert_eq!(chains[0].policy, Some(Policy::Drop));
    assert_eq!(chains[0].counter, Counter { packets: 7, bytes: 420 });
    assert_eq!(chains[0].rules, [Counter { packets: 12, bytes: 345 }]);
    assert_eq!((chains[1].policy, chains[1].rules.len()), (None, 0));
    assert_eq!(table.chain("INPUT").unwrap().rules.len(), 1);
    assert_eq!(unknown[..], ["-X KUBE-OLD".into()]);
}

#[test]
fn broken_text_is_an_error_with_its_line() {
    let rows = [
        ("-A X -j Y\n", 1, Reason::NoTable),
        ("*filter\n*nat\n", 2, Reason::NotCommitted),
        ("*filter\n:X - [0:0]\n", 2, Reason::NotCommitted),
        ("*arp\n", 1, Reason::TableName),
        ("*filter\n:X MAYBE\n", 2, Reason::Chain),
        ("*filter\n:KUBE-SVC-THIS-NAME-IS-TOO-LONG - [0:0]\n", 2, Reason::ChainName),
        ("*filter\n\n[1:x] -A X\n", 3, Reason::Counters),
        ("*filter\n-A X -m comment --comment \"open\n", 2, Reason::Quote),
        ("hello\n", 1, Reason::Line),
    ];
    for (text, line, reason) in rows {
        assert_eq!(iptables::parse(text), Err(ParseError { line, reason }), "{text}");
    }
}

fn nft_rule(line: &str) -> nft::Rule {
    let ruleset = nft::parse(&format!("table ip t {{\n chain c {{\n  {line}\n }}\n}}\n")).unwrap();
    ruleset.tables[0].table.chains["c"].rules[0].clone()
}

#[test]
fn nft_comments_keep_control_characters() {
    let mut rule = nft_rule("drop comment \"x\"");
    rule.comment = Some("a\u{15}b\0c\r\td".into());
    let mut table = nft_table("table ip t {\n chain c {\n }\n}\n");
    table.chains.get_mut("c").unwrap().rules.push(rule);
    let mut text = String::new();
    table.write(&mut text);
    assert_eq!(nft_table(&text), table);
}

#[test]
fn nfts_own_forms() {
    let rows = [
        (
            "mark and 0x00004000 != 0 mark set mark xor 0x00004000 masquerade fully-random",
            "meta mark & 0x00004000 != 0x00000000 meta mark set meta mark ^ 0x00004000 masquerade fully-random",
        ),
        ("mark and 0x80000000 != 0", "meta mark != 0x00000000/1"),
        ("mark set mark or 0x00004000", "meta mark set meta mark | 0x00004000"),
        ("iifname != veth* drop", "iifname != \"veth*\" drop"),
        ("reject", "reject with icmp type port-unreachable"),
        ("ip saddr != { 10.1.0.0/16 , 10.0.0.0/16 , 10.0.0.1 } drop", "ip saddr != 10.0.0.0/15 drop"),
        ("ip saddr { 10.0.0.3 , 10.0.0.1 , 10.0.0.2 } drop", "ip saddr 10.0.0.1-10.0.0.3 drop"),
        (
            "meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 10.0.0.1 . 80 , 1 : 10.0.0.2 . 80 }",
            "meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.0.0.1 . 80,\n 1 : 10.0.0.2 . 80 }",
        ),
        (
            "numgen random mod 1 vmap { 0 : goto endpoint-A/b/__1.2.3.4/80 }",
            "numgen random mod 1 vmap { 0 : goto endpoint-A/b/__1.2.3.4/80 } # handle 7",
        ),
    ];
    for (generated, listed) in rows {
        let (generated, listed) = (nft_rule(generated).normal(), nft_rule(listed).normal());
        assert_eq!(generated, listed);
        assert!(
            !listed.statements.iter().any(|each| matches!(each, nft::Statement::Unknown(_))),
            "{listed:?}"
        );
    }
}

#[test]
fn nft_keeps_the_unknown_word_for_word() {
    let rows: [(&str, &[&str]); 6] = [
        ("counter packets 3 bytes 180 drop", &["counter packets 3 bytes 180"]),
        ("ct state { established, related } accept", &["ct state { established, related } accept"]),
        ("ct state new,related accept comment \"x\"", &["ct state new,related accept"]),
        ("tcp dport 80 log prefix \"a }\" drop", &["tcp dport 80 log prefix \"a }\" drop"]),
        ("ip6 saddr fd00::1 drop", &["ip6 saddr fd00::1 drop"]),
        ("meta mark & 0x1 != 0x1", &["meta mark & 0x1 != 0x1"]),
    ];
    for (line, expected) in rows {
        let rule = nft_rule(line);
        let kept = rule.statements.iter().filter_map(|each| match each {
            nft::Statement::Unknown(text) => Some(&**text),
            _ => None,
        });
        assert_eq!(kept.collect::<Vec<_>>(), expected, "{line}");
    }
}

#[test]
fn nft_tells_what_the_kernel_adds() {
    let text = r#"table inet other {
    chain x { type filter hook input priority filter; policy drop; }
}
table ip kube-proxy {
    comment "rules for kube-proxy"
    flags dormant
    set affinity-a {
        type ipv4_addr
        size 65535
        flags dynamic,timeout
        timeout 3h
        elements = { 10.0.0.1 expires 2h59m30s500ms, 10.0.0.2 timeout 1d counter packets 2 bytes 120 }
    }
    set ports {
        type inet_service
        elements = { 80, 443 }
    }
    map service-nodeports {
        type inet_proto . inet_service : verdict
        elements = { tcp . 30000 comment "a/b:p" : goto x,
                     udp . 30001 : drop }
    }
    chain nat-prerouting {
        type nat hook prerouting priority dstnat - 10; policy accept;
    }
}
"#;
    let ruleset = nft::parse(text).unwrap();
    let [loaded] = &ruleset.tables[..] else { panic!("{ruleset:?}") };
    assert!(ruleset.unknown[0].starts_with("table inet other {") && ruleset.unknown.len() == 1);
    assert_eq!(loaded.unknown.len(), 2, "{:?}", loaded.unknown);
    assert_eq!(&*loaded.unknown[0], "flags dormant");
    assert!(loaded.unknown[1].starts_with("set ports {") && loaded.unknown[1].ends_with('}'));
    let set = &loaded.table.sets["affinity-a"];
    assert_eq!((set.dynamic_seconds, set.elements.len()), (Some(10_800), 2));
    let state = |ip: &str| &loaded.states[&("affinity-a".into(), nft::Key::Ip(ip.parse().unwrap()))];
    assert_eq!(state("10.0.0.1").expires, Some(Duration::from_millis(10_770_500)));
    assert_eq!(state("10.0.0.2").timeout, Some(Duration::from_secs(86_400)));
    assert_eq!(state("10.0.0.2").counter, Some(Counter { packets: 2, bytes: 120 }));
    assert_eq!(loaded.table.maps["service-nodeports"].elements.len(), 2);
    let base = loaded.table.chains["nat-prerouting"].base.unwrap();
    assert_eq!((base.hook, base.priority), (nft::Hook::Prerouting, -110));
    assert_eq!(loaded.policies["nat-prerouting"], Policy::Accept);
}

#[test]
fn broken_nft_text_is_an_error_with_its_line() {
    let rows = [
        ("table ip t {\n", 2, nft::Reason::Unclosed),
        ("\n}\n", 2, nft::Reason::Brace),
        ("add rule ip t", 1, nft::Reason::Name),
        ("table ip t {\n comment \"x\n}\n", 4, nft::Reason::Unclosed),
    ];
    for (text, line, reason) in rows {
        assert_eq!(nft::parse(text), Err(nft::ParseError { line, reason }), "{text}");
    }
    assert!(nft::parse_json("{").is_err());
}

#[test]
fn ipset_and_ipvsadm_text() {
    let sets = ipvs::parse_ipset(
        "create A hash:ip,port,net family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0xc1152719\n\
         add A 10.0.0.1,tcp:80,10.1.0.0/16\nadd A 10.0.0.1,sctp:80,10.1.0.7\nadd A 10.0.0.1,tcp:80 timeout 3\n\
         create B bitmap:port range 0-65535\nadd B 30000\ncreate C list:set size 8\nadd C A\n",
    );
    let entries = |set: usize| sets.sets[set].entries.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(entries(0), ["10.0.0.1,tcp:80,10.1.0.0/16", "10.0.0.1,sctp:80,10.1.0.7/32"]);
    assert_eq!(entries(1), ["30000"]);
    let unknown = ["add A 10.0.0.1,tcp:80 timeout 3", "create C list:set size 8", "add C A"];
    assert_eq!(sets.unknown[..], unknown.map(Into::into));

    let loaded = ipvs::parse_ipvsadm(
        "-A -t 10.0.0.1:80 -s rr\n-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -w 1\n-a -t 10.0.0.1:80 -r 10.1.0.2:8080 -g -w 1\n\
         -A --sctp-service [fd00::1]:53 -s mh -p 10800 -b flag-2\n-A -f 3 -s rr\n",
    );
    let [(tcp, first), (sctp, second)] = &loaded.servers.iter().collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(
        (tcp.address.to_string(), sctp.address.to_string()),
        ("10.0.0.1:80".into(), "[fd00::1]:53".into())
    );
    assert_eq!(first.real_servers, [("10.1.0.1:8080".parse().unwrap(), 1)].into());
    assert_eq!((&*second.scheduler, second.flags, second.timeout), ("mh", 0x11, 10_800));
    assert_eq!(
        loaded.unknown[..],
        ["-a -t 10.0.0.1:80 -r 10.1.0.2:8080 -g -w 1".into(), "-A -f 3 -s rr".into()]
    );
}
