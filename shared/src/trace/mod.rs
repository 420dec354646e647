//! Where a packet goes: the first packet of a connection is followed through rules, whoever made them.
//!
//! In: a [`Program`] (rules of any proxy mode, ready to be followed), a [`HostView`] (what the node's own addresses and
//! interfaces are) and a [`Packet`]. Out: a [`Trace`]: every outcome with its exact probability, its conditions and the rules
//! that led to it. Hooks and their order are the kernel's (netfilter's `NF_IP_PRI_*`; IPVS: `ip_vs_core.c`).
//!
//! Invariants: probabilities of a trace are exact and sum to 1. A rule that is not understood and could matter makes the
//! verdict [`Verdict::Unknown`] and is named; it is never passed over.

mod fraction;
mod outcome;
mod packet;
mod program;
mod walk;

pub use fraction::Fraction;
pub use outcome::{Conditions, Effect, Outcome, Place, Step, Trace, Verdict};
pub use packet::{HostView, Origin, Packet, PodLink};
pub use program::{ElementRef, Program, ProxySocket, RuleRef};
