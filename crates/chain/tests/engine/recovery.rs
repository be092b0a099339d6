//! More than f are lost for good: with their approvers' decision the survivors go on, with others in the lost ones' places.

use super::*;
use proof::{finality::FinalizedHeader, lineage::Recovery};

type Running = (Engine<deterministic::Context>, Handle<()>);

async fn kill(running: Running) {
    running.1.abort();
    let _ = running.1.await;
}

/// The highest block that these have a certificate of, with that.
async fn highest(survivors: &[&Engine<deterministic::Context>]) -> FinalizedHeader {
    let mut highest: Option<FinalizedHeader> = None;
    for engine in survivors {
        let told = engine.applied.newest_height();
        for height in told.saturating_sub(3)..=told + 3 {
            let Some(made) = engine.blocks.get_finalization(Height::new(height)).await else { continue };
            let header = block(engine, height).await.header.clone();
            let found = FinalizedHeader {
                header,
                descendants: List::default(),
                finalization: engine::to_proof(&made),
            };
            highest = highest.filter(|highest| highest.header.height >= height).or(Some(found));
        }
    }
    highest.expect("they have certificates")
}

/// The network in which these keys have the places, from this block on.
fn recover(founders: &Founders, nodes: Vec<SecretKey>, last: FinalizedHeader) -> Arc<Founders> {
    let terms = founders.lineage.terms(nodes.iter().map(SecretKey::public_key).collect(), last).unwrap();
    // The tenant is the one approver here.
    let approvals = List::new(vec![terms.approve(&founders.tenant)]).unwrap();
    let mut lineage = founders.lineage.clone();
    lineage.recover(Recovery { terms, approvals }).unwrap();
    let (genesis, tenant) = (founders.genesis.clone(), founders.tenant.clone());
    Arc::new(Founders { genesis, lineage, nodes, tenant })
}

#[test]
fn survivors_and_replacements_go_on_from_the_highest_block_that_any_has() {
    deterministic::Runner::timed(Duration::from_secs(600)).start(|context| async move {
        let first = Arc::new(founders(4));
        // Sorted, they would not be in the places that they take.
        let new = [SecretKey::from_seed([200; 32]), SecretKey::from_seed([201; 32])];
        let all = first.nodes.iter().chain(&new).map(|key| engine_key(&key.public_key())).collect();
        let oracle = links_of(&context, all).await;
        let partition = |index: usize, life: &str| format!("node-{index}-{life}");
        let mut engines = Vec::new();
        for index in 0..4 {
            engines.push(
                launch_in(&context, &first, &oracle, index, Claim::First, partition(index, "first")).await,
            );
        }
        for (engine, _) in &engines {
            proved(engine, 6).await;
        }
        // One survivor falls behind; then the two others are lost with all that they have.
        let behind = engines.remove(2);
        let reached = behind.0.applied.newest_height();
        kill(behind).await;
        proved(&engines[0].0, reached + 5).await;
        let last = highest(&[&engines[0].0]).await;
        for running in engines.drain(..) {
            kill(running).await;
        }
        assert!(last.header.height >= reached + 5);

        let mut nodes = first.nodes.clone();
        [nodes[1], nodes[3]] = new;
        let second = recover(&first, nodes, last.clone());
        for (index, life) in [(0, "first"), (1, "second"), (2, "first"), (3, "second")] {
            engines.push(
                launch_in(&context, &second, &oracle, index, Claim::First, partition(index, life)).await,
            );
        }
        for (engine, _) in &engines {
            stands(&context, engine, |stance| *stance == Stance::Voter).await;
        }
        let next = last.header.height + 1;
        for (engine, _) in &engines {
            proved(engine, next + 6).await;
            second.lineage.verify(&engine.applied.newest().unwrap()).unwrap();
            for height in [1, last.header.height, next, next + 6] {
                assert_eq!(block(engine, height).await.header, block(&engines[0].0, height).await.header);
            }
        }
        let header = block(&engines[1].0, next).await.header.clone();
        assert_eq!((header.epoch, header.parent, header.parent_view), (1, last.header.digest(), 0));
        assert_eq!(
            block(&engines[1].0, next - 1).await.header,
            last.header,
            "fetched from the one who had it"
        );

        // It takes transactions, and goes on without one of the new ones.
        kill(engines.pop().unwrap()).await;
        let now_ms = context.current().epoch_millis();
        let signed = second.create_bucket("bucket", now_ms);
        let fate = engines[2].0.applied.wait(signed.transaction.id());
        engines[2].0.mempool.insert(Arc::new(signed), Signatory::Entitled, now_ms).unwrap();
        let Fate::Included(inclusion) = fate.await.unwrap() else { panic!("expired") };
        assert_eq!(inclusion.outcome, 0);
        second.lineage.verify(&inclusion.block).unwrap();
        assert!(
            first.lineage.verify(&inclusion.block).is_err(),
            "who does not know of the recovery cannot tell"
        );

        // A survivor that is started again remembers its votes of this epoch, and one that lost them goes through quarantine.
        let reached = proved(&engines[0].0, 1).await;
        kill(engines.remove(0)).await;
        let again = launch_in(&context, &second, &oracle, 0, Claim::Journal(0), partition(0, "first")).await;
        stands(&context, &again.0, |stance| *stance == Stance::Voter).await;
        assert!(proved(&again.0, reached).await >= reached);
        assert_eq!(oracle.blocked().await.unwrap(), [], "nobody contradicted itself");
    });
}

/// All four are there, but two lost their votes: nobody else may be needed, only a decision.
#[test]
fn the_same_nodes_may_go_on_and_a_second_recovery_may_follow_at_once() {
    deterministic::Runner::timed(Duration::from_secs(600)).start(|context| async move {
        let first = Arc::new(founders(4));
        let oracle = links(&context, &first).await;
        let partition = |index: usize| format!("node-{index}");
        let mut engines = Vec::new();
        for index in 0..4 {
            engines.push(launch_in(&context, &first, &oracle, index, Claim::First, partition(index)).await);
        }
        for (engine, _) in &engines {
            proved(engine, 6).await;
        }
        let last = highest(&engines.iter().map(|(engine, _)| engine).collect::<Vec<_>>()).await;
        for running in engines.drain(..) {
            kill(running).await;
        }
        let second = recover(&first, first.nodes.clone(), last.clone());
        let third = recover(&second, first.nodes.clone(), last.clone());
        for index in 0..4 {
            engines.push(launch_in(&context, &third, &oracle, index, Claim::First, partition(index)).await);
        }
        let next = last.header.height + 1;
        for (engine, _) in &engines {
            proved(engine, next + 4).await;
            third.lineage.verify(&engine.applied.newest().unwrap()).unwrap();
        }
        assert_eq!(block(&engines[2].0, next).await.header.epoch, 2);
    });
}
