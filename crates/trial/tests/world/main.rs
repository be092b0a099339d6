//! The simulated world behaves as its documentation says.

mod disk;
mod echo;
mod machine;
mod power;
mod shards;
mod wires;

use commonware_runtime::{Runner as _, Supervisor as _, deterministic};
use commonware_utils::channel::oneshot;
use std::time::Duration;
use trial::world::{Context, Ending, Machine, World};

/// Runs something in a world of its own; panics in processes end these only.
fn in_world<Fut: Future>(seed: u64, f: impl FnOnce(World) -> Fut) -> Fut::Output {
    let config = deterministic::Config::new()
        .with_seed(seed)
        .with_catch_panics(true)
        .with_timeout(Some(Duration::from_secs(3_600)));
    deterministic::Runner::new(config).start(|context| f(World::new(context.child("world"))))
}

/// Runs a process to its end; a panic in it fails the test.
async fn run<T, Fut>(machine: &Machine, f: impl FnOnce(Context) -> Fut + Send + 'static) -> T
where
    T: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    let (returned, value) = oneshot::channel();
    machine.start(move |context| async move {
        let _ = returned.send(f(context).await);
    });
    assert_eq!(machine.ended().await, Ending::Returned);
    value.await.expect("the process has returned")
}

/// Runs a process up to a point, where it stays until it is killed.
async fn run_up_to<T, Fut>(machine: &Machine, f: impl FnOnce(Context) -> Fut + Send + 'static) -> T
where
    T: Send + 'static,
    Fut: Future<Output = T> + Send + 'static,
{
    let (reached, value) = oneshot::channel();
    machine.start(move |context| async move {
        let child = context.child("stays");
        let _ = reached.send(f(child).await);
        std::future::pending().await
    });
    match value.await {
        Ok(value) => value,
        Err(_) => panic!("the process ended: {:?}", machine.ended().await),
    }
}
