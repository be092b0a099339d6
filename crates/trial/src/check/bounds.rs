//! Bounds: no queue and no memory is over its limit.

use super::Violation;

/// A queue, or whatever else is bounded, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name, with its unit.
    pub name: &'static str,
    /// How much is in it.
    pub value: usize,
    /// How much may be.
    pub limit: usize,
}

/// What is bounded in one place at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The node or gateway.
    pub place: String,
    /// Virtual time, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// All that is bounded there.
    pub queues: Vec<Queue>,
}

/// Judges samples.
pub fn check(samples: &[Sample]) -> Vec<Violation> {
    let over = |sample: &Sample| {
        let Sample { place, time_ms, queues } = sample.clone();
        let over = queues.into_iter().filter(|queue| queue.value > queue.limit);
        over.map(move |Queue { name, value, limit }| Violation {
            checker: "bounds",
            what: format!("{place} at {time_ms} ms: {name} is {value}, and its limit {limit}"),
        })
    };
    samples.iter().flat_map(over).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_over_its_limit_is_found() {
        let queue = |value| Queue { name: "requests", value, limit: 10 };
        let sample = |queues| Sample { place: "node 1".into(), time_ms: 5, queues };
        assert_eq!(check(&[sample(vec![queue(0), queue(10)])]), []);
        let found = check(&[sample(vec![queue(9), queue(11)])]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].what, "node 1 at 5 ms: requests is 11, and its limit 10");
    }
}
