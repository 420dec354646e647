//! How long the map's geometry takes: `cargo bench -p vipscope-shared --bench scene`. Prints medians; asserts nothing.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vipscope_shared::delta::{Change, Object};
use vipscope_shared::model::Keyed;
use vipscope_shared::scene::{Scene, SceneOptions, Target};
use vipscope_shared::synthetic::{Size, cluster};

fn main() {
    let mut state = cluster(Size::LARGE, 7);
    println!(
        "{} Services, {} pods, {} nodes",
        state.services().len(),
        state.pods().len(),
        state.nodes().len()
    );
    let options = SceneOptions::default();
    println!("first scene:                {:?}", median(|| Scene::build(&state, &options, None)));
    let scene = Scene::build(&state, &options, None);
    println!("again, nothing changed:     {:?}", median(|| Scene::build(&state, &options, Some(&scene))));
    let service = state.services().keys().next().cloned();
    let focused = SceneOptions { focus: service.map(Target::Service), ..SceneOptions::default() };
    println!("another Service selected:   {:?}", median(|| Scene::build(&state, &focused, Some(&scene))));
    let pods: Vec<_> = state.pods().values().cloned().collect();
    let mut nth = 0;
    let one_pod = median(|| {
        let mut pod = (*pods[nth * 31 % pods.len()]).clone();
        nth += 1;
        pod.ready = !pod.ready;
        assert!(state.apply(&Change::Upsert(Object::Pod(Arc::new(pod)))).is_changed());
        Scene::build(&state, &options, Some(&scene))
    });
    println!("one pod changed:            {one_pod:?}");
    assert!(pods.iter().all(|pod| !pod.name().is_empty()));
}

fn median<T>(mut run: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..21)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
