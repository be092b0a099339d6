//! The search for an order: Wing & Gong, "Testing and Verifying Concurrent Objects" (1993), with Lowe's memory of what was
//! visited, "Testing for Linearizability" (2017).
//!
//! An order is built from its beginning. Next may be any call that was invoked before every call left has returned; the
//! search goes back when none fits. The same calls in another order that lead to the same state need no second visit.
//!
//! Calls that need not have taken effect are optional. They are taken only together with a call that does not fit without
//! them: in any order that explains all, an optional call that is not needed by the one after it can be moved behind that
//! one, which leaves the state as it was or overwrites what the optional call did; at the end it can be left out. That
//! one is enough holds for a register; of a stack of versions several may have been hidden before one is seen. Optional calls of one class are interchangeable.

use std::{
    collections::{BTreeSet, HashSet},
    hash::Hash,
};

/// What optional calls of one kind have in common.
pub(super) type Class = [u64; 3];

/// A call as the search sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    /// The event that began it. Calls are in this order.
    pub invoked: u64,
    /// The event by which it had taken effect. Optional without it.
    pub returned: Option<u64>,
    /// The same for optional calls that are interchangeable but for when they began.
    pub class: Class,
}

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found<S> {
    /// An order.
    Order,
    /// That there is none. The longest one begun explains this many calls, leads to this state, and could go on with
    /// any of these, if they fitted.
    None { explained: usize, state: S, next: Vec<usize> },
    /// Nothing: there are too many states.
    Undecided,
}

/// Looks for an order of all calls but optional ones. `after` gives the state after a call, if the call fits.
pub(super) fn search<S: Clone + Eq + Hash>(
    calls: &[Interval],
    start: S,
    after: impl Fn(&S, usize) -> Option<S>,
    together: usize,
    states_max: usize,
) -> Found<S> {
    assert!(calls.is_sorted_by_key(|call| call.invoked), "calls are in the order of their beginnings");
    let (optional, required): (Vec<_>, Vec<_>) =
        (0..calls.len()).partition(|call| calls[*call].returned.is_none());
    let mut search = Search {
        calls,
        required,
        optional,
        after,
        together,
        states_max,
        taken: vec![0; calls.len().div_ceil(64)],
        count: 0,
        visited: HashSet::new(),
        longest: (0, start.clone(), Vec::new()),
    };
    match search.from(&start, 0) {
        Ok(true) => Found::Order,
        Ok(false) => {
            let (explained, state, next) = search.longest;
            Found::None { explained, state, next }
        }
        Err(TooMany) => Found::Undecided,
    }
}

struct TooMany;

struct Search<'a, S, F> {
    calls: &'a [Interval],
    required: Vec<usize>,
    optional: Vec<usize>,
    after: F,
    /// Optional calls that are taken at once, at most.
    together: usize,
    states_max: usize,
    /// Calls in the order so far: one bit each.
    taken: Vec<u64>,
    /// Required ones among them.
    count: usize,
    visited: HashSet<(Vec<u64>, S)>,
    longest: (usize, S, Vec<usize>),
}

impl<S: Clone + Eq + Hash, F: Fn(&S, usize) -> Option<S>> Search<'_, S, F> {
    /// Whether the order so far, which leads to `state`, can be completed. Required calls before the one at `low` are in
    /// it.
    fn from(&mut self, state: &S, mut low: usize) -> Result<bool, TooMany> {
        if self.count == self.required.len() {
            return Ok(true);
        }
        if !self.visited.insert((self.taken.clone(), state.clone())) {
            return Ok(false);
        }
        if self.visited.len() > self.states_max {
            return Err(TooMany);
        }
        while self.is_taken(self.required[low]) {
            low += 1;
        }
        let (next, before) = self.next(low);
        if self.count > self.longest.0 || self.longest.2.is_empty() {
            self.longest = (self.count, state.clone(), next.clone());
        }
        for call in next {
            if let Some(then) = (self.after)(state, call) {
                if self.go_on(&[call], &then, low)? {
                    return Ok(true);
                }
            } else if self.with_optionals(state, &mut Vec::new(), call, before, low)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Required calls that may come next, and the event before which whatever comes next has begun.
    fn next(&self, low: usize) -> (Vec<usize>, u64) {
        let (mut next, mut before) = (Vec::new(), u64::MAX);
        for call in &self.required[low..] {
            let Interval { invoked, returned, .. } = self.calls[*call];
            if invoked > before {
                break;
            }
            if !self.is_taken(*call) {
                before = before.min(returned.expect("it is required"));
                next.push(*call);
            }
        }
        next.retain(|call| self.calls[*call].invoked <= before);
        (next, before)
    }

    /// Takes an optional call or some more after `chain`, and `call` after them.
    fn with_optionals(
        &mut self,
        state: &S,
        chain: &mut Vec<usize>,
        call: usize,
        before: u64,
        low: usize,
    ) -> Result<bool, TooMany> {
        let mut tried = BTreeSet::new();
        for optional in self.optional.clone() {
            let Interval { invoked, class, .. } = self.calls[optional];
            let is_free = !self.is_taken(optional) && !chain.contains(&optional);
            if invoked > before || !is_free || !tried.insert(class) {
                continue;
            }
            let Some(between) = (self.after)(state, optional) else { continue };
            chain.push(optional);
            let found = if let Some(then) = (self.after)(&between, call) {
                let calls: Vec<_> = chain.iter().copied().chain([call]).collect();
                self.go_on(&calls, &then, low)?
            } else if chain.len() < self.together {
                self.with_optionals(&between, chain, call, before, low)?
            } else {
                false
            };
            chain.pop();
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn go_on(&mut self, calls: &[usize], state: &S, low: usize) -> Result<bool, TooMany> {
        calls.iter().for_each(|call| self.taken[call / 64] ^= 1 << (call % 64));
        self.count += 1;
        let found = self.from(state, low);
        self.count -= 1;
        calls.iter().for_each(|call| self.taken[call / 64] ^= 1 << (call % 64));
        found
    }

    fn is_taken(&self, call: usize) -> bool {
        self.taken[call / 64] & (1 << (call % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    /// A call of a register of numbers.
    #[derive(Clone, Copy, Debug)]
    enum Call {
        Write(u8),
        Read(u8),
    }

    fn after(state: &u8, call: Call) -> Option<u8> {
        match call {
            Call::Write(value) => Some(value),
            Call::Read(value) => (*state == value).then_some(value),
        }
    }

    fn interval(invoked: u64, returned: Option<u64>, call: Call) -> (Interval, Call) {
        let class = match call {
            Call::Write(value) => [value.into(), 0, 0],
            Call::Read(_) => [u64::MAX; 3],
        };
        (Interval { invoked, returned, class }, call)
    }

    fn run(calls: &[(Interval, Call)]) -> Found<u8> {
        let intervals: Vec<_> = calls.iter().map(|(interval, _)| *interval).collect();
        search(&intervals, 0, |state, index| after(state, calls[index].1), 1, 10_000)
    }

    /// By trying all orders of all subsets of optional calls.
    fn by_force(calls: &[(Interval, Call)], taken: &mut Vec<usize>, state: u8) -> bool {
        let left = |call: &usize| !taken.contains(call);
        let all: Vec<usize> = (0..calls.len()).filter(left).collect();
        if all.iter().all(|call| calls[*call].0.returned.is_none()) {
            return true;
        }
        let before = all.iter().filter_map(|call| calls[*call].0.returned).min().unwrap();
        for call in all {
            let fits = calls[call].0.invoked <= before;
            if let Some(then) = after(&state, calls[call].1).filter(|_| fits) {
                taken.push(call);
                let found = by_force(calls, taken, then);
                taken.pop();
                if found {
                    return true;
                }
            }
        }
        false
    }

    #[test]
    fn finds_what_trying_all_orders_finds() {
        let mut random = StdRng::seed_from_u64(7);
        let (mut explained, mut not) = (0, 0);
        for _ in 0..20_000 {
            let count = random.random_range(1..7);
            let mut events: Vec<u64> = Vec::new();
            while events.len() < 2 * count {
                let event = random.random_range(0..1000);
                if !events.contains(&event) {
                    events.push(event);
                }
            }
            let mut calls: Vec<_> = (0..count)
                .map(|at| {
                    let (a, b) = (events[2 * at], events[2 * at + 1]);
                    let value = random.random_range(0..3);
                    let write = random.random::<bool>();
                    let call = if write { Call::Write(value) } else { Call::Read(value) };
                    let optional = write && random.random_range(0..3) == 0;
                    interval(a.min(b), (!optional).then_some(a.max(b)), call)
                })
                .collect();
            calls.sort_by_key(|(interval, _)| interval.invoked);
            let expected = by_force(&calls, &mut Vec::new(), 0);
            assert_eq!(run(&calls) == Found::Order, expected, "{calls:?}");
            if expected { explained += 1 } else { not += 1 }
        }
        assert!(explained > 2000 && not > 2000, "{explained} {not}");
    }

    #[test]
    fn gives_up_and_says_so() {
        // Concurrent writes, and a read of what nobody wrote.
        let mut calls: Vec<_> =
            (0..12).map(|at| interval(at, Some(100 + at), Call::Write(at as u8))).collect();
        calls.push(interval(50, Some(99), Call::Read(77)));
        let intervals: Vec<_> = calls.iter().map(|(interval, _)| *interval).collect();
        let found =
            |states_max| search(&intervals, 0, |state, index| after(state, calls[index].1), 1, states_max);
        assert_eq!(found(100), Found::Undecided);
        let Found::None { explained, next, .. } = found(1 << 20) else { panic!("nobody wrote it") };
        assert_eq!((explained, next.last()), (12, Some(&12)));
    }
}
