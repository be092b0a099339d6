//! Random calls, cancellations and server crashes, over many seeds. Whatever happens, each call ends in its
//! time with its own answer or an error, and afterwards nothing is left behind at either end.

use crate::network::*;
use commonware_runtime::{
    Clock as _, Network as _, Runner as _, Spawner as _, Supervisor as _, deterministic,
};
use futures::future::join_all;
use link::{Client, Error, Limits, serve};
use rand_core::Rng as _;
use std::time::Duration;

const CALLERS: usize = 40;
const CALLS: usize = 30;

fn limits() -> Limits {
    Limits { requests: 16, ..Limits::default() }
}

/// One caller: calls of random kind, size and patience; gives some of them up.
async fn call_at_random(mut context: deterministic::Context, client: Client) -> (usize, usize) {
    let (mut answered, mut failed) = (0, 0);
    for _ in 0..CALLS {
        let random = context.next_u64();
        let request = vec![random as u8; (random >> 8) as usize % (200 << 10)];
        let timeout = Duration::from_millis(1 + (random >> 32) % 3000);
        let lane = [ECHO_BULK, ECHO.reply_max(256 << 10), PARK][(random >> 50) as usize % 3];
        let start = context.current();
        let patience = context.sleep(Duration::from_millis((random >> 52) % 4000));
        let call = client.call(lane, request.clone(), timeout);
        commonware_macros::select! {
            response = call => match response {
                Ok(response) => {
                    assert!(lane == PARK || response == request, "the answer of another call");
                    answered += 1;
                }
                Err(Error::Unreachable { .. } | Error::Timeout) => failed += 1,
                Err(other) => panic!("{other}"),
            },
            _ = patience => {},
        }
        assert!(context.current().duration_since(start).unwrap() <= timeout + Duration::from_millis(20));
    }
    (answered, failed)
}

fn run(seed: u64) -> String {
    let config = deterministic::Config::default().with_seed(seed).with_timeout(Some(3600 * SECOND));
    deterministic::Runner::new(config).start(|mut context| async move {
        let listener = Lent::new(context.bind(ADDRESS).await.unwrap());
        let gate = Gate::default();
        let start = |context: &deterministic::Context| {
            serve(context.child("server"), listener.lend(), server_config(limits()), gate.clone())
        };
        let mut server = start(&context);
        let client = Client::start(context.child("client"), client_config(limits()));
        let callers = join_all((0..CALLERS).map(|_| {
            let client = client.clone();
            context.child("caller").spawn(|context| call_at_random(context, client))
        }));
        let mut callers = Box::pin(callers);
        let outcomes = loop {
            let pause = Duration::from_millis(context.next_u64() % 3000);
            commonware_macros::select! {
                outcomes = &mut callers => break outcomes,
                _ = context.sleep(pause) => {},
            }
            if context.next_u64() % 3 == 0 {
                server.abort();
                let away = Duration::from_millis(context.next_u64() % 1000);
                context.sleep(away).await;
                server = start(&context);
            }
            gate.open.add_permits(context.next_u64() as usize % 8);
        };
        let (answered, failed) = outcomes
            .into_iter()
            .map(|outcome| outcome.expect("callers do not panic"))
            .fold((0, 0), |sum, outcome| (sum.0 + outcome.0, sum.1 + outcome.1));
        assert!(answered > 0 && failed > 0, "{answered} answered, {failed} failed: not random enough");

        // All is as new: nothing is parked, and as many calls as ever can be in flight.
        context.sleep(10 * SECOND).await;
        assert_eq!(gate.parked(), 0);
        gate.open.forget_permits(usize::MAX >> 4);
        for _ in 0..limits().requests {
            let client = client.clone();
            context.child("parked").spawn(|_| async move { client.call(PARK, b"", 10 * SECOND).await });
        }
        context.sleep(SECOND).await;
        assert_eq!(gate.parked(), limits().requests);
        context.auditor().state()
    })
}

#[test]
fn nothing_is_lost_or_left_behind() {
    for seed in 0..20 {
        run(seed);
    }
}

#[test]
fn chaos_is_reproducible() {
    assert_eq!(run(99), run(99));
}
