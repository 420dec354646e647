//! `vipscope compare`: what flows would do otherwise in another proxy mode, with another kube-proxy configuration, or in
//! another cluster. The same input and `--now` always give the same output.
//!
//! Exit code 0 if nothing differs, 1 if something does; bad input is an error, for which `main` exits with 2.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use vipscope_shared::model::ClusterState;
use vipscope_shared::whatif::Options;
use vipscope_shared::whatif::compare::{compare, with_mode};

use super::difference::{self, Detail};
use super::{Colour, cluster_file, print};
use crate::args::CompareArgs;

/// Exit code if something differs.
const DIFFERS: u8 = 1;

pub fn run(args: &CompareArgs, colour: Colour) -> Result<ExitCode> {
    let (before, after) = clusters(args)?;
    let now = args.now.unwrap_or_else(Timestamp::now);
    let found = compare(&before, &after, &Options::at(now));
    let detail = if args.all { Detail::Flows } else { Detail::Groups };
    let output = match args.json {
        true => serde_json::to_string_pretty(&found).context("can't write JSON")? + "\n",
        false => difference::text(&found, detail, colour),
    };
    print(&output)?;
    Ok(if difference::is_empty(&found) { ExitCode::SUCCESS } else { ExitCode::from(DIFFERS) })
}

/// The two clusters that the arguments mean.
fn clusters(args: &CompareArgs) -> Result<(ClusterState, ClusterState)> {
    let CompareArgs { cluster, cluster_b, from_mode, to_mode, to_config, .. } = args;
    if cluster_b.is_none() && to_mode.is_none() && to_config.is_none() {
        bail!("compare needs --to-mode, --to-config or --cluster-b: something to compare with");
    }
    if cluster_b.as_ref() == Some(cluster) && cluster.as_os_str() == "-" {
        bail!("--cluster and --cluster-b can't both be standard input");
    }
    let mut before = cluster_file::load(cluster, None)?;
    let mut after = match cluster_b {
        Some(file) => cluster_file::load(file, None)?,
        None => before.clone(),
    };
    if let Some(file) = to_config {
        after = cluster_file::with_config(after, file)?;
    }
    if let Some(mode) = from_mode {
        before = with_mode(&before, *mode);
    }
    if let Some(mode) = to_mode {
        after = with_mode(&after, *mode);
    }
    Ok((before, after))
}
