//! A model of how a node that lost its votes comes to vote again, searched exhaustively.
//!
//! It is a model of `crates/chain/src/voting.rs`, whose documentation has the argument: n = 4, of which one is malicious,
//! and in addition one or two of the others lose their votes at any moment, as often as it is allowed to happen.
//!
//! What it has of consensus: views, votes to notarize, nullify and finalize, and that a quorum of them is a certificate.
//! Wherever the model differs from the engine, more can happen in it:
//!
//! * The network is the adversary: whoever wants a certificate that exists has it, at any moment, or never.
//! * The malicious node has cast every vote. So two honest votes are a certificate.
//! * Blocks have no parents: whoever is in a view may notarize whatever he likes, once. That leaves out what keeps nodes
//!   from notarizing blocks without good ancestors, which is checked against certificates alone and needs no memory.
//! * Each search looks at one view, and there is one for each. Of the other views it is only known who voted there, for
//!   whatever: a quorum of voters is a certificate of every kind.
//!
//! What must never be: a block that is final, and in the same view a certificate that lets others go on without it. If
//! that never is, a later block can only be a descendant (see the module's documentation).

use stateright::{Checker, HasDiscoveries, Model, Property};

const NODES: usize = 3;

/// Votes of a node in the view that is looked at, as bits.
type Votes = u8;
const NOTARIZE: [Votes; 2] = [1, 2];
const NULLIFY: Votes = 4;
const FINALIZE: [Votes; 2] = [8, 16];

/// What a node may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Standing {
    Votes,
    /// It has lost its votes, and asks. Who has answered, and the view of the highest certificate that one of them has.
    Asks {
        heard: [bool; NODES],
        highest: u8,
    },
    /// It waits until a block of this view or a later one is final.
    Waits(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Node {
    /// Other views in which it has ever voted, as bits.
    voted: u8,
    /// What it has ever signed in the view that is looked at. Others have it.
    signed: Votes,
    /// What it remembers to have signed there.
    remembers: Votes,
    /// The view that it is in. Its highest certificate is of the view before.
    view: u8,
    /// It votes in later views only.
    floor: u8,
    standing: Standing,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    nodes: [Node; NODES],
    losses: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    /// With a certificate of this view.
    Enter(usize, u8),
    Notarize(usize, usize),
    Nullify(usize),
    Finalize(usize, usize),
    /// Anything in another view.
    Vote(usize, u8),
    Lose(usize),
    Hear(usize, usize),
    /// With a finalization of this view.
    Return(usize, u8),
}

/// The protocol, and how it may be broken.
#[derive(Clone, Debug)]
struct Protocol {
    /// Views of a run at most.
    views: u8,
    /// The view that is looked at.
    view: u8,
    /// Blocks that a malicious leader proposes in a view.
    blocks: usize,
    /// Who may lose its votes.
    losers: &'static [usize],
    /// How often that happens.
    losses: u8,
    /// Whether there is a quarantine at all.
    quarantine: bool,
    /// Answers needed, that of the malicious node included.
    answers: usize,
    /// How far beyond the highest certificate it waits.
    margin: u8,
    /// Whether answers of nodes that have lost their own votes count.
    anybody: bool,
}

/// As it is built: 2f + 1 answers, of nodes that remember.
const BUILT: Protocol = Protocol {
    views: 4,
    view: 1,
    blocks: 2,
    losers: &[0],
    losses: 1,
    quarantine: true,
    answers: 3,
    margin: 2,
    anybody: false,
};

impl State {
    /// Whether votes of this kind are a certificate: two honest ones and that of the malicious node.
    fn is_certified(&self, votes: Votes) -> bool {
        self.nodes.iter().filter(|node| node.signed & votes != 0).count() >= 2
    }

    /// Whether there is a certificate of another view than that which is looked at.
    fn is_passed(&self, view: u8) -> bool {
        self.nodes.iter().filter(|node| node.voted & 1 << view != 0).count() >= 2
    }

    /// The same state, but for which node is which: one of all that are the same but for that.
    fn representative(&self, losers: usize) -> Self {
        // Nodes that may lose their votes, and nodes that may not, are alike.
        let (a, b) = if losers == 2 { (0, 1) } else { (1, 2) };
        let mut swapped = self.clone();
        swapped.nodes.swap(a, b);
        for node in &mut swapped.nodes {
            if let Standing::Asks { heard, .. } = &mut node.standing {
                heard.swap(a, b);
            }
        }
        if swapped.nodes < self.nodes { swapped } else { self.clone() }
    }

    /// A block is final, and others can go on without it.
    fn is_forked(&self) -> bool {
        (0..2).any(|block| {
            let others = [NULLIFY, NOTARIZE[1 - block], FINALIZE[1 - block]];
            self.is_certified(FINALIZE[block]) && others.iter().any(|votes| self.is_certified(*votes))
        })
    }
}

impl Node {
    fn new() -> Self {
        Self { voted: 0, signed: 0, remembers: 0, view: 1, floor: 0, standing: Standing::Votes }
    }

    fn sign(&mut self, vote: Votes) {
        self.signed |= vote;
        self.remembers |= vote;
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State { nodes: [Node::new(); NODES], losses: 0 }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (me, node) in state.nodes.iter().enumerate() {
            if self.losers.contains(&me) && state.losses < self.losses && (node.voted, node.signed) != (0, 0)
            {
                actions.push(Action::Lose(me));
            }
            match node.standing {
                Standing::Votes => self.vote(state, me, actions),
                Standing::Asks { heard, .. } => {
                    for (other, heard) in heard.iter().enumerate().filter(|(other, _)| *other != me) {
                        let remembers = matches!(state.nodes[other].standing, Standing::Votes);
                        if !heard && (remembers || self.anybody) {
                            actions.push(Action::Hear(me, other));
                        }
                    }
                }
                Standing::Waits(until) => {
                    let ends = (until..=self.views).filter(|view| self.is_final(state, *view));
                    actions.extend(ends.map(|view| Action::Return(me, view)));
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Enter(me, view) => state.nodes[me].view = view + 1,
            Action::Notarize(me, block) => state.nodes[me].sign(NOTARIZE[block]),
            Action::Nullify(me) => state.nodes[me].sign(NULLIFY),
            Action::Finalize(me, block) => {
                let node = &mut state.nodes[me];
                node.sign(FINALIZE[block]);
                node.view = node.view.max(self.view + 1);
            }
            Action::Vote(me, view) => {
                let node = &mut state.nodes[me];
                node.voted |= 1 << view;
                if node.view != view {
                    node.view = node.view.max(view + 1);
                }
            }
            Action::Lose(me) => {
                state.losses += 1;
                let asks = Standing::Asks { heard: [false; NODES], highest: 0 };
                let standing = if self.quarantine { asks } else { Standing::Votes };
                let Node { voted, signed, .. } = state.nodes[me];
                state.nodes[me] = Node { voted, signed, standing, ..Node::new() };
            }
            Action::Hear(me, other) => {
                let certificate = state.nodes[other].view - 1;
                let Standing::Asks { heard, highest } = &mut state.nodes[me].standing else {
                    unreachable!("it asks")
                };
                heard[other] = true;
                *highest = certificate.max(*highest);
                // The malicious node has answered too: that it knows of nothing.
                if heard.iter().filter(|heard| **heard).count() + 1 >= self.answers {
                    state.nodes[me].standing = Standing::Waits(*highest + self.margin);
                }
            }
            Action::Return(me, view) => {
                let node = &mut state.nodes[me];
                (node.floor, node.view, node.standing) = (view, view + 1, Standing::Votes);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no fork", |_, state: &State| !state.is_forked()),
            Property::sometimes("one that returned votes", |_, state: &State| {
                state.nodes.iter().any(|node| node.floor > 0 && node.remembers != 0)
            }),
        ]
    }
}

impl Protocol {
    fn is_final(&self, state: &State, view: u8) -> bool {
        if view == self.view {
            FINALIZE.iter().any(|votes| state.is_certified(*votes))
        } else {
            state.is_passed(view)
        }
    }

    fn has_certificate(&self, state: &State, view: u8) -> bool {
        let others = [NOTARIZE[0], NOTARIZE[1], NULLIFY];
        self.is_final(state, view)
            || view == self.view && others.iter().any(|votes| state.is_certified(*votes))
    }

    /// What a node that votes may do.
    fn vote(&self, state: &State, me: usize, actions: &mut Vec<Action>) {
        let node = &state.nodes[me];
        for view in node.floor + 1..=self.views {
            let has_certificate = self.has_certificate(state, view);
            if has_certificate && view >= node.view {
                actions.push(Action::Enter(me, view));
            }
            // In the view that it is in; or in one that has a certificate, which makes it go on.
            if view != self.view && node.voted & 1 << view == 0 && (view == node.view || has_certificate) {
                actions.push(Action::Vote(me, view));
            }
        }
        if self.view <= node.floor {
            return;
        }
        if self.view == node.view {
            if node.remembers & (NOTARIZE[0] | NOTARIZE[1] | NULLIFY) == 0 {
                actions.extend((0..self.blocks).map(|block| Action::Notarize(me, block)));
            }
            if node.remembers & (NULLIFY | FINALIZE[0] | FINALIZE[1]) == 0 {
                actions.push(Action::Nullify(me));
            }
        }
        let may = node.remembers & (NULLIFY | FINALIZE[0] | FINALIZE[1]) == 0;
        let notarized = (0..self.blocks).filter(|block| may && state.is_certified(NOTARIZE[*block]));
        actions.extend(notarized.map(|block| Action::Finalize(me, block)));
    }

    /// Whether no run of it forks in any view, and whether in some run one that lost its votes votes again.
    fn search(&self) -> (bool, bool) {
        let (mut is_safe, mut returns, mut states) = (true, false, 0);
        let begun = std::time::Instant::now();
        for view in 1..=self.views {
            let same = match self.losers.len() {
                2 => |state: &State| state.representative(2),
                _ => |state: &State| state.representative(1),
            };
            let checker = Self { view, ..self.clone() }.checker().symmetry_fn(same).threads(2);
            let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
            states += checker.unique_state_count();
            if let Some(fork) = checker.discovery("no fork") {
                is_safe = false;
                println!("a fork in view {view}: {:?}", fork.into_actions());
                break;
            }
            returns |= checker.discovery("one that returned votes").is_some();
        }
        println!("{states} states in {:.1} s: {self:?}", begun.elapsed().as_secs_f64());
        (is_safe, returns)
    }
}

#[test]
fn one_that_lost_its_votes_never_helps_to_fork() {
    assert_eq!(BUILT.search(), (true, true));
}

#[test]
fn nor_do_two_that_lost_them_at_once_or_one_after_the_other() {
    let two = Protocol { blocks: 1, losers: &[0, 1], losses: 2, ..BUILT };
    assert_eq!(two.search(), (true, true));
}

#[test]
fn nor_does_one_that_lost_them_twice() {
    let twice = Protocol { blocks: 1, losses: 2, ..BUILT };
    assert_eq!(twice.search(), (true, true));
}

/// Whether the search finds a fork.
fn forks(broken: &Protocol) -> bool {
    !broken.search().0
}

#[test]
fn voting_right_after_the_loss_forks() {
    assert!(forks(&Protocol { quarantine: false, ..BUILT }));
}

#[test]
fn answers_of_f_and_one_more_are_too_few() {
    assert!(forks(&Protocol { answers: 2, ..BUILT }));
}

#[test]
fn one_view_less_is_too_early() {
    assert!(forks(&Protocol { margin: 1, ..BUILT }));
}

#[test]
fn answers_of_those_who_lost_their_own_votes_are_worth_nothing() {
    let anybody = Protocol { anybody: true, blocks: 1, losers: &[0, 1], losses: 2, ..BUILT };
    assert!(forks(&anybody));
}
