//! Messages and requests that arrive twice.

use crate::in_world;
use bytes::Bytes;
use chain::network::Channels;
use commonware_cryptography::{Signer as _, ed25519};
use commonware_p2p::{Message, Receiver};
use commonware_runtime::{Clock as _, Supervisor as _};
use commonware_utils::{channel::mpsc, sync::Mutex};
use link::{Handler, Response};
use std::{num::NonZeroUsize, sync::Arc, time::Duration};
use trial::{
    adversary::Acts,
    world::echo::{Echo, Rate, Repeating, channels},
};

#[derive(Debug)]
struct Ear(mpsc::Receiver<Message<ed25519::PublicKey>>);

#[derive(Debug, thiserror::Error)]
#[error("silence")]
struct Silence;

impl Receiver for Ear {
    type Error = Silence;
    type PublicKey = ed25519::PublicKey;

    async fn recv(&mut self) -> Result<Message<ed25519::PublicKey>, Silence> {
        self.0.recv().await.ok_or(Silence)
    }

    fn capacity(&self) -> NonZeroUsize {
        NonZeroUsize::new(100).unwrap()
    }
}

fn peer() -> ed25519::PublicKey {
    ed25519::PrivateKey::from_seed(1).public_key()
}

#[derive(Clone, Default)]
struct Counting(Arc<Mutex<Vec<Bytes>>>);

impl Handler for Counting {
    async fn admit(&self, _: &ed25519::PublicKey) -> bool {
        true
    }

    async fn handle(&self, _: &ed25519::PublicKey, _: u8, request: Bytes) -> Response {
        self.0.lock().push(request.clone());
        request.into()
    }
}

#[test]
fn messages_come_again_when_they_are_to_and_never_otherwise() {
    for (per_mille, late_ms, expected) in [(0, 0, 100), (1_000, 0, 200), (1_000, 500, 200)] {
        in_world(1, |world| async move {
            let machine = world.machine("m");
            let acts = Acts::default();
            let echo = Echo::new(acts.clone());
            echo.set(Rate { per_mille, late_ms });
            let (voice, heard) = mpsc::channel(1_000);
            let counted = Arc::new(Mutex::new(vec![0u64; 100]));
            let counts = counted.clone();
            machine.start(move |context| async move {
                let silent = || ((), Ear(mpsc::channel(1).1));
                let all = Channels {
                    votes: ((), Ear(heard)),
                    certificates: silent(),
                    resolver: silent(),
                    backfill: silent(),
                    broadcast: silent(),
                    state_sync: silent(),
                    gossip: silent(),
                    inquiry: silent(),
                };
                let (_, mut ear) = channels(&context, all, &echo, 7).votes;
                while let Ok((_, message)) = ear.recv().await {
                    counts.lock()[usize::from(message.as_ref()[0])] += 1;
                }
            });
            for number in 0..100u8 {
                voice.send((peer(), vec![number].into())).await.unwrap();
            }
            world.context().sleep(Duration::from_secs(2)).await;
            let counted = counted.lock().clone();
            assert!(counted.iter().all(|count| *count * 100 == expected), "{counted:?}");
            assert_eq!(acts.total(), expected - 100);
        });
    }
}

#[test]
fn requests_come_again_and_are_answered_once() {
    in_world(1, |world| async move {
        let machine = world.machine("m");
        let echo = Echo::new(Acts::default());
        let handler = Counting::default();
        let (inner, rate) = (handler.clone(), echo.clone());
        machine.start(move |context| async move {
            let door = Repeating::new(inner, context.child("again"), echo, 3);
            for _ in 0..10 {
                door.handle(&peer(), 1, Bytes::from("x")).await;
            }
            rate.set(Rate { per_mille: 1_000, late_ms: 100 });
            for _ in 0..10 {
                door.handle(&peer(), 1, Bytes::from("y")).await;
            }
            std::future::pending::<()>().await;
        });
        world.context().sleep(Duration::from_secs(1)).await;
        let handled = handler.0.lock().clone();
        let of = |request: &str| handled.iter().filter(|handled| **handled == request).count();
        assert_eq!((of("x"), of("y")), (10, 20));
    });
}
