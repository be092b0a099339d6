//! Tricks with transactions.

use super::{Attempt, CALL_TIMEOUT, Malefactor, Trick, crafted};
use chain::{
    client::{HeadView, Position},
    mempool,
    protocol::{self, Answer, Request},
};
use futures::{StreamExt as _, future::join_all, stream};
use link::Lane;
use proof::{
    SecretKey, SignedTransaction, TenantId,
    transaction::{AddKey, CreateBucket, CreateTenant, Operation, PutMarker},
    wire::Octets,
};

const CHAIN: Lane = Lane::control(protocol::LANE_NUMBER);

/// Transactions of a flood, and how many of them are on the way at a time.
const FLOOD: usize = 400;
const FLOOD_AT_ONCE: usize = 64;

impl<E: vault::Context> Malefactor<E> {
    /// Changes what is another tenant's, or makes a tenant, in every way that a writer can think of.
    pub(super) async fn trespass(&self) -> Vec<Attempt> {
        let (own, key) = (self.config.tenant, &self.config.key);
        let (victim, me) = (&self.victim, key.public_key());
        let stranger = SecretKey::from_seed(self.chance.bytes());
        let tenant = TenantId(self.chance.bytes());
        let number = u32::from_be_bytes(self.chance.bytes());
        let bucket = format!("trespass-{number:08x}").parse().expect("a bucket's name");
        let create = Operation::CreateBucket(CreateBucket { bucket });
        let delete = Operation::PutMarker(PutMarker { place: victim.place.clone() });
        let add = Operation::AddKey(AddKey { key: me });
        let name = Octets::new("nobody".as_bytes()).expect("a short name");
        let found = Operation::CreateTenant(CreateTenant { tenant, name, key: me });
        let signed = |tenant, signer, by: &SecretKey, operation: &Operation| {
            self.transaction(tenant, signer, vec![operation.clone()]).sign(by, Vec::new())
        };
        let tries = [
            ("a bucket of another tenant", signed(victim.tenant, me, key, &create)),
            ("a delete marker on another tenant's key", signed(victim.tenant, me, key, &delete)),
            ("the same in the name of its signer", signed(victim.tenant, victim.signer, key, &delete)),
            ("a key of its own for another tenant", signed(victim.tenant, me, key, &add)),
            ("a bucket of its own tenant by a stranger", {
                signed(own, stranger.public_key(), &stranger, &create)
            }),
            ("a tenant without an approver", signed(tenant, me, key, &found)),
            ("another network's transaction", self.elsewhere(&create)),
        ];
        let mut attempts = Vec::new();
        for (tried, signed) in tries {
            attempts.push(self.must_fail(Trick::Trespass, tried, signed).await);
        }
        attempts
    }

    fn elsewhere(&self, operation: &Operation) -> SignedTransaction {
        let (tenant, key) = (self.config.tenant, &self.config.key);
        let mut transaction = self.transaction(tenant, key.public_key(), vec![operation.clone()]);
        transaction.network = proof::Digest(self.chance.bytes());
        transaction.sign(key, Vec::new())
    }

    /// Submits one transaction again and again, at the same time and later.
    pub(super) async fn replay(&self) -> Vec<Attempt> {
        let place = self.place("replayed");
        let signed = self.signed(vec![Operation::PutMarker(PutMarker { place: place.clone() })], Vec::new());
        let first = join_all((0..3).map(|_| self.chain.submit(signed.clone()))).await;
        let later = self.chain.submit(signed.clone()).await;
        let mut resigned = signed.clone();
        resigned.signature.0[0] ^= 1;
        let resigned = self.chain.submit(resigned).await;
        let head = self.chain.head(self.config.tenant, &place).await;

        let mut places = Vec::new();
        for committed in first.into_iter().chain([later, resigned]).flatten() {
            let at = Position { height: committed.block.header.height, index: committed.index };
            if !places.contains(&at) {
                places.push(at);
            }
        }
        let answered = format!("applied at {places:?}");
        let attempt = Attempt::new(Trick::Replay, "one transaction many times", answered)
            .wrong_if(places.len() > 1, format!("it was applied more than once: {places:?}"));
        let Ok(head) = head else { return vec![attempt] };
        let there = match &head {
            HeadView::Marker(entry) => {
                Some(Position { height: entry.version.height, index: entry.version.index })
            }
            _ => None,
        };
        let is_other = places.first().is_some_and(|at| there.as_ref() != Some(at));
        vec![attempt.wrong_if(is_other, format!("applied at {places:?}, and the key holds {head:?}"))]
    }

    /// Sends what is no request, to one node each. What it does to a node shows in the node: nothing is concluded here.
    pub(super) async fn malformed(&self) -> Vec<Attempt> {
        let place = self.place("malformed");
        let signed = self.signed(vec![Operation::PutMarker(PutMarker { place })], Vec::new());
        let shards = Lane::control(shards::wire::LANE_NUMBER);
        let unknown = Lane::control(99);
        let chain = crafted::malformed(&signed, &self.chance).into_iter().map(|try_| (CHAIN, try_));
        let shards = crafted::malformed_shards(&self.chance).into_iter().map(|try_| (shards, try_));
        let other = std::iter::once((unknown, ("a lane that is none", self.chance.junk(100).into())));
        let mut attempts = Vec::new();
        for (lane, (tried, message)) in chain.chain(shards).chain(other) {
            let link = self.chance.one_of(&self.links).expect("a committee has nodes");
            let answered = match link.call(lane, message, CALL_TIMEOUT).await {
                Ok(answer) => format!("{} bytes", answer.len()),
                Err(error) => error.to_string(),
            };
            attempts.push(Attempt::new(Trick::Malformed, tried, answered));
        }
        attempts
    }

    /// Sends many small transactions to all nodes, waits for none, and asks the nodes what waits in them.
    pub(super) async fn flood(&self) -> Vec<Attempt> {
        let sent = stream::iter(0..FLOOD).map(|_| async {
            let place = self.place("flood");
            let signed = self.signed(vec![Operation::PutMarker(PutMarker { place })], Vec::new());
            let answers = self.ask_all(CHAIN, &Request::Submit(signed).to_message()).await;
            answers.iter().filter(|answer| answer.is_ok()).count()
        });
        let answered: usize =
            sent.buffer_unordered(FLOOD_AT_ONCE).fold(0, |sum, n| async move { sum + n }).await;
        let mut over = 0;
        for answer in self.ask_all(CHAIN, &Request::Status.to_message()).await {
            let answer = answer.ok().and_then(|answer| Answer::from_message(answer).ok());
            if let Some(Answer::Status(status)) = answer {
                let is_over = status.pending as usize > mempool::TRANSACTIONS_MAX
                    || status.pending_bytes > mempool::BYTES_MAX as u64;
                over += usize::from(is_over);
            }
        }
        let attempt =
            Attempt::new(Trick::Flood, format!("{FLOOD} small transactions"), format!("{answered} answers"));
        vec![attempt.wrong_if(self.is_proved(over), format!("{over} nodes hold more than a mempool may"))]
    }
}
