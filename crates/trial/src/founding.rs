//! Who is there: keys, committee, tenants, from constants. Every run has the same founders.

use proof::{
    Committee, Genesis, SecretKey, TenantId,
    genesis::GenesisTenant,
    wire::{List, Octets},
};

/// A tenant and its secrets.
#[derive(Clone)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// The key that signs for it.
    pub key: SecretKey,
    /// The key under which all of its data keys are wrapped.
    pub master_key: [u8; 32],
}

/// The founders of a network.
pub struct Founders {
    /// What the network begins with.
    pub genesis: Genesis,
    /// The nodes' keys, in the order of the committee.
    pub nodes: Vec<SecretKey>,
    /// The tenant whose clients are judged, and one that wishes it ill.
    pub tenants: [Tenant; 2],
}

/// The founders of a network of `n` nodes.
pub fn founders(n: usize) -> Founders {
    let n = u8::try_from(n).expect("committees are small");
    let mut nodes: Vec<SecretKey> = (1..=n).map(|seed| SecretKey::from_seed([seed; 32])).collect();
    nodes.sort_by_key(SecretKey::public_key);
    let tenant = |seed: u8| Tenant {
        id: TenantId([seed; 16]),
        key: SecretKey::from_seed([seed; 32]),
        master_key: [seed ^ 0xff; 32],
    };
    let tenants = [tenant(101), tenant(102)];
    let founding = |tenant: &Tenant| GenesisTenant {
        tenant: tenant.id,
        name: Octets::new(format!("tenant-{}", tenant.id.0[0]).into_bytes()).expect("a short name"),
        key: tenant.key.public_key(),
    };
    let genesis = Genesis {
        name: Octets::new("simulation".as_bytes()).expect("a short name"),
        created_ms: 0,
        committee: Committee::new(0, nodes.iter().map(SecretKey::public_key).collect())
            .expect("distinct keys, n = 3f + 1"),
        approvers: List::new(vec![SecretKey::from_seed([100; 32]).public_key()]).expect("one"),
        approvals_needed: 1,
        tenants: List::new(tenants.iter().map(founding).collect()).expect("two"),
    };
    Founders { genesis, nodes, tenants }
}
