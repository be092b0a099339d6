//! Deciding when a read is linearizable.
//!
//! A write is acknowledged when a quorum has applied its block. A read asks one node for the whole answer and others for
//! their newest applied block.
//!
//! 1. When a quorum, asked after the read began, have proved their heights, one of them was among those that had applied
//!    any write acknowledged before the read began. The highest of these heights is the *target*, and stays: blocks
//!    that come later are none of this read's business. An answer is new enough when its height is not below the target.
//!    If there is none, one is asked for, as of the target.
//! 2. An answer is given out when a quorum have proved that they applied its block: nodes that had not are asked again,
//!    as of its height, which they reach in a moment because it is final. Without that, a read that met the one node
//!    which is ahead could be followed by one that does not, and see a write that was not acknowledged yet come and go.
//!
//! Of several answers that are new enough the lowest is the one: its block has been applied by most. So while nodes answer,
//! a read takes three rounds at the most, however fast blocks come: heights; an answer that is new enough; those who had
//! not applied its block. If a height alone is wanted, it is the target.
//!
//! A node that is slow or fails is not waited for: another is asked in its place, and what is asked is always just
//! enough, were all answers to come in time.

use std::collections::BTreeSet;

/// What to ask a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// The whole answer, as of this height or a higher one.
    Full(u64),
    /// Its newest applied block, of this height or a higher one.
    Tip(u64),
}

/// How far asking one thing of a node has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Not,
    Waiting,
    Slow,
    Answered,
    Failed,
}

/// A read under way. Pure: fed with what happened, it says what to ask.
pub(super) struct Quorum {
    needed: usize,
    /// In order of preference.
    nodes: Vec<Node>,
    /// Whether a whole answer is wanted, or a height alone.
    full: bool,
    /// The highest height when a quorum had proved theirs.
    target: Option<u64>,
    /// Heights of the whole answers.
    answers: BTreeSet<u64>,
}

struct Node {
    node: usize,
    tip: Asked,
    full: Asked,
    /// What it proved.
    height: Option<u64>,
}

impl Quorum {
    /// Reads from nodes in this order, of which `needed` make a quorum.
    pub(super) fn new(order: &[usize], needed: usize, full: bool) -> Self {
        assert!(needed > 0 && needed <= order.len(), "a quorum is of the committee");
        let node = |node: &usize| Node { node: *node, tip: Asked::Not, full: Asked::Not, height: None };
        let nodes = order.iter().map(node).collect();
        Self { needed, nodes, full, target: None, answers: BTreeSet::new() }
    }

    /// No answer below this height is new enough, as far as is known.
    fn floor(&self) -> u64 {
        let highest = || self.nodes.iter().filter_map(|node| node.height).max().unwrap_or(0);
        self.target.unwrap_or_else(highest)
    }

    /// Height of the answer that is to be given out, once one is new enough.
    fn answer(&self) -> Option<u64> {
        let target = self.target?;
        if self.full { self.answers.range(target..).next().copied() } else { Some(target) }
    }

    /// Nodes that proved a height.
    pub(super) fn proved(&self) -> usize {
        self.nodes.iter().filter(|node| node.height.is_some()).count()
    }

    /// Height of the answer to give out, or the height that was asked for, when it is good.
    pub(super) fn done(&self) -> Option<u64> {
        let has_applied = |height| self.nodes.iter().filter(|node| node.height >= Some(height)).count();
        self.answer().filter(|height| has_applied(*height) >= self.needed)
    }

    /// What to ask now.
    pub(super) fn asks(&mut self) -> Vec<(usize, Ask)> {
        let mut asks = Vec::new();
        if self.done().is_some() {
            return asks;
        }
        let floor = self.floor();
        let stale = self.answers.range(floor..).next().is_none();
        if self.full && stale && !self.nodes.iter().any(|node| node.full == Asked::Waiting) {
            let candidate =
                self.nodes.iter_mut().find(|node| matches!(node.full, Asked::Not | Asked::Answered));
            if let Some(node) = candidate {
                node.full = Asked::Waiting;
                asks.push((node.node, Ask::Full(floor)));
            }
        }
        // Until there is a target, whoever has proved any height has done so.
        let height = self.answer().or(self.target).unwrap_or(0);
        let is_up = |node: &Node| node.height.is_some_and(|proved| proved >= height);
        let is_expected =
            |node: &&Node| is_up(node) || node.tip == Asked::Waiting || node.full == Asked::Waiting;
        let mut expected = self.nodes.iter().filter(is_expected).count();
        for node in &mut self.nodes {
            if expected >= self.needed {
                break;
            }
            // What failed fails again; what is slow may still come.
            let may_ask = |asked| matches!(asked, Asked::Not | Asked::Answered);
            if !is_up(node) && may_ask(node.tip) && may_ask(node.full) {
                node.tip = Asked::Waiting;
                asks.push((node.node, Ask::Tip(height)));
                expected += 1;
            }
        }
        asks
    }

    fn node(&mut self, node: usize) -> &mut Node {
        self.nodes.iter_mut().find(|candidate| candidate.node == node).expect("only known nodes are asked")
    }

    fn set(&mut self, node: usize, ask: Ask, asked: Asked) {
        let node = self.node(node);
        match ask {
            Ask::Full(_) => node.full = asked,
            Ask::Tip(_) => node.tip = asked,
        }
    }

    /// The node answered, as of a proved height.
    pub(super) fn answered(&mut self, node: usize, ask: Ask, height: u64) {
        self.set(node, ask, Asked::Answered);
        let node = self.node(node);
        node.height = node.height.max(Some(height));
        if matches!(ask, Ask::Full(_)) {
            self.answers.insert(height);
        }
        if self.target.is_none() && self.proved() >= self.needed {
            self.target = Some(self.floor());
        }
    }

    /// The node takes long.
    pub(super) fn slow(&mut self, node: usize, ask: Ask) -> bool {
        let entry = self.node(node);
        let asked = match ask {
            Ask::Full(_) => entry.full,
            Ask::Tip(_) => entry.tip,
        };
        let waiting = asked == Asked::Waiting;
        if waiting {
            self.set(node, ask, Asked::Slow);
        }
        waiting
    }

    /// The call failed, or its answer is of no use.
    pub(super) fn failed(&mut self, node: usize, ask: Ask) {
        self.set(node, ask, Asked::Failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Quorum {
        fn is_done(&self) -> bool {
            self.done().is_some()
        }
    }

    #[test]
    fn asks_one_for_all_and_others_for_their_height() {
        let mut read = Quorum::new(&[2, 0, 3, 1], 3, true);
        assert_eq!(read.asks(), [(2, Ask::Full(0)), (0, Ask::Tip(0)), (3, Ask::Tip(0))]);
        assert!(read.asks().is_empty(), "nothing twice");
        read.answered(2, Ask::Full(0), 7);
        read.answered(0, Ask::Tip(0), 7);
        assert!(!read.is_done(), "two are no quorum of four");
        read.answered(3, Ask::Tip(0), 7);
        assert!(read.is_done());
    }

    #[test]
    fn a_higher_height_has_the_answer_asked_again() {
        let mut read = Quorum::new(&[0, 1, 2, 3], 3, true);
        read.asks();
        read.answered(0, Ask::Full(0), 5);
        read.answered(1, Ask::Tip(0), 8);
        assert_eq!(read.asks(), [(0, Ask::Full(8))]);
        read.answered(2, Ask::Tip(0), 8);
        assert!(!read.is_done());
        read.answered(0, Ask::Full(8), 8);
        assert!(read.is_done());
    }

    #[test]
    fn what_one_node_has_is_not_told_before_a_quorum_has_it() {
        let mut read = Quorum::new(&[0, 1, 2, 3], 3, true);
        read.asks();
        read.answered(0, Ask::Full(0), 9);
        read.answered(1, Ask::Tip(0), 8);
        read.answered(2, Ask::Tip(0), 8);
        assert!(!read.is_done(), "a read that misses node 0 would see less");
        assert_eq!(read.asks(), [(1, Ask::Tip(9)), (2, Ask::Tip(9))]);
        read.answered(1, Ask::Tip(9), 9);
        assert!(!read.is_done());
        read.failed(2, Ask::Tip(9));
        assert_eq!(read.asks(), [(3, Ask::Tip(9))]);
        read.answered(3, Ask::Tip(9), 10);
        assert_eq!(read.done(), Some(9), "block 10 came later");
    }

    #[test]
    fn of_the_answers_that_are_new_enough_the_lowest_is_given_out() {
        let mut read = Quorum::new(&[0, 1, 2, 3], 3, true);
        read.asks();
        read.slow(0, Ask::Full(0));
        assert_eq!(read.asks(), [(1, Ask::Full(0)), (3, Ask::Tip(0))]);
        read.answered(1, Ask::Full(0), 9);
        read.answered(2, Ask::Tip(0), 5);
        read.answered(3, Ask::Tip(0), 6);
        assert_eq!(read.asks(), [(2, Ask::Tip(9)), (3, Ask::Tip(9))]);
        read.answered(0, Ask::Full(0), 12);
        read.answered(2, Ask::Tip(9), 9);
        assert_eq!(read.done(), Some(9));
    }

    #[test]
    fn a_height_alone_is_the_highest_of_the_first_quorum() {
        let mut read = Quorum::new(&[0, 1, 2, 3], 3, false);
        assert_eq!(read.asks(), [(0, Ask::Tip(0)), (1, Ask::Tip(0)), (2, Ask::Tip(0))]);
        read.answered(0, Ask::Tip(0), 4);
        read.answered(1, Ask::Tip(0), 5);
        read.answered(2, Ask::Tip(0), 4);
        assert_eq!(read.asks(), [(0, Ask::Tip(5)), (2, Ask::Tip(5))]);
        read.answered(0, Ask::Tip(5), 8);
        read.answered(2, Ask::Tip(5), 9);
        assert_eq!(read.done(), Some(5));
    }

    /// Blocks come faster than answers, and nodes differ by a block when they are first asked.
    #[test]
    fn a_read_does_not_chase_the_tip() {
        for (full, late, interval_ms, round_trip_ms) in paces() {
            let mut read = Quorum::new(&[0, 1, 2, 3], 3, full);
            let (mut rounds, mut flying) = (0, read.asks());
            while !read.is_done() {
                assert!(!flying.is_empty() && rounds < 3, "{rounds} rounds: {full} {late} {interval_ms}");
                rounds += 1;
                for (node, ask) in std::mem::take(&mut flying) {
                    // Who is late has a block one interval after the others have it.
                    let late_ms = if late & (1 << node) == 0 { 0 } else { interval_ms };
                    let height = 10 + (rounds * round_trip_ms - late_ms) / interval_ms;
                    let (Ask::Full(min) | Ask::Tip(min)) = ask;
                    read.answered(node, ask, height.max(min));
                    flying.extend(read.asks());
                }
            }
        }
    }

    fn paces() -> impl Iterator<Item = (bool, u8, u64, u64)> {
        let paces = [(60, 200), (200, 200), (17, 200), (199, 1_000)];
        let with = move |(full, late)| paces.map(|(interval_ms, trip_ms)| (full, late, interval_ms, trip_ms));
        [true, false].into_iter().flat_map(|full| (0..16).map(move |late| (full, late))).flat_map(with)
    }

    #[test]
    fn slow_and_failing_nodes_are_replaced() {
        let mut read = Quorum::new(&[0, 1, 2, 3], 3, true);
        read.asks();
        assert!(read.slow(0, Ask::Full(0)));
        assert_eq!(
            read.asks(),
            [(1, Ask::Full(0)), (3, Ask::Tip(0))],
            "one for the answer, one for the quorum"
        );
        read.failed(2, Ask::Tip(0));
        assert!(read.asks().is_empty(), "all were asked");
        read.answered(3, Ask::Tip(0), 4);
        read.answered(1, Ask::Full(0), 4);
        assert!(!read.is_done());
        read.answered(0, Ask::Full(0), 4);
        assert!(read.is_done(), "the slow answer still counts for the quorum");
        assert!(!read.slow(0, Ask::Full(0)), "an answered call is no longer slow");
    }

    #[test]
    fn a_lone_node_suffices_for_a_network_of_one() {
        let mut read = Quorum::new(&[0], 1, true);
        assert_eq!(read.asks(), [(0, Ask::Full(0))]);
        read.answered(0, Ask::Full(0), 1);
        assert!(read.is_done());
    }

    proptest! {
        /// Whatever happens in whatever order, and however blocks come meanwhile: the read ends; when it is done, it saw
        /// whatever a quorum had applied before, and a quorum has what it saw; and with a quorum of nodes that answer it
        /// gets done.
        #[test]
        fn ends_and_is_fresh(
            f in 0..3usize,
            full in any::<bool>(),
            heights in prop::collection::vec(1..5u64, 7),
            faulty in prop::collection::vec(any::<bool>(), 7),
            rises in prop::collection::vec(0..3u64, 200),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let (n, needed) = (3 * f + 1, 2 * f + 1);
            let order: Vec<_> = (0..n).collect();
            let mut read = Quorum::new(&order, needed, full);
            let mut flying: Vec<(usize, Ask)> = read.asks();
            let mut asked_in_all = flying.len();
            let mut risen = 0;
            for (pick, rise) in picks.iter().zip(rises) {
                if flying.is_empty() || read.is_done() {
                    break;
                }
                risen += rise;
                let at = pick.index(flying.len());
                let (node, ask) = flying[at];
                if pick.index(5) == 0 {
                    read.slow(node, ask);
                } else {
                    flying.swap_remove(at);
                    let (Ask::Full(min) | Ask::Tip(min)) = ask;
                    if faulty[node] {
                        read.failed(node, ask);
                    } else {
                        read.answered(node, ask, (heights[node] + risen).max(min));
                    }
                }
                let asks = read.asks();
                asked_in_all += asks.len();
                flying.extend(asks);
            }
            prop_assert!(asked_in_all <= 8 * n);
            if let Some(seen) = read.done() {
                let mut before = heights[..n].to_vec();
                before.sort_unstable();
                prop_assert!(seen >= before[n - needed], "a quorum had applied {}", before[n - needed]);
                prop_assert!(read.nodes.iter().filter(|node| node.height >= Some(seen)).count() >= needed);
                prop_assert!(!full || read.answers.contains(&seen));
            } else if flying.is_empty() {
                let honest = (0..n).filter(|node| !faulty[*node]).count();
                prop_assert!(honest < needed, "{honest} of {n} answered and the read is stuck");
            }
        }
    }
}
