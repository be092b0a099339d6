use super::*;

/// When each node is faulty, per the plan: from, to.
fn spans(plan: &Plan) -> Vec<(usize, u64, u64)> {
    let mut spans: Vec<_> = plan.adversaries.keys().map(|node| (*node, 0, u64::MAX)).collect();
    for (at_ms, fault) in &plan.faults {
        match fault {
            Fault::Crash { node, for_ms, .. }
            | Fault::Storage { node, for_ms, .. }
            | Fault::DiskErrors { node, for_ms, .. }
            | Fault::DiskFull { node, for_ms }
            | Fault::DiskSlow { node, for_ms, .. }
            | Fault::Cut { node, for_ms, .. }
            | Fault::Slow { node, for_ms, .. }
            | Fault::Clock { node, for_ms, .. } => spans.push((*node, *at_ms, at_ms + for_ms)),
            Fault::Wipe { node, .. }
            | Fault::Rollback { node, .. }
            | Fault::Twin { node, .. }
            | Fault::Forgetful { node, .. }
            | Fault::Rotten { node, .. } => {
                spans.push((*node, *at_ms, u64::MAX));
            }
            _ => {}
        }
    }
    spans
}

#[test]
fn at_most_f_nodes_are_faulty_at_a_time() {
    let wishes = Wishes { kind: Some(Kind::Within), ..Wishes::default() };
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..2_000 {
        let plan = Plan::draw(seed, &wishes);
        let spans = spans(&plan);
        for (_, from, _) in &spans {
            let faulty: std::collections::BTreeSet<_> =
                spans.iter().filter(|(_, a, b)| a <= from && from < b).map(|(node, ..)| node).collect();
            assert!(faulty.len() <= plan.f(), "{plan}");
        }
        assert!(plan.faults.iter().all(|(at_ms, _)| *at_ms < plan.calm_ms), "{plan}");
        seen.extend(plan.faults.iter().map(|(_, fault)| fault.name()));
    }
    assert!(seen.len() >= 20, "every kind of fault is drawn: {seen:?}");
}

#[test]
fn beyond_loses_more_than_f_and_at_most_2f_disks() {
    let wishes = Wishes { kind: Some(Kind::Beyond), ..Wishes::default() };
    for seed in 0..200 {
        let plan = Plan::draw(seed, &wishes);
        let lost = (0..plan.n).filter(|node| plan.lasting(*node)).count();
        let lost = lost - plan.adversaries.len();
        assert!(lost > plan.f() && lost <= 2 * plan.f(), "{plan}");
    }
}

#[test]
fn where_all_are_hit_at_most_f_are_adversaries_and_who_lost_its_disk_is_none() {
    for kind in [Kind::Blackout, Kind::Beyond] {
        let wishes = Wishes { kind: Some(kind), ..Wishes::default() };
        let plans: Vec<Plan> = (0..200).map(|seed| Plan::draw(seed, &wishes)).collect();
        assert!(plans.iter().filter(|plan| !plan.adversaries.is_empty()).count() > 50);
        for plan in plans {
            assert!(plan.adversaries.len() <= plan.f(), "{plan}");
            for (_, fault) in &plan.faults {
                let Fault::Disks { nodes, .. } = fault else { continue };
                assert!(nodes.iter().all(|node| !plan.adversaries.contains_key(node)), "{plan}");
            }
        }
    }
}

#[test]
fn a_seed_is_a_plan() {
    let plan = |seed| Plan::draw(seed, &Wishes::default()).to_string();
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
}

#[test]
fn a_fault_that_is_wished_for_is_in_most_plans_and_no_other() {
    for name in ["storage wipe", "rollback", "one-way partition", "twin", "forgetful disk"] {
        let wishes = Wishes { kind: Some(Kind::Within), fault: Some(name.to_owned()), ..Wishes::default() };
        let plans: Vec<Plan> = (0..100).map(|seed| Plan::draw(seed, &wishes)).collect();
        let of = |plan: &Plan| plan.faults.iter().filter(|(_, fault)| fault.name() == name).count();
        assert!(plans.iter().filter(|plan| of(plan) > 0).count() > 90, "{name}");
        let others =
            |plan: &&Plan| plan.faults.iter().any(|(_, fault)| ![name, "snapshot"].contains(&fault.name()));
        assert_eq!(plans.iter().find(others).map(ToString::to_string), None);
    }
}

#[test]
fn a_drill_is_of_a_node_that_is_whole() {
    let plans: Vec<Plan> = (0..500).map(|seed| Plan::draw(seed, &Wishes::default())).collect();
    let drilled: Vec<_> = plans.iter().filter_map(|plan| Some((plan, plan.drill?))).collect();
    assert!(drilled.len() > 100);
    for (plan, node) in drilled {
        assert!(plan.kind == Kind::Within && !plan.lasting(node) && plan.heals(node), "{plan}");
    }
}

#[test]
fn a_disaster_takes_all_faulty_nodes_and_leaves_what_decodes() {
    let (mut seen, mut behind, mut again) = (0, 0, 0);
    for seed in 0..2_000 {
        let plan = Plan::draw(seed, &Wishes::default());
        let Some(disaster) = &plan.disaster else { continue };
        seen += 1;
        behind += disaster.behind.len();
        again += disaster.again.len();
        let lost: std::collections::BTreeSet<_> = disaster.lost.iter().copied().collect();
        assert_eq!(lost.len(), disaster.lost.len(), "{plan}");
        assert!(lost.len() > plan.f() && lost.len() <= 2 * plan.f(), "{plan}");
        assert!((0..plan.n).all(|node| lost.contains(&node) || plan.heals(node)), "{plan}");
        assert!(disaster.behind.len() <= plan.f(), "{plan}");
        assert!(disaster.behind.iter().all(|(node, _)| !lost.contains(node)), "{plan}");
    }
    assert!(seen > 200 && behind > 100 && again > 100, "{seen} {behind} {again}");
}
