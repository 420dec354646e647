//! The command line. The only reader of arguments; what they mean for the program is decided in `main`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use vipscope::server::BasePath;
use vipscope_shared::diagnose::{Code, Severity};
use vipscope_shared::model::{IpFamily, Protocol, ProxyMode};
use vipscope_shared::predict::names::{Destination, NameError, Source};
use vipscope_shared::proxy::Format;

/// Where every Kubernetes Service VIP goes: a live dashboard.
#[derive(Debug, Parser)]
#[command(name = "vipscope", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Dashboard and API (the default)
    Serve(ServeArgs),
    /// The embedded Kubernetes API server alone, for kubectl
    Sandbox(SandboxArgs),
    /// The rules that kube-proxy programs on a node, from a file of Kubernetes objects
    Rules(RulesArgs),
    /// Where packets go on a node, rule by rule, with exact shares, from a file of Kubernetes objects
    Trace(TraceArgs),
    /// What is wrong with the Services in a file of Kubernetes objects. Exit code 1 if anything is at or above --fail-on
    Check(CheckArgs),
    /// What would become of traffic if a file of Kubernetes objects were edited: flows, connections, rules, findings
    Whatif(WhatifArgs),
    /// Which flows differ between two proxy modes, configurations or clusters, and why. Exit code 1 if anything differs
    Compare(CompareArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

/// `--source`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceArg {
    Auto,
    InCluster,
    Kubeconfig,
    Sandbox,
    File(PathBuf),
}

impl FromStr for SourceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<SourceArg, String> {
        match text {
            "auto" => Ok(SourceArg::Auto),
            "in-cluster" => Ok(SourceArg::InCluster),
            "kubeconfig" => Ok(SourceArg::Kubeconfig),
            "sandbox" => Ok(SourceArg::Sandbox),
            _ => match text.strip_prefix("file:").filter(|path| !path.is_empty()) {
                Some(path) => Ok(SourceArg::File(path.into())),
                None => Err("expected auto, in-cluster, kubeconfig, sandbox or file:PATH".to_owned()),
            },
        }
    }
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address of the dashboard
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7411")]
    pub listen: SocketAddr,
    /// auto | in-cluster | kubeconfig | sandbox | file:PATH. `auto` takes the first that is there
    #[arg(long, default_value = "auto")]
    pub source: SourceArg,
    /// Kubeconfig to use instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, instead of its current one
    #[arg(long)]
    pub context: Option<String>,
    /// Watch only these namespaces (for viewers without cluster-wide rights)
    #[arg(long, value_name = "NS", num_args = 1..)]
    pub namespace: Vec<String>,
    /// Path below which everything is served, e.g. /vipscope
    #[arg(long, default_value = "/")]
    pub base_path: BasePath,
    /// Origins whose pages may show the dashboard in a frame
    #[arg(long, value_name = "ORIGIN", num_args = 1..)]
    pub frame_ancestors: Vec<String>,
    /// Host names by which the dashboard may be reached, beside loopback's
    #[arg(long, value_name = "HOST", num_args = 1..)]
    pub allowed_host: Vec<String>,
    /// Origins whose pages may use the API
    #[arg(long, value_name = "ORIGIN", num_args = 1..)]
    pub allowed_origin: Vec<String>,
    /// Allow --listen on an address that others can reach. There is no login: they will see the cluster
    #[arg(long)]
    pub allow_remote: bool,
    /// Address of the sandbox's Kubernetes API, for kubectl
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub sandbox_listen: SocketAddr,
    #[command(flatten)]
    pub sandbox: SandboxOptions,
    /// Format of the log on standard error; its level comes from $RUST_LOG (default: info)
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// Address of the API; loopback only
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7412")]
    pub listen: SocketAddr,
    /// Write a kubeconfig for it to this file
    #[arg(long, value_name = "FILE")]
    pub kubeconfig_out: Option<PathBuf>,
    #[command(flatten)]
    pub options: SandboxOptions,
    /// Format of the log on standard error
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

#[derive(Debug, Clone, Args)]
pub struct SandboxOptions {
    /// Sandbox without demo content and churn
    #[arg(long)]
    pub empty: bool,
    /// Seed of the sandbox's churn, to repeat it
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// kube-proxy mode of the sandbox's nodes
    #[arg(long, value_name = "MODE", default_value = "iptables", value_parser = proxy_mode)]
    pub proxy_mode: ProxyMode,
    /// IPv4 and IPv6 in the sandbox, instead of IPv4 alone
    #[arg(long)]
    pub dual_stack: bool,
}

#[derive(Debug, Args)]
pub struct RulesArgs {
    /// Kubernetes objects as JSON or YAML, e.g. of `kubectl get svc,endpointslices,nodes,cm -A -o json`; - is standard input
    #[arg(long, value_name = "FILE")]
    pub cluster: PathBuf,
    /// Name of the node
    #[arg(long)]
    pub node: String,
    /// ipv4 | ipv6
    #[arg(long, default_value = "ipv4", value_parser = ip_family)]
    pub family: IpFamily,
    /// userspace | iptables | nftables | ipvs [default: the mode of the node's kube-proxy]
    #[arg(long, value_parser = proxy_mode)]
    pub mode: Option<ProxyMode>,
    /// kube-proxy's config.conf, instead of the one in the ConfigMap kube-system/kube-proxy
    #[arg(long, value_name = "FILE")]
    pub proxy_config: Option<PathBuf>,
    /// native (for iptables-restore --noflush or nft -f) | recorded | json | ipvsadm
    #[arg(long, default_value = "native", value_parser = rules_format)]
    pub format: Format,
    /// Adds the jumps from built-in chains, for an empty network namespace
    #[arg(long)]
    pub jumps: bool,
}

#[derive(Debug, Args)]
pub struct TraceArgs {
    /// Kubernetes objects as JSON or YAML, e.g. of `kubectl get svc,endpointslices,pods,nodes,cm -A -o json`; - is standard input
    #[arg(long, value_name = "FILE")]
    pub cluster: PathBuf,
    /// Name of the node whose rules are followed
    #[arg(long)]
    pub node: String,
    /// userspace | iptables | nftables | ipvs [default: the mode of the node's kube-proxy]
    #[arg(long, value_parser = proxy_mode)]
    pub mode: Option<ProxyMode>,
    /// IP | pod/NAMESPACE/NAME | node/NAME | external
    #[arg(long, value_name = "SRC", value_parser = source)]
    pub from: Option<Source>,
    /// IP:PORT | svc/NAMESPACE/NAME[:PORT]
    #[arg(long, value_name = "DST", value_parser = destination)]
    pub to: Option<Destination>,
    /// tcp | udp | sctp [default: tcp; of a Service, those of its ports]
    #[arg(long, value_parser = protocol)]
    pub protocol: Option<Protocol>,
    /// A JSON array of {source, destination, port, protocol}; prints one JSON result a line
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "to", "protocol"])]
    pub packets: Option<PathBuf>,
    /// kube-proxy's config.conf, instead of the one in the ConfigMap kube-system/kube-proxy
    #[arg(long, value_name = "FILE")]
    pub proxy_config: Option<PathBuf>,
    /// Prints JSON, one result a line
    #[arg(long)]
    pub json: bool,
}

fn source(text: &str) -> Result<Source, String> {
    text.parse().map_err(|error: NameError| error.to_string())
}

fn destination(text: &str) -> Result<Destination, String> {
    text.parse().map_err(|error: NameError| error.to_string())
}

fn protocol(text: &str) -> Result<Protocol, String> {
    text.parse().map_err(|()| "expected tcp, udp or sctp".to_owned())
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Kubernetes objects as JSON or YAML, e.g. of `kubectl get svc,endpoints,endpointslices,pods,nodes,ns,cm -A -o json`; - is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "list")]
    pub cluster: Option<PathBuf>,
    /// kube-proxy's config.conf, instead of the one in the ConfigMap kube-system/kube-proxy
    #[arg(long, value_name = "FILE")]
    pub proxy_config: Option<PathBuf>,
    /// As JSON
    #[arg(long, conflicts_with = "sarif")]
    pub json: bool,
    /// As SARIF 2.1.0, for code scanning
    #[arg(long)]
    pub sarif: bool,
    /// Codes whose findings do not count; they are shown as suppressed
    #[arg(long, value_name = "CODE", num_args = 1.., value_delimiter = ',')]
    pub ignore: Vec<Code>,
    /// Exit with 1 if a finding is as bad as this, or worse: info | warn | error | never
    #[arg(long, value_name = "SEVERITY", default_value = "error")]
    pub fail_on: FailOn,
    /// The time by which ages are judged, e.g. when the file was made: 2026-01-31T12:00:00Z [default: the clock]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub now: Option<Timestamp>,
    /// All checks, with their conditions, and those of the catalogue that are not run, and why
    #[arg(long, conflicts_with_all = ["cluster", "sarif"])]
    pub list: bool,
}

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Kubernetes objects as JSON or YAML, e.g. of `kubectl get svc,endpoints,endpointslices,pods,nodes,ns,cm -A -o json`; - is standard input
    #[arg(long, value_name = "FILE")]
    pub cluster: PathBuf,
    /// The cluster to compare with [default: the same]
    #[arg(long, value_name = "FILE")]
    pub cluster_b: Option<PathBuf>,
    /// userspace | iptables | nftables | ipvs, on all nodes of --cluster [default: as it says]
    #[arg(long, value_name = "MODE", value_parser = proxy_mode)]
    pub from_mode: Option<ProxyMode>,
    /// userspace | iptables | nftables | ipvs, on all nodes of what it is compared with
    #[arg(long, value_name = "MODE", value_parser = proxy_mode)]
    pub to_mode: Option<ProxyMode>,
    /// kube-proxy's config.conf for what it is compared with
    #[arg(long, value_name = "FILE")]
    pub to_config: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Every changed flow with its shares, instead of groups of flows
    #[arg(long, conflicts_with = "json")]
    pub all: bool,
    /// The time by which ages in findings are judged: 2026-01-31T12:00:00Z [default: the clock]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub now: Option<Timestamp>,
}

/// `--fail-on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailOn {
    Never,
    AtLeast(Severity),
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<FailOn, String> {
        match text {
            "never" => Ok(FailOn::Never),
            _ => match text.parse() {
                Ok(severity) => Ok(FailOn::AtLeast(severity)),
                Err(_) => Err("expected info, warn, error or never".to_owned()),
            },
        }
    }
}

#[derive(Debug, Args)]
pub struct WhatifArgs {
    /// Kubernetes objects as JSON or YAML, e.g. of `kubectl get svc,endpoints,endpointslices,pods,nodes,ns,cm -A -o json`; - is standard input
    #[arg(long, value_name = "FILE")]
    pub cluster: PathBuf,
    /// Edits as JSON or YAML: [{"op": "node", "node": "node-d", "state": "drain"}]; - is standard input
    #[arg(long, value_name = "FILE")]
    pub edits: PathBuf,
    /// kube-proxy's config.conf, instead of the one in the ConfigMap kube-system/kube-proxy
    #[arg(long, value_name = "FILE")]
    pub proxy_config: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// Every changed flow with its shares, instead of groups of flows
    #[arg(long, conflicts_with = "json")]
    pub all: bool,
    /// Prints the kubectl commands that make the edits, instead of what they would do
    #[arg(long, conflicts_with_all = ["json", "all", "fail_on"])]
    pub kubectl: bool,
    /// Exit with 1 if a flow is lost, or also if one is degraded: lost | degraded | never
    #[arg(long, value_name = "GRADE", default_value = "never", value_parser = fail_on_grade)]
    pub fail_on: FailOnGrade,
    /// The time of the edits, e.g. when the file was made: 2026-01-31T12:00:00Z [default: the clock]
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub now: Option<Timestamp>,
}

/// `--fail-on` of `whatif`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailOnGrade {
    Never,
    Lost,
    /// Lost as well.
    Degraded,
}

fn fail_on_grade(text: &str) -> Result<FailOnGrade, String> {
    match text {
        "never" => Ok(FailOnGrade::Never),
        "lost" => Ok(FailOnGrade::Lost),
        "degraded" => Ok(FailOnGrade::Degraded),
        _ => Err("expected lost, degraded or never".to_owned()),
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "expected an RFC 3339 time such as 2026-01-31T12:00:00Z".to_owned())
}

fn ip_family(text: &str) -> Result<IpFamily, String> {
    let found = IpFamily::BOTH.into_iter().find(|family| family.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| "expected ipv4 or ipv6".to_owned())
}

fn rules_format(text: &str) -> Result<Format, String> {
    text.parse().map_err(|()| "expected native, recorded, json or ipvsadm".to_owned())
}

fn proxy_mode(text: &str) -> Result<ProxyMode, String> {
    text.parse().map_err(|()| "expected userspace, iptables, nftables or ipvs".to_owned())
}
