//! A network without consensus: one sequencer executes and signs blocks with the committee's keys, and each node has a
//! replica with a real state database and index, a real link, and perhaps a crime.

use bytes::Bytes;
use chain::{
    block::{Block, engine_digest, leaves},
    client::{Client, Config},
    index::{Index, Memory},
    protocol::{Answer, Named, Page, Position, Request, StatusAnswer, Submitted, text},
    query::{Query, StateReader, Submission, Unready},
    state::{self, Database, StateProof, to_value},
};
use commonware_codec::{DecodeExt as _, varint::UInt};
use commonware_cryptography::{Signer as _, ed25519};
use commonware_runtime::{
    Clock as _, Network as _, Supervisor as _, buffer::paged::CacheRef, deterministic::Context,
};
use commonware_storage::qmdb::floor::Proportional;
use commonware_utils::{
    NZU16, NZUsize,
    sync::{AsyncMutex, Mutex},
};
use ledger::{BlockContext, Record, StateKey, View, admit, execute, key};
use link::{ClientConfig, Handler, Limits, Response, ServerConfig, serve};
use proof::{
    Committee, Digest, Genesis, Header, Lineage, PublicKey, SecretKey, Signature, SignedTransaction,
    TenantId, Transaction,
    finality::{Finalization, FinalizedHeader},
    genesis::GenesisTenant,
    merkle,
    transaction::Operation,
    wire::{List, Octets, Write as _},
};
use std::{
    collections::BTreeMap,
    future,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

pub(crate) const TENANT: TenantId = TenantId([7; 16]);
pub(crate) const N: usize = 4;
pub(crate) const SUBMIT_TIMEOUT: Duration = Duration::from_secs(10);

/// When those that are [late](Crime::Late) admit others: early enough that they are dialed again.
const OPENS_AFTER: Duration = Duration::from_secs(SUBMIT_TIMEOUT.as_secs() / 2);

/// What is wrong with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crime {
    /// Nothing.
    None,
    /// It takes requests and never answers.
    Silent,
    /// It admits nobody.
    Closed,
    /// It admits nobody until [`OPENS_AFTER`], and then takes requests and never answers.
    Late,
    /// It answers after a long while.
    Slow,
    /// It applies no blocks after the first, and proves its old state.
    Laggard,
    /// Its answers are altered.
    Forger,
    /// It keeps entries back.
    Withholder,
    /// It calls every transaction inadmissible.
    Refuser,
    /// It says that it has no room.
    Full,
    /// It answers everything with [`Network::script`], once there is one.
    Scripted,
}

/// The facts of the network and all its keys.
pub(crate) struct Founders {
    pub(crate) genesis: Genesis,
    nodes: Vec<SecretKey>,
    tenant: SecretKey,
    nonces: Mutex<u128>,
}

impl Founders {
    fn new() -> Self {
        let mut nodes: Vec<_> = (1..=N as u8).map(|seed| SecretKey::from_seed([seed; 32])).collect();
        nodes.sort_by_key(SecretKey::public_key);
        let keys: Vec<_> = nodes.iter().map(SecretKey::public_key).collect();
        let tenant = SecretKey::from_seed([99; 32]);
        let name = Octets::new("test".as_bytes()).unwrap();
        let founded = GenesisTenant { tenant: TENANT, name: name.clone(), key: tenant.public_key() };
        let genesis = Genesis {
            name: name.clone(),
            created_ms: 0,
            committee: Committee::new(0, keys.clone()).unwrap(),
            approvers: List::new(keys).unwrap(),
            approvals_needed: 1,
            tenants: List::new(vec![founded]).unwrap(),
        };
        Self { genesis, nodes, tenant, nonces: Mutex::new(0) }
    }

    pub(crate) fn transaction(
        &self,
        operations: Vec<Operation>,
        attachments: Vec<Bytes>,
        expires_ms: u64,
    ) -> SignedTransaction {
        let mut nonce = self.nonces.lock();
        *nonce += 1;
        let transaction = Transaction {
            network: self.genesis.id(),
            tenant: TENANT,
            signer: self.tenant.public_key(),
            nonce: nonce.to_be_bytes(),
            expires_ms,
            preconditions: List::default(),
            operations: List::new(operations).unwrap(),
        };
        transaction.sign(&self.tenant, attachments)
    }

    /// The header with the votes of three nodes.
    fn finalize(&self, header: Header) -> FinalizedHeader {
        let (view, parent_view, block) = (header.view, header.parent_view, header.digest());
        let mut proposal = Vec::new();
        [0, view, parent_view].iter().for_each(|number| UInt(*number).write(&mut proposal));
        block.write(&mut proposal);
        let namespace = [self.genesis.consensus_namespace().as_slice(), b"_FINALIZE"].concat();
        let vote = |node: u8| (node, self.nodes[usize::from(node)].sign(&namespace, &proposal));
        let signatures: Vec<(u8, Signature)> = [0, 1, 3].map(vote).to_vec();
        let finalization =
            Finalization { epoch: 0, view, parent_view, block, committee_size: N as u8, signatures };
        let proved = FinalizedHeader { header, descendants: List::default(), finalization };
        Lineage::from(self.genesis.clone()).verify(&proved).expect("signed as consensus does");
        proved
    }
}

/// A state database and index that take blocks in order.
struct Replica {
    database: AsyncMutex<Option<Database<Context>>>,
    index: Index<Memory>,
    blocks: Mutex<Vec<(FinalizedHeader, Arc<Block>)>>,
}

impl Replica {
    async fn new(context: Context, name: &str) -> Self {
        let config = state::config(name, CacheRef::new(NZU16!(4096), NZUsize!(64)));
        let database = Database::init(context, config, None).await.unwrap();
        let index = Index::open(Memory::default()).unwrap();
        Self { database: AsyncMutex::new(Some(database)), index, blocks: Mutex::default() }
    }

    /// Applies writes and gives the state root after them.
    async fn write(&self, writes: &BTreeMap<StateKey, Record>) -> Digest {
        let mut locked = self.database.lock().await;
        let database = locked.take().expect("put back below");
        let mut batch = database.new_batch();
        for (key, record) in writes {
            batch = batch.write(engine_digest(key), Some(to_value(record)));
        }
        let batch = batch.merkleize(&database, None, &mut Proportional).await.unwrap();
        let database = database.apply_batch(batch).await.unwrap();
        let root = chain::block::digest(&database.root());
        *locked = Some(database);
        root
    }

    fn height(&self) -> u64 {
        self.blocks.lock().len() as u64
    }
}

/// What all nodes share.
pub(crate) struct Network {
    pub(crate) founders: Founders,
    context: Context,
    records: AsyncMutex<Records>,
    sequencer: Replica,
    replicas: Vec<Replica>,
    crimes: Vec<Crime>,
    peers: Mutex<Vec<link::Client>>,
    /// What a [scripted](Crime::Scripted) node says.
    pub(crate) script: Mutex<Option<Bytes>>,
    /// All that honest nodes said.
    pub(crate) said: Mutex<Vec<Bytes>>,
}

#[derive(Default)]
struct Records(BTreeMap<StateKey, Record>);

impl View for Records {
    fn get(&self, key: &StateKey) -> Option<Record> {
        self.0.get(key).cloned()
    }
}

impl Network {
    /// A network at height 1, and a client of it.
    pub(crate) async fn start(context: Context, crimes: [Crime; N]) -> (Arc<Self>, Client<Context>) {
        let founders = Founders::new();
        let mut replicas = Vec::new();
        for node in 0..N {
            replicas.push(Replica::new(context.child("replica"), &format!("node-{node}")).await);
        }
        let sequencer = Replica::new(context.child("sequencer"), "sequencer").await;
        let crimes = crimes.to_vec();
        let shared = context.child("network");
        let records = AsyncMutex::default();
        let network = Arc::new(Self {
            founders,
            context: shared,
            records,
            sequencer,
            replicas,
            crimes,
            peers: Mutex::default(),
            script: Mutex::default(),
            said: Mutex::default(),
        });
        network.append(Vec::new()).await;
        for node in 0..N {
            let peer = network.serve(&context, node).await;
            network.peers.lock().push(peer);
        }
        let client = network.client(&context);
        (network, client)
    }

    /// A client that knows nothing yet of the nodes' conduct.
    pub(crate) fn client(&self, context: &Context) -> Client<Context> {
        let (lineage, peers) = (self.founders.genesis.clone().into(), self.peers.lock().clone());
        let read_timeout = Duration::from_secs(5);
        let config = Config { lineage, peers, read_timeout, submit_timeout: SUBMIT_TIMEOUT };
        Client::new(context.child("client"), config)
    }

    /// What answers a node's requests.
    pub(crate) fn query(self: &Arc<Self>, context: &Context, node: usize) -> Query<Context, Node, Memory> {
        let index = self.replicas[node].index.clone();
        Query::new(context.child("query"), Node { network: self.clone(), node }, index)
    }

    async fn serve(self: &Arc<Self>, context: &Context, node: usize) -> link::Client {
        let address = SocketAddr::from((Ipv4Addr::new(10, 0, 0, node as u8 + 1), 1));
        let engine_key =
            |key: &SecretKey| ed25519::PrivateKey::decode(Bytes::from(key.seed().to_vec())).unwrap();
        let (key, namespace) = (engine_key(&self.founders.nodes[node]), b"test".to_vec());
        let peer = key.public_key();
        let server = Node { network: self.clone(), node };
        let query = self.query(context, node);
        let limits = Limits::default();
        let listener = context.bind(address).await.unwrap();
        let config = ServerConfig { key, namespace: namespace.clone(), limits: limits.clone() };
        serve(context.child("server"), listener, config, Gate { node: server, query });
        let key = engine_key(&self.founders.tenant);
        link::Client::start(context.child("link"), ClientConfig { key, namespace, peer, address, limits })
    }

    /// Executes the transactions that are new in a block of their own, which all but laggards apply.
    async fn append(&self, transactions: Vec<SignedTransaction>) {
        let mut records = self.records.lock().await;
        let is_new =
            |signed: &SignedTransaction| !records.0.contains_key(&key::outcome(&signed.transaction.id()));
        if !transactions.iter().all(is_new) {
            return;
        }
        let height = self.sequencer.height() + 1;
        let genesis = &self.founders.genesis;
        let context = BlockContext { genesis, network: genesis.id(), height, time_ms: height * 1000 };
        let execution = execute(&context, &*records, &transactions);
        records.0.extend(execution.writes.clone());
        let state_root = self.sequencer.write(&execution.writes).await;
        let header = Header {
            network: context.network,
            committee: genesis.committee.digest(),
            epoch: 0,
            view: height,
            leader: genesis.committee.nodes()[0],
            parent_view: height - 1,
            parent: Digest::ZERO,
            height,
            time_ms: context.time_ms,
            transactions: transactions.len() as u32,
            transactions_root: merkle::root(&leaves(&transactions, &execution.outcomes)),
            state_root,
            log_root: Digest::ZERO,
            log_start: 0,
            log_end: 0,
        };
        let proved = self.founders.finalize(header.clone());
        let outcomes = List::new(execution.outcomes).unwrap();
        let block = Arc::new(Block { header, transactions: List::new(transactions).unwrap(), outcomes });
        for (replica, crime) in self.replicas.iter().zip(&self.crimes) {
            if height == 1 || *crime != Crime::Laggard {
                assert_eq!(replica.write(&execution.writes).await, state_root);
                replica.index.apply(&context, &block.transactions, &block.outcomes).unwrap();
                replica.blocks.lock().push((proved.clone(), block.clone()));
            }
        }
        self.sequencer.blocks.lock().push((proved, block));
    }
}

/// One node's view of the network.
#[derive(Clone)]
pub(crate) struct Node {
    network: Arc<Network>,
    node: usize,
}

impl Node {
    fn replica(&self) -> &Replica {
        &self.network.replicas[self.node]
    }

    async fn reach(&self, min_height: u64) -> Result<(), Unready> {
        for _ in 0..100 {
            if self.replica().height() >= min_height {
                return Ok(());
            }
            self.network.context.sleep(Duration::from_millis(10)).await;
        }
        Err(Unready::Behind(self.replica().height()))
    }
}

impl StateReader for Node {
    async fn tip(&self, min_height: u64) -> Result<FinalizedHeader, Unready> {
        self.reach(min_height).await?;
        Ok(self.replica().blocks.lock().last().expect("the first block is applied at once").0.clone())
    }

    async fn prove(
        &self,
        keys: &[StateKey],
        min_height: u64,
    ) -> Result<(FinalizedHeader, Vec<StateProof>), Unready> {
        self.reach(min_height).await?;
        let _no_block_meanwhile = self.network.records.lock().await;
        let tip = self.tip(0).await?;
        let database = self.replica().database.lock().await;
        let mut proofs = Vec::new();
        for key in keys {
            proofs.push(StateProof::make(database.as_ref().unwrap(), key).await);
        }
        Ok((tip, proofs))
    }

    async fn submit(&self, transaction: SignedTransaction) -> Submission {
        let genesis = &self.network.founders.genesis;
        if let Err(why) = admit(&transaction, &genesis.committee, genesis.id()) {
            return Submission::Inadmissible(why.to_string());
        }
        let id = transaction.transaction.id();
        let tip = self.tip(0).await.expect("there is a block");
        if transaction.transaction.expires_ms <= tip.header.time_ms {
            return Submission::Expired;
        }
        self.network.append(vec![transaction]).await;
        match self.replica().index.transaction(&id).unwrap() {
            Some(row) => Submission::DecidedAt(Position { height: row.height, index: row.index }),
            None => Submission::Pending,
        }
    }

    async fn block(&self, height: u64) -> Option<(FinalizedHeader, Arc<Block>)> {
        self.replica().blocks.lock().get(usize::try_from(height).ok()?.checked_sub(1)?).cloned()
    }

    async fn status(&self) -> StatusAnswer {
        let tip = self.tip(0).await.expect("there is a block").header;
        let (height, time_ms) = (tip.height, tip.time_ms);
        let software = text("test");
        StatusAnswer {
            software,
            height,
            time_ms,
            index_height: 0,
            stance: chain::protocol::Stance::Voter,
            pending: 0,
            pending_bytes: 0,
        }
    }
}

/// Where crimes are committed.
#[derive(Clone)]
struct Gate {
    node: Node,
    query: Query<Context, Node, Memory>,
}

impl Handler for Gate {
    async fn admit(&self, _: &ed25519::PublicKey) -> bool {
        match self.node.network.crimes[self.node.node] {
            Crime::Closed => false,
            Crime::Late => self.node.network.context.current() >= UNIX_EPOCH + OPENS_AFTER,
            _ => true,
        }
    }

    async fn handle(&self, _: &ed25519::PublicKey, lane: u8, request: Bytes) -> Response {
        assert_eq!(lane, chain::protocol::LANE_NUMBER);
        let request = Request::from_message(request).expect("the client speaks the protocol");
        let is_submission = matches!(request, Request::Submit(_));
        let crime = self.node.network.crimes[self.node.node];
        match crime {
            Crime::Silent | Crime::Late => future::pending().await,
            Crime::Slow => self.node.network.context.sleep(Duration::from_secs(2)).await,
            Crime::Scripted => {
                let script = self.node.network.script.lock().clone();
                if let Some(script) = script {
                    return script.into();
                }
            }
            Crime::Full => return Answer::Failed(chain::protocol::Failure::Overloaded).to_message().into(),
            Crime::Refuser if is_submission => {
                return Answer::Submitted(Submitted::Inadmissible(text("no"))).to_message().into();
            }
            _ => {}
        }
        let answer = self.query.answer(request).await;
        let answer = match crime {
            Crime::Forger => forged(answer),
            Crime::Withholder => withheld(answer),
            _ => answer,
        };
        let message = answer.to_message();
        if crime == Crime::None {
            self.node.network.said.lock().push(message.clone());
        }
        message.into()
    }
}

fn forged(answer: Answer) -> Answer {
    match answer {
        Answer::Tip(mut block) => {
            block.header.height += 1000;
            Answer::Tip(block)
        }
        Answer::State(mut state) => {
            let mut proofs = state.proofs.into_inner();
            proofs.rotate_left(1);
            state.proofs = List::new(proofs).unwrap();
            state.block.header.state_root = Digest([9; 32]);
            Answer::State(state)
        }
        Answer::Submitted(Submitted::Decided(mut decision)) => {
            decision.outcome += 1;
            Answer::Submitted(Submitted::Decided(decision))
        }
        Answer::Page(mut page) => {
            page.page = Page::NoSuch;
            Answer::Page(page)
        }
        Answer::PageDigest(_) => Answer::PageDigest(Digest([9; 32])),
        Answer::Receipt(mut receipt) => {
            receipt.transaction.expires_ms += 1;
            Answer::Receipt(receipt)
        }
        answer => answer,
    }
}

fn withheld(answer: Answer) -> Answer {
    match answer {
        Answer::State(mut state) => {
            state.named = Named::Nothing;
            Answer::State(state)
        }
        answer => answer,
    }
}

/// The key of a node, by its place in the committee.
pub(crate) fn key_of(network: &Network, node: usize) -> PublicKey {
    network.founders.genesis.committee.nodes()[node]
}
