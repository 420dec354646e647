//! Text for the manifest reader: it never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vipscope_shared::manifest;

fuzz_target!(|text: &str| drop(manifest::load(text)));
