//! The same over real sockets.

use crate::network::*;
use commonware_cryptography::Signer as _;
use commonware_runtime::{Clock as _, Listener as _, Network as _, Runner as _, Supervisor as _, tokio};
use futures::future::join_all;
use link::{Client, ClientConfig, Limits, serve};
use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

#[test]
fn loopback() {
    tokio::Runner::default().start(|context| async move {
        let listener = context.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let gate = Gate { admitted: Some(client_key().public_key()), ..Gate::default() };
        let config = server_config(Limits::default());
        let server = serve(context.child("server"), listener, config.clone(), gate.clone());
        let client = Client::start(
            context.child("client"),
            ClientConfig { address, ..client_config(Limits::default()) },
        );

        let small = (0..500u32).map(|i| client.call(ECHO, i.to_be_bytes().to_vec(), 10 * SECOND));
        let large = (0..32).map(|_| client.call(ECHO_BULK, vec![3; 512 << 10], 10 * SECOND));
        let (small, large) = futures::join!(join_all(small), join_all(large));
        for (i, response) in (0u32..).zip(small) {
            assert_eq!(response.unwrap(), i.to_be_bytes()[..]);
        }
        assert!(large.into_iter().all(|response| response.unwrap() == vec![3; 512 << 10]));

        server.abort();
        context.sleep(Duration::from_millis(100)).await;
        assert!(client.call(ECHO, b"", SECOND).await.is_err());
        let listener = context.bind(address).await.unwrap();
        let _server = serve(context.child("server"), listener, config, gate);
        context.sleep(SECOND).await;
        assert!(client.call(ECHO, b"again", SECOND).await.is_ok());
    });
}
