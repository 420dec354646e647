//! vipscope's pure core: no I/O, clock, randomness, environment or threads. It compiles natively (backend,
//! command line, tests) and to WebAssembly (the browser), so both sides compute the same answers.
//!
//! Reading order: [`model`] is the ground state, [`delta`] its only mutation, [`manifest`] the only place where
//! Kubernetes' own types are met; everything else derives.

pub mod admission;
pub mod api;
pub mod controllers;
pub mod delta;
pub mod diagnose;
pub mod discovery;
pub mod manifest;
pub mod model;
pub mod netfilter;
pub mod pace;
pub mod predict;
pub mod proxy;
pub mod scene;
pub mod synthetic;
pub mod trace;
pub mod traffic;
pub mod whatif;
