//! Text for the nft readers: they never panic, and a table that is understood wholly is read back as printed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vipscope_shared::netfilter::nft::{Loaded, Statement, parse, parse_json};

fn understood(loaded: &Loaded) -> bool {
    let mut statements = loaded.table.chains.values().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.statements);
    loaded.unknown.is_empty() && !statements.any(|statement| matches!(statement, Statement::Unknown(_)))
}

fuzz_target!(|text: &str| {
    let json = text.starts_with('{').then(|| parse_json(text).ok()).flatten();
    json.iter().flat_map(|ruleset| &ruleset.tables).for_each(|loaded| drop(loaded.table.normal()));
    let Ok(ruleset) = parse(text) else { return };
    for loaded in ruleset.tables.iter().filter(|loaded| understood(loaded)) {
        let mut script = String::new();
        loaded.table.write(&mut script);
        let again = parse(&script).map(|read| read.tables.into_iter().map(|read| read.table).collect::<Vec<_>>());
        assert_eq!(again, Ok(vec![loaded.table.clone()]), "{script}");
        assert_eq!(loaded.table.normal().normal(), loaded.table.normal());
    }
});
