use super::*;
use crate::{
    check::sample::{Story, hide, listed, lost, read, v, versions, written},
    history::Condition,
};

fn only(story: &Story) -> String {
    let found = check(&story.history);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].what.clone()
}

fn accepted(story: &Story) {
    assert_eq!(check(&story.history), []);
}

/// A write on a condition by itself.
fn write(story: &mut Story, condition: Condition, outcome: Outcome) -> u64 {
    let call = story.begin_put("k", condition);
    story.end(call, outcome);
    call
}

fn failed() -> Outcome {
    Outcome::Refused(Refusal::PreconditionFailed)
}

#[test]
fn one_after_another_is_explained() {
    let mut story = Story::new();
    story.absent("k", None);
    let first = story.put("k", v(1));
    story.get("k", v(1), first);
    write(&mut story, Condition::IfAbsent, failed());
    let second = write(&mut story, Condition::IfVersion(v(1)), written(v(2)));
    write(&mut story, Condition::IfVersion(v(1)), failed());
    story.list(vec![listed("k", v(2), second)], &[]);
    story.delete("k", v(3));
    story.absent("k", Some(v(3)));
    write(&mut story, Condition::IfVersion(v(2)), failed());
    write(&mut story, Condition::IfAbsent, written(v(4)));
    accepted(&story);
}

#[test]
fn concurrent_calls_may_take_either_order() {
    let mut story = Story::new();
    let first = story.put("k", v(1));
    let slow = story.begin_put("k", Condition::None);
    story.get("k", v(1), first);
    story.get("k", v(2), slow);
    story.end(slow, written(v(2)));
    accepted(&story);
}

#[test]
fn a_stale_read_is_found() {
    let mut story = Story::new();
    let first = story.put("k", v(1));
    story.put("k", v(2));
    story.get("k", v(1), first);
    assert!(only(&story).contains("no order explains the calls of k: after 2 of 3, it has v2.0.0"));
}

#[test]
fn a_read_that_goes_back_during_a_write_is_found() {
    let mut story = Story::new();
    let first = story.put("k", v(1));
    let slow = story.begin_put("k", Condition::None);
    story.get("k", v(2), slow);
    story.get("k", v(1), first);
    story.end(slow, written(v(2)));
    assert!(only(&story).contains("no order"));
}

#[test]
fn a_stale_listing_is_found() {
    let mut story = Story::new();
    let first = story.put("k", v(1));
    story.delete("k", v(2));
    story.list(vec![listed("k", v(1), first)], &[]);
    assert!(only(&story).contains("no order"));
}

#[test]
fn an_object_before_it_was_written_is_found() {
    let mut story = Story::new();
    let get = story.begin(0, read("k", None));
    let outcome = story.object("k", v(1), get + 1, 0..9);
    story.end(get, outcome);
    story.put("k", v(1));
    assert!(!check(&story.history).is_empty());
}

#[test]
fn two_that_created_one_object_are_found() {
    let mut story = Story::new();
    let (a, b) = (story.begin_put("k", Condition::IfAbsent), story.begin_put("k", Condition::IfAbsent));
    story.end(a, written(v(1)));
    story.end(b, written(v(2)));
    assert!(only(&story).contains("no order"));
}

#[test]
fn two_that_replaced_one_version_are_found() {
    let mut story = Story::new();
    story.put("k", v(1));
    let replace = Condition::IfVersion(v(1));
    let (a, b) = (story.begin_put("k", replace), story.begin_put("k", replace));
    story.end(a, written(v(2)));
    story.end(b, written(v(3)));
    assert!(only(&story).contains("no order"));
}

#[test]
fn a_condition_that_held_and_was_said_to_fail_is_found() {
    let mut story = Story::new();
    write(&mut story, Condition::IfAbsent, failed());
    assert!(only(&story).contains("it has nothing"));
    let mut story = Story::new();
    story.put("k", v(1));
    write(&mut story, Condition::IfVersion(v(1)), failed());
    assert!(only(&story).contains("no order"));
    let mut story = Story::new();
    write(&mut story, Condition::None, failed());
    assert!(only(&story).contains("no order"));
}

#[test]
fn a_write_of_unknown_outcome_may_take_effect_late_or_never() {
    let mut story = Story::new();
    let first = story.put("k", v(1));
    let unknown = story.lost_put("k");
    story.get("k", v(1), first);
    story.get("k", v(2), unknown);
    story.lost_put("k");
    story.get("k", v(2), unknown);
    accepted(&story);
    story.get("k", v(1), first);
    assert!(only(&story).contains("no order"), "it took effect once");
}

#[test]
fn a_write_that_nobody_saw_explains_a_condition_that_failed() {
    let mut story = Story::new();
    story.lost_put("k");
    write(&mut story, Condition::IfAbsent, failed());
    accepted(&story);
    let mut story = Story::new();
    write(&mut story, Condition::IfAbsent, failed());
    story.lost_put("k");
    assert!(only(&story).contains("no order"), "it was asked for later");
}

#[test]
fn a_delete_that_was_not_acknowledged_explains_a_marker() {
    let mut story = Story::new();
    let first = story.put("k", v(1));
    let delete = story.begin_delete("k");
    story.end(delete, lost());
    story.get("k", v(1), first);
    story.absent("k", Some(v(2)));
    story.absent("k", Some(v(2)));
    accepted(&story);
    story.absent("k", Some(v(3)));
    assert!(only(&story).contains("marker v2.0.0"), "one delete, one marker");
    let mut story = Story::new();
    story.put("k", v(2));
    let delete = story.begin_delete("k");
    story.end(delete, lost());
    story.absent("k", Some(v(1)));
    assert!(only(&story).contains("no order"), "a marker is younger than what it hides");
}

#[test]
fn a_delete_that_nobody_saw_explains_an_object_created_after_it() {
    let mut story = Story::new();
    story.put("k", v(1));
    let delete = story.begin_delete("k");
    story.end(delete, lost());
    write(&mut story, Condition::IfAbsent, written(v(5)));
    accepted(&story);
}

#[test]
fn versions_that_are_not_ordered_by_age_are_found() {
    let mut story = Story::new();
    story.put("a", v(5));
    story.put("b", v(4));
    assert!(only(&story).contains("was known before, and is not older"));
}

#[test]
fn what_cannot_be_decided_is_not_passed() {
    let mut story = Story::new();
    story.put("k", v(1));
    story.absent("k", None);
    let found = bounded(&story.history, 1);
    assert!(found[0].what.contains("undecided"));
}

#[test]
fn hundreds_of_calls_are_judged_at_once() {
    // Ten clients on one key. Every tenth write has no known outcome and is never seen, or is seen much later.
    let mut story = Story::new();
    let mut open: Vec<(u64, Outcome)> = Vec::new();
    let (mut newest, mut height) = (None, 0);
    for round in 0..600u64 {
        if open.len() == 10 {
            let (call, outcome) = open.remove((round % 10) as usize);
            story.end(call, outcome);
        }
        let (call, outcome) = match round % 3 {
            0 => {
                let call = story.begin_put("k", Condition::None);
                if round % 30 == 0 {
                    (call, lost())
                } else {
                    height += 1;
                    newest = Some((v(height), call));
                    (call, written(v(height)))
                }
            }
            1 if round % 7 == 0 => match newest {
                Some((version, _)) => {
                    let call = story.begin_put("k", Condition::IfVersion(version));
                    height += 1;
                    newest = Some((v(height), call));
                    (call, written(v(height)))
                }
                None => continue,
            },
            1 => (story.begin_put("k", Condition::IfAbsent), failed()),
            _ => {
                let Some((version, write)) = newest else { continue };
                let call = story.begin(0, read("k", None));
                (call, story.object("k", version, write, 0..9))
            }
        };
        open.push((call, outcome));
    }
    accepted(&story);
    let first = story.history.call(0).unwrap().id;
    story.get("k", v(1), first);
    assert!(!check(&story.history).is_empty());
}

#[test]
fn what_is_hidden_uncovers_what_is_below() {
    let mut story = Story::new();
    let (first, second) = (story.put("k", v(1)), story.put("k", v(2)));
    story.hide("k", v(2));
    story.get("k", v(1), first);
    write(&mut story, Condition::IfVersion(v(2)), failed());
    story.call(hide("k", v(2)), Outcome::Ok(Seen::Hidden(vec![])));
    story.hide("k", v(1));
    story.absent("k", None);
    story.undelete("k", 1);
    story.get("k", v(2), second);
    story.undelete("k", 0);
    story.delete("k", v(3));
    story.undelete("k", 1);
    story.get("k", v(2), second);
    let page = [(3, None, false, Some(4)), (2, Some(second), true, None)];
    let list =
        Operation::ListVersions { prefix: String::new(), hidden: true, after: None, limit: 9, at: None };
    story.call(list, versions("k", page.into_iter()));
    write(&mut story, Condition::IfAbsent, failed());
    accepted(&story);
}

#[test]
fn a_hidden_version_that_is_current_is_found() {
    let mut story = Story::new();
    let (_, second) = (story.put("k", v(1)), story.put("k", v(2)));
    story.hide("k", v(2));
    story.get("k", v(2), second);
    assert!(only(&story).contains("it has v1.0.0"));
}

#[test]
fn hiding_twice_and_undeleting_what_is_there_are_found() {
    let mut story = Story::new();
    story.put("k", v(1));
    story.hide("k", v(1));
    story.hide("k", v(1));
    assert!(only(&story).contains("it has nothing"));
    let mut story = Story::new();
    story.put("k", v(1));
    story.undelete("k", 1);
    assert!(only(&story).contains("it has v1.0.0"));
    let mut story = Story::new();
    story.put("k", v(1));
    story.delete("k", v(2));
    story.undelete("k", 0);
    assert!(only(&story).contains("it has marker"));
}

#[test]
fn several_of_unknown_outcome_may_explain_one_read() {
    let tell = |hidden: &[u64]| {
        let mut story = Story::new();
        let first = story.put("k", v(1));
        story.put("k", v(2));
        story.put("k", v(3));
        for version in hidden {
            let lost_one = story.begin(1, hide("k", v(*version)));
            story.end(lost_one, lost());
        }
        story.get("k", v(1), first);
        check(&story.history).len()
    };
    assert_eq!((tell(&[2, 3]), tell(&[3, 2]), tell(&[3]), tell(&[2]), tell(&[])), (0, 0, 1, 1, 1));
}

#[test]
fn a_marker_of_unknown_outcome_may_lie_below_what_was_hidden() {
    let mut story = Story::new();
    story.put("k", v(1));
    let delete = story.begin_delete("k");
    story.end(delete, lost());
    story.put("k", v(9));
    story.hide("k", v(9));
    story.absent("k", Some(v(5)));
    story.hide("k", v(5));
    accepted(&story);
}
