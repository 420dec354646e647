//! The WebAssembly binary: mounts the dashboard and nothing else.

fn main() {
    vipscope_frontend::mount();
}
