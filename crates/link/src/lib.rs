//! Authenticated, encrypted, multiplexed request and response between a gateway and a node.
