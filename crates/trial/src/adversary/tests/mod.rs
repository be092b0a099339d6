//! What each adversary does, without the engine.

mod at_the_door;
mod to_others;

use super::Adversary;

#[test]
fn names_are_read_back() {
    for adversary in Adversary::ALL {
        assert_eq!(adversary.to_string().parse(), Ok(adversary));
    }
    assert!("saint".parse::<Adversary>().is_err());
}
