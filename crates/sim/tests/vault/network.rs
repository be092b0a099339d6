//! A network of four nodes in the simulated world, with nothing going wrong that a test does not do.

use commonware_runtime::{Runner as _, Supervisor as _, deterministic};
use commonware_utils::channel::oneshot;
use proof::Genesis;
pub(crate) use sim::network::Gateway;
use sim::network::Network;
use std::{future::Future, time::Duration};
use trial::{
    plan::{Plan, Wishes},
    world::{Context, Loss},
};
use vault::{Config, Vault};
use zeroize::Zeroizing;

/// A running network, and a machine for gateways.
pub(crate) struct Outlast {
    pub genesis: Genesis,
    network: Network,
    desk: Context,
}

impl Outlast {
    /// A gateway of the tenant with this master key.
    pub(crate) fn gateway(&self, master_key: [u8; 32]) -> Gateway {
        let config = self.network.gateway_config(&self.network.tenants[0]);
        let config = Config { master_key: Zeroizing::new(master_key), ..config };
        Vault::connect(self.desk.child("gateway"), config).unwrap()
    }

    /// Ends a node without a word.
    pub(crate) fn kill(&mut self, index: usize) {
        self.network.kill(index, Loss::Power);
    }
}

/// Runs `test` in a network of four nodes.
pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce(Outlast) -> F + Send + 'static) {
    let plan = Plan::draw(1, &Wishes { n: Some(4), calm: true, ..Wishes::default() });
    let config = deterministic::Config::new().with_timeout(Some(Duration::from_secs(600)));
    deterministic::Runner::new(config.with_catch_panics(true)).start(|context| async move {
        let network = Network::found(context.child("network"), &plan).await;
        let (given, desk) = oneshot::channel();
        network.world.machine("desk").start(|context| async move {
            assert!(given.send(context.child("desk")).is_ok(), "it is waited for");
            std::future::pending::<()>().await;
        });
        let desk = desk.await.unwrap();
        test(Outlast { genesis: network.genesis.clone(), network, desk }).await;
    });
}
