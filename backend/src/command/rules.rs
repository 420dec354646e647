//! `vipscope rules`: what kube-proxy programs on one node, as text. The same input always gives the same output.

use anyhow::{Context, Result};
use vipscope_shared::model::ProxyMode;
use vipscope_shared::proxy::{self, Format};

use super::{cluster_file, print};
use crate::args::RulesArgs;

pub fn run(args: &RulesArgs) -> Result<()> {
    if let (Format::Ipvsadm, Some(mode)) = (args.format, args.mode)
        && mode != ProxyMode::Ipvs
    {
        return Err(proxy::NotIpvs(mode)).context("--format ipvsadm");
    }
    let state = cluster_file::load(&args.cluster, args.proxy_config.as_deref())?;
    let node = proxy::find_node(&state, &args.node, args.family)
        .with_context(|| format!("{}: --node {}", args.cluster.display(), args.node))?;
    let mode = args.mode.unwrap_or_else(|| state.proxy_settings(&args.node).mode);
    let mut rules = proxy::generate(&state, node, args.family, mode);
    if args.jumps {
        rules = rules.with_jumps();
    }
    print(&rules.print(args.format).context("--format")?)
}
