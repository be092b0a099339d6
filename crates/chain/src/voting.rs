//! Whether this node votes now, and how it comes to.
//!
//! A node that has forgotten votes it cast could cast others that contradict them. So voting has to be earned, at every
//! start: consensus runs without the power to sign until the node may tell that it remembers.
//!
//! 1. *Claim.* Whoever starts the engine says what vouches for the journal of votes ([`Claim`]): nothing, then votes are
//!    lost; or a journal; or that the key has never voted.
//! 2. *Ask.* With a claim the node asks all others what they remember of its votes ([`crate::inquiry`]), and compares. A
//!    vote with its valid signature that its journal should have and has not means that votes are lost: the journal was
//!    put back to an older state, or the same key runs twice. Nobody else can make such a vote. The claim is withdrawn
//!    ([`Register::disown`]) before anything else happens.
//! 3. *Vote.* Otherwise the journal is vouched for ([`Register::vouch`]), which also spends the permit of a key that has
//!    never voted, and then, not before, consensus gets the power to sign. While it votes the node goes on asking. If a
//!    vote of its own turns up now that it did not cast, it falls silent, for as long as it runs: its key is used by
//!    another process, and as long as that is so it would only go on contradicting itself.
//! 4. *Quarantine.* A node whose votes are lost asks all others for the highest certificate that they have, and waits for
//!    answers of 2f + 1 nodes that remember their own votes. With `c` the highest view among them, it waits until a block
//!    of view `c + 2` or a later one, `F`, is final. It begins a new journal with that finalization, has it vouched for,
//!    and votes, in views above `F` only.
//!
//! # How many answers
//!
//! *To vote* (2.): 2f of the others, however long that takes, and if after [`GRACE`] there are not 2f + 1 it goes on with
//! these. More than 2f cannot be waited for, since f may be gone. Waiting for 2f costs no progress: without 2f others
//! there is no quorum. Nodes answer before they vote themselves, so if all start at once, all are answered. Among 2f
//! answers are at least f of nodes that are not faulty, and if this node itself is one of the f, because it was put back,
//! f + 1. Each answers with the newest votes that it got, and those in the newest certificates. So votes are missed only
//! that went to none of those who answered, or to nodes that have been restarted since and are in no certificate. Such a
//! node counts as one of the f.
//!
//! *To end the quarantine* (4.): 2f + 1, see next. This cannot be had while more than f nodes are lost or silent. So if
//! more than f have lost their votes at once, none of them votes again by itself, which is right: what was final might
//! then be known to nobody else.
//!
//! # Why the quarantine is safe
//!
//! What consensus needs of a node's memory is that it casts no two votes *in one view* that contradict each other: two
//! blocks to notarize, or both to nullify and to finalize. Then of one view there are never a finalization and, of that
//! view, a nullification or another notarization, since any two quorums share an honest node. All else that a vote
//! depends on is in certificates: whoever notarizes a block has certificates for its parent and for nullified views
//! between. So a block of a later view than a final one descends from it: its parent is certified in a view that is not
//! lower, as the final view was never nullified, and in that view nothing else was ever notarized. (Terms have length one
//! and nothing is optimistic; with other settings of the engine this has to be argued anew.)
//!
//! It remains to show that every vote that was lost is of a view not above `c + 2`. Let the node have voted in view `v`.
//! It was in view `v`, so it had a certificate of view `v - 1`; or it voted to finalize upon a notarization of `v`. (Or `v`
//! is the first view of its journal, then it had the finalization before.) So 2f + 1 nodes have voted in view `v - 1` or
//! later. Let `w` nodes, this one among them, have lost their votes, and `m` others be malicious: at least 2f + 1 - w - m of
//! the voters remember. Of the 3f + 1 - w nodes that remember or lie, 2f + 1 were heard: f - w were not. For m <= f one of
//! those voters was heard, since 2f + 1 - w - m > f - w. It had voted in `v - 1` or later, so it had a certificate of `v - 2`
//! or later, in its journal, synced before it voted; and it was asked after this node's last vote. So `v - 2 <= c`.
//!
//! * *Malicious nodes* may answer too low: the argument does without them. They cannot answer too high, for a certificate
//!   is shown. Views may run far ahead of finality, by nullification: that only takes longer.
//! * *A node that lies about remembering* is malicious. One that was put back to an older state and does not know is too.
//! * *A node that has come back* remembers in the sense of the argument: `F` is not below any view in which it ever voted,
//!   and it has the certificate.
//! * *Several at once*: up to f lost nodes come back, each on its own, whatever m <= f malicious ones do.
//! * *Answers from before* the loss do not count: each start puts a question with a number of its own.
//! * *A crash* between the new journal and its being vouched for leaves a node that has lost its votes. It starts over.
//!
//! `crates/model/tests/quarantine.rs` searches all runs of a small model of this, and finds the forks that come of leaving
//! a part out.

use crate::{
    applied::Applied,
    inquiry::Answers,
    journal::Place,
    memory::{Memory, NodeVote},
    protocol::Stance,
};
use commonware_consensus::Viewable as _;
use commonware_macros::select;
use commonware_runtime::{Clock, Handle, Metrics, Storage, Supervisor};
use commonware_utils::sync::Mutex;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tracing::{error, info, warn};

/// How long more than 2f answers are waited for.
const GRACE: Duration = Duration::from_secs(2);
/// After this time without enough answers the node follows the chain while it goes on asking.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a node that votes looks whether there are votes of its own that it did not cast.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How far above the highest certificate that others have votes may have been lost.
const MARGIN: u64 = 2;

/// What vouches for the journal of votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The key has never voted.
    First,
    /// The journal with this number is complete.
    Journal(u64),
    /// Nothing does.
    Lost,
}

/// Where it is kept what vouches for the journal of votes.
pub trait Register: Clone + Send + Sync + 'static {
    /// From now on the journal with this number is complete, and the key is no longer one that has never voted. Both are
    /// synced when this is done.
    fn vouch(&self, journal: u64) -> impl Future<Output = ()> + Send;

    /// From now on nothing vouches for any journal. Synced when this is done. Whether the node is to heed that it has lost
    /// votes: it always is, but for one that plays a malicious node.
    fn disown(&self) -> impl Future<Output = bool> + Send;
}

/// Keeps nothing: of a node that is never started again.
impl Register for () {
    async fn vouch(&self, _: u64) {}

    async fn disown(&self) -> bool {
        true
    }
}

/// Whether this node votes, and if not, why. Clones share it.
#[derive(Clone, Debug)]
pub struct Standing(Arc<Mutex<Stance>>);

impl Standing {
    pub(crate) fn new(stance: Stance) -> Self {
        Self(Arc::new(Mutex::new(stance)))
    }

    /// As it is now.
    pub fn now(&self) -> Stance {
        self.0.lock().clone()
    }

    /// Whether it votes.
    pub fn votes(&self) -> bool {
        self.now() == Stance::Voter
    }

    /// Whether the node remembers all its votes, and knows that.
    pub(crate) fn remembers(&self) -> bool {
        self.votes()
    }

    fn set(&self, stance: Stance) {
        *self.0.lock() = stance;
    }
}

/// What consensus is started as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It cannot sign, and is not heard.
    Observer,
    /// It signs, and keeps this journal.
    Voter(u64),
}

/// Decides whether the node votes.
pub(crate) struct Voting<E, V> {
    pub context: E,
    /// Whose storage keeps journals.
    pub journals: E,
    pub place: Place,
    /// Nodes of the committee, and how many of them may be faulty.
    pub nodes: usize,
    pub faults: usize,
    /// The journal that is claimed to be complete.
    pub journal: Option<u64>,
    pub memory: Memory,
    pub answers: Answers,
    pub standing: Standing,
    pub register: V,
    /// What the node may tell readers.
    pub applied: Applied,
    /// Whether votes and certificates are heard by others.
    pub heard: Arc<AtomicBool>,
}

impl<E: Clock + Storage + Metrics + Supervisor, V: Register> Voting<E, V> {
    /// Starts consensus with `launch`, and again as something else when that changes. Ends if consensus does.
    pub(crate) async fn run(self, launch: impl Fn(Role) -> Handle<()> + Send) {
        let begun = self.context.current();
        let mut engine = None;
        let mut journal = self.journal;
        if let Some(number) = journal {
            let asked = select! {
                asked = self.ask() => Some(asked),
                _ = self.context.sleep(PATIENCE) => None,
            };
            let strange = match asked {
                Some(asked) => asked,
                None => {
                    warn!(
                        "too few nodes answer what they remember of this node's votes: it observes until they do"
                    );
                    let Some(asked) = beside(engine.insert(launch(Role::Observer)), self.ask()).await else {
                        return;
                    };
                    asked
                }
            };
            if let Some(vote) = strange
                && self.register.disown().await
            {
                error!(
                    ?vote,
                    journal = number,
                    "this node's journal of votes is not complete: others have a vote of its own that is not there. \
                     Its votes directory was put back to an older state, or its key is used by another process"
                );
                journal = None;
            }
        }
        let journal = match journal {
            Some(journal) => journal,
            None => {
                let observing = engine.take().unwrap_or_else(|| launch(Role::Observer));
                let Some(journal) = beside(engine.insert(observing), self.wait()).await else { return };
                journal
            }
        };
        self.register.vouch(journal).await;
        if let Some(observing) = engine.take() {
            end(observing).await;
        }
        self.heard.store(true, Ordering::Release);
        let mut engine = launch(Role::Voter(journal));
        self.standing.set(Stance::Voter);
        self.answers.watch();
        let seconds = self.context.current().duration_since(begun).unwrap_or_default().as_secs_f64();
        info!(journal, seconds, "this node votes");
        let Some(()) = beside(&mut engine, self.watch()).await else { return };
        end(engine).await;
        // It never ends, and neither does this.
        let _ = launch(Role::Observer).await;
    }

    /// Waits for enough answers. Gives a vote that this node should remember and does not.
    async fn ask(&self) -> Option<NodeVote> {
        select! {
            strange = self.hear(2 * self.faults + 1) => strange,
            _ = self.context.sleep(GRACE) => self.hear(2 * self.faults).await,
        }
    }

    /// Waits for so many answers, or for a vote that this node should remember and does not.
    async fn hear(&self, enough: usize) -> Option<NodeVote> {
        loop {
            let count = self.answers.count().get();
            if let Some(vote) = self.strange() {
                return Some(vote);
            }
            if self.answers.heard().len() >= enough.min(self.nodes - 1) {
                return None;
            }
            self.answers.count().reached(count + 1).await;
        }
    }

    /// Waits until the node may begin to vote anew, and begins a journal for that.
    async fn wait(&self) -> u64 {
        self.standing.set(Stance::Lost);
        warn!(
            "this node's votes are lost: it observes, stores and serves, and votes again after a quarantine, for which \
             it needs the answers of {} nodes that remember theirs",
            2 * self.faults + 1
        );
        let until = loop {
            let count = self.answers.count().get();
            let heard = self.answers.heard();
            let remember = heard.iter().filter(|heard| heard.remembers).count();
            if remember > 2 * self.faults {
                let highest = heard.iter().map(|heard| heard.certified).max().unwrap_or(0);
                break highest + MARGIN;
            }
            self.answers.count().reached(count + 1).await;
        };
        self.standing.set(Stance::Quarantined(until));
        info!(until, now = self.memory.finalized_view(), "in quarantine until a block of this view is final");
        let above = self.memory.finalized(until).await;
        assert!(above.view().get() >= until, "finality has got as far as was waited for");
        let journal = self.place.begin(self.journals.child("begin"), above).await;
        self.memory.begin_above(journal);
        self.applied.tell_from(journal);
        journal
    }

    /// Waits until there is a vote of this node's that it did not cast.
    async fn watch(&self) {
        loop {
            self.context.sleep(LOOK_EVERY).await;
            let Some(vote) = self.strange() else { continue };
            self.heard.store(false, Ordering::Release);
            if self.register.disown().await {
                self.standing.set(Stance::Contradicted);
                error!(
                    ?vote,
                    "others have a vote with this node's signature that it did not cast: its key is used by another \
                     process. This node votes no more. Stop the other one, then start this one again"
                );
                return;
            }
            self.heard.store(true, Ordering::Release);
            // Whoever plays a malicious node need not be told again.
            std::future::pending::<()>().await;
        }
    }

    fn strange(&self) -> Option<NodeVote> {
        let told = self.answers.strange().filter(|vote| self.memory.is_strange(vote));
        told.or_else(|| self.memory.strange_vote())
    }
}

/// Waits for something while consensus runs: none, if consensus ends before.
async fn beside<T>(engine: &mut Handle<()>, wait: impl Future<Output = T>) -> Option<T> {
    select! {
        _ = engine => None,
        done = wait => Some(done),
    }
}

/// Ends consensus.
async fn end(engine: Handle<()>) {
    engine.abort();
    // That it was aborted is all that this can say.
    let _ = engine.await;
}
