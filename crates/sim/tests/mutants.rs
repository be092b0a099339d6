//! The mutants fit the code, so that they can be made when they are needed.

use sim::mutants::{all, mutated};

#[test]
fn every_mutant_fits_the_code() {
    let mutants = all().unwrap();
    assert!(mutants.len() >= 6, "there are {}", mutants.len());
    let changed = mutated(&mutants).unwrap();
    for mutant in &mutants {
        assert!(!mutant.edits.is_empty() && mutant.seeds > 0, "{}", mutant.name);
        let switch = format!("on == {:?}", mutant.name);
        assert!(changed.values().any(|text| text.contains(&switch)), "{} has no switch", mutant.name);
    }
}

#[test]
fn a_mutant_that_does_not_fit_is_named() {
    let mut mutant = all().unwrap().remove(0);
    mutant.edits[0].find = "no such text anywhere".into();
    let error = mutated(&[mutant.clone()]).unwrap_err().to_string();
    assert!(error.contains(&mutant.name) && error.contains("0 times"), "{error}");
}
