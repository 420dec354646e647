//! Text for the iptables reader: it never panics, and a rule that it understands wholly is read back as printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vipscope_shared::netfilter::iptables::{Match, Rule, Target, parse, parse_rule};

fn understood(rule: &Rule) -> bool {
    let known = |each: &Match| !matches!(each, Match::Unknown(_));
    rule.matches.iter().all(known) && !matches!(rule.target, Some(Target::Unknown(_)))
}

fuzz_target!(|text: &str| {
    let Ok(tables) = parse(text) else { return };
    for chain in tables.iter().flat_map(|loaded| &loaded.table.chains) {
        for rule in chain.rules.iter().filter(|rule| understood(rule)) {
            for rule in [rule, &rule.normal()] {
                let mut line = String::new();
                rule.write(&chain.name, &mut line);
                assert_eq!(parse_rule(&line), Ok((chain.name, rule.clone(), None)), "{line}");
            }
        }
    }
});
