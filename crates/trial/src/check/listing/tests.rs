use super::*;
use crate::{
    check::sample::{Story, listed, lost, page, v, written},
    history::{After, ObjectSeen, Outcome},
};

fn only(story: &Story) -> String {
    let found = check(&story.history);
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].what.clone()
}

fn accepted(story: &Story) {
    assert_eq!(check(&story.history), []);
}

/// A page of what begins with `a`, two at the most, by itself.
fn list(
    story: &mut Story,
    after: Option<After>,
    objects: Vec<ObjectSeen>,
    prefixes: &[&str],
    next: Option<After>,
) {
    let operation =
        Operation::List { prefix: "a".into(), delimiter: Some("/".into()), after, limit: 2, at: None };
    let Outcome::Ok(Seen::Page(page)) = page(objects, prefixes) else { unreachable!("it is one") };
    story.call(operation, Outcome::Ok(Seen::Page(PageSeen { next, ..page })));
}

#[test]
fn what_is_there_is_listed() {
    let mut story = Story::new();
    story.list(vec![], &[]);
    let a = story.put("a", v(1));
    story.put("d/1", v(2));
    let b = story.put("b", v(3));
    story.list(vec![listed("a", v(1), a), listed("b", v(3), b)], &["d/"]);
    story.delete("d/1", v(4));
    story.delete("a", v(5));
    story.list(vec![listed("b", v(3), b)], &[]);
    accepted(&story);
}

#[test]
fn what_happens_meanwhile_may_be_listed_or_not() {
    for seen in [false, true] {
        let mut story = Story::new();
        let slow = story.begin_list("");
        let a = story.put("a", v(1));
        story.end(slow, page(if seen { vec![listed("a", v(1), a)] } else { vec![] }, &[]));
        accepted(&story);
    }
}

#[test]
fn a_page_of_two_heights_is_found() {
    let mut story = Story::new();
    let slow = story.begin_list("");
    story.put("a", v(1));
    let b = story.put("b", v(2));
    story.end(slow, page(vec![listed("b", v(2), b)], &[]));
    assert!(only(&story).contains("at no height it is so"));
}

#[test]
fn all_of_a_block_is_listed_or_nothing() {
    let mut story = Story::new();
    let (slow, a) = (story.begin_list(""), story.put("a", v(1)));
    story.put("b", VersionId { index: 1, ..v(1) });
    story.end(slow, page(vec![listed("a", v(1), a)], &[]));
    assert!(only(&story).contains("for b"));
    let (slow, b2) = (story.begin_list(""), story.put("b", v(2)));
    story.end(slow, page(vec![listed("a", v(1), a), listed("b", v(2), b2)], &[]));
    assert_eq!(check(&story.history).len(), 1);
}

#[test]
fn a_missing_object_is_found() {
    let mut story = Story::new();
    story.put("a", v(1));
    story.list(vec![], &[]);
    assert!(only(&story).contains("for a"));
}

#[test]
fn a_missing_prefix_is_found() {
    let mut story = Story::new();
    story.put("d/1", v(1));
    story.list(vec![], &[]);
    assert!(only(&story).contains("for d/1"));
}

#[test]
fn an_old_version_is_found() {
    let mut story = Story::new();
    let a = story.put("a", v(1));
    story.put("a", v(2));
    story.list(vec![listed("a", v(1), a)], &[]);
    assert!(only(&story).contains("for a"));
}

#[test]
fn what_was_deleted_and_a_prefix_of_nothing_are_found() {
    let mut story = Story::new();
    let a = story.put("a", v(1));
    story.delete("a", v(2));
    story.list(vec![listed("a", v(1), a)], &[]);
    assert!(only(&story).contains("for a"));
    let mut story = Story::new();
    story.put("d/1", v(1));
    story.delete("d/1", v(2));
    story.list(vec![], &["d/"]);
    assert!(only(&story).contains("begins with d/"));
    let mut story = Story::new();
    story.list(vec![], &["d/"]);
    assert!(only(&story).contains("begins with d/"));
}

#[test]
fn what_was_written_later_is_found() {
    let mut story = Story::new();
    let later = story.history.calls.len() as u64 + 1;
    story.list(vec![listed("a", v(3), later)], &[]);
    story.put("a", v(3));
    assert!(only(&story).contains("at no height"));
}

#[test]
fn writes_of_unknown_outcome_explain_what_is_missing_or_rolled_up() {
    let mut story = Story::new();
    story.put("a", v(1));
    let delete = story.begin_delete("a");
    story.end(delete, lost());
    story.lost_put("d/1");
    story.list(vec![], &["d/"]);
    story.list(vec![], &[]);
    accepted(&story);
    let mut story = Story::new();
    story.put("a", v(1));
    story.list(vec![], &["d/"]);
    let delete = story.begin_delete("a");
    story.end(delete, lost());
    story.lost_put("d/1");
    assert!(only(&story).contains("at no height"), "they were asked for later");
}

#[test]
fn pages_tell_of_their_part_only() {
    let mut story = Story::new();
    let (a, c) = (story.put("a", v(1)), story.put("ac", v(2)));
    story.put("a/1", v(3));
    story.put("a/2", v(4));
    story.put("b", v(5));
    let prefix = || Some(After::Prefix("a/".into()));
    list(&mut story, None, vec![listed("a", v(1), a)], &["a/"], prefix());
    list(&mut story, prefix(), vec![listed("ac", v(2), c)], &[], None);
    list(&mut story, Some(After::Key("a/1".into())), vec![listed("ac", v(2), c)], &["a/"], None);
    accepted(&story);
    list(&mut story, Some(After::Key("a/1".into())), vec![listed("ac", v(2), c)], &[], None);
    assert!(only(&story).contains("for a/2"));
}

#[test]
fn pages_that_do_not_fit_the_request_are_found() {
    let wrong = |objects: &[&str], prefixes: &[&str], after: Option<After>, next: Option<After>| {
        let mut story = Story::new();
        let seen: Vec<_> = objects.iter().map(|key| listed(key, v(1), 0)).collect();
        list(&mut story, after, seen, prefixes, next);
        only(&story)
    };
    let key = |key: &str| Some(After::Key(key.into()));
    let (behind_d, behind_ad) = (key("ad"), Some(After::Prefix("ad/".into())));
    assert!(wrong(&["ab", "aa"], &[], None, None).contains("not in order"));
    assert!(wrong(&["aa", "aa"], &[], None, None).contains("not in order"));
    assert!(wrong(&[], &["a/", "a/"], None, None).contains("not in order"));
    assert!(wrong(&["aa", "ab"], &["ac/"], None, None).contains("more than was asked for"));
    assert!(wrong(&["b"], &[], None, None).contains("out of its reach"));
    assert!(wrong(&["aa"], &[], behind_d.clone(), None).contains("out of its reach"));
    assert!(wrong(&["az"], &[], None, behind_d.clone()).contains("out of its reach"));
    assert!(wrong(&[], &["ac/"], behind_d, None).contains("out of its reach"));
    assert!(wrong(&[], &["ad/"], behind_ad, None).contains("out of its reach"));
    assert!(wrong(&["a/b"], &[], None, None).contains("belongs into a common prefix"));
    assert!(wrong(&[], &["a/b"], None, None).contains("common prefix that is none"));
    assert!(wrong(&[], &["b/"], None, None).contains("common prefix that is none"));
    assert!(wrong(&[], &[], None, key("a")).contains("goes on"));
}

#[test]
fn heights_that_contradict_one_another_are_found() {
    let mut story = Story::new();
    story.put("a", v(9));
    story.list(vec![listed("a", v(9), 0)], &[]);
    let put = story.begin_put("b", crate::history::Condition::None);
    story.end(put, written(v(3)));
    assert!(only(&story).contains("younger than what was written after"));
}
