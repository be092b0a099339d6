//! `outlast recover`: go on with other nodes when more than f are lost for good. The work is in [`crate::recovery`].

use crate::{
    bare,
    cli::Global,
    failure::{Exit, Failure},
    files::{self, Lock, NewFile},
    founding::{self, NodeAddresses},
    keys, layout,
    recovery::{self, Installed, Moved, here},
};
use clap::{Args, Subcommand};
use proof::{Lineage, PublicKey, lineage::Recovery};
use serde_json::{Value, json};
use std::{collections::BTreeSet, path::PathBuf};

/// Go on with other nodes when more than f are lost for good
///
/// While at most f of 3f + 1 nodes are lost, nothing is to be done but to start them again, empty if need be. When more
/// have lost their disks with what they voted for, the others cannot decide anything any more. The approvers may then let
/// the network go on: from the highest block that any survivor has, in a new epoch, with new nodes in the places of lost
/// ones. Nothing that was acknowledged is left behind, for up to 2f lost nodes.
///
/// Without a subcommand it does all of that for the network of `outlast up`, which must not be running: it tells what the
/// survivors have, and goes on if nothing is missing. Where nodes and approvers are apart, see the subcommands and
/// docs/operations.md.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  outlast recover --look-only                 what the survivors have; changes nothing
  outlast recover                             go on, with the nodes in their places
  outlast recover --replace node-2            ... and a new key for node-2, which somebody else may have

  outlast recover draft /mnt/node-0/data /mnt/node-3/data --genesis genesis --out recovery --replace node-1=KEY
  outlast recover show recovery --genesis genesis                              look before you sign
  outlast recover approve recovery --genesis genesis --key approver-0.key      each approver
  outlast recover install recovery node.toml                                   each node; gateway.toml each gateway"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    step: Option<Step>,
    /// Tell what the survivors have, and change nothing
    #[arg(long)]
    look_only: bool,
    /// A node that gets a new key although its key is there
    #[arg(long, value_name = "node-N", value_parser = parse_name)]
    replace: Vec<usize>,
    /// Begin a new epoch although at most f nodes are lost
    #[arg(long)]
    even_so: bool,
    /// Go on although some versions have too few shards
    #[arg(long)]
    accept_loss: bool,
}

#[derive(Debug, Subcommand)]
enum Step {
    Draft(Draft),
    Show(Show),
    Approve(Approve),
    Install(Install),
    Replacement(Replacement),
}

/// Write a recovery for the approvers to sign, from what survivors have
#[derive(Debug, Args)]
struct Draft {
    /// The survivors' directories, or copies of them; none of their nodes may be running
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// The network's genesis file
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    /// Where to write the recovery
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A node with this public key takes the place of a lost one
    #[arg(long, value_name = "node-N=KEY", value_parser = parse_replacement)]
    replace: Vec<(usize, PublicKey)>,
    /// Draft it although some versions have too few shards
    #[arg(long)]
    accept_loss: bool,
}

/// Tell what a recovery says, and who approved it so far
#[derive(Debug, Args)]
struct Show {
    /// The recovery
    recovery: PathBuf,
    /// The network's genesis file
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
}

/// Sign a recovery as an approver, after having looked at it
#[derive(Debug, Args)]
struct Approve {
    /// The recovery; the signature is added to the file
    recovery: PathBuf,
    /// The network's genesis file
    #[arg(long, value_name = "FILE")]
    genesis: PathBuf,
    /// The approver's key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Put an approved recovery into configurations of nodes and gateways; start them afterwards
///
/// The node must not be running. Writes the configuration with the new nodes' keys, a permit to vote in the new epoch, and
/// at last the genesis file that the configuration names. Doing it again does no harm.
#[derive(Debug, Args)]
struct Install {
    /// The approved recovery
    recovery: PathBuf,
    /// node.toml or gateway.toml files on this machine
    #[arg(required = true, value_name = "CONFIG")]
    configs: Vec<PathBuf>,
    /// A node is found elsewhere than the one in its place was
    #[arg(long, value_name = "node-N=IP:PORT:PORT", value_parser = parse_moved)]
    moved: Vec<(usize, NodeAddresses)>,
}

/// Make the directory of a new node that is to take the place of a lost one, with a key of its own
#[derive(Debug, Args)]
struct Replacement {
    /// The configuration of any other node of the network
    #[arg(long, value_name = "FILE")]
    like: PathBuf,
    /// The directory to make
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where the new node listens: its port for other nodes, and for gateways
    #[arg(long, value_name = "IP:PORT:PORT", value_parser = super::init::parse_node)]
    listen: NodeAddresses,
}

fn parse_name(text: &str) -> Result<usize, String> {
    let number = text.strip_prefix("node-").and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("{text} is no node's name: they are called node-0, node-1, ..."))
}

fn parse_replacement(text: &str) -> Result<(usize, PublicKey), String> {
    let (name, key) = text.split_once('=').ok_or("write node-N=KEY")?;
    let key = PublicKey::from_hex(key).ok_or("a public key has 64 lower-case hexadecimal digits")?;
    Ok((parse_name(name)?, key))
}

fn parse_moved(text: &str) -> Result<(usize, NodeAddresses), String> {
    let (name, addresses) = text.split_once('=').ok_or("write node-N=IP:PORT:PORT")?;
    Ok((parse_name(name)?, super::init::parse_node(addresses)?))
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.step {
        None => recover_here(global, arguments),
        Some(Step::Draft(arguments)) => draft(global, arguments),
        Some(Step::Show(arguments)) => show(global, arguments),
        Some(Step::Approve(arguments)) => approve(global, arguments),
        Some(Step::Install(arguments)) => install(global, arguments),
        Some(Step::Replacement(arguments)) => replacement(global, arguments),
    }
}

fn recover_here(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let layout = global.layout();
    let no_network = |failure: Failure| failure.hint("--dir or OUTLAST_DIR says where the network is");
    node::config::load_lineage(&layout.genesis()).map_err(Failure::from).map_err(no_network)?;
    let _lock = Lock::take(layout.root(), "outlast recover")?;
    let wishes = here::Wishes {
        replace: arguments.replace.iter().copied().collect::<BTreeSet<_>>(),
        unneeded: arguments.even_so,
        accept_loss: arguments.accept_loss,
        only_look: arguments.look_only,
    };
    let done = here::recover(global.output(), &layout, &wishes)?;
    let shown = json!({
        "survey": done.survey,
        "recovery": done.recovery.as_ref().map(|recovery| to_json(&done.lineage, recovery)),
        "installed": done.installed,
    });
    global.output().show(&shown, |_| {
        let mut lines: Vec<String> = done.survey.iter().map(bare::Survey::text).collect();
        if let Some(recovery) = &done.recovery {
            lines.extend(recovery::describe(&done.lineage, recovery));
            lines.push(
                "\nDone. Start the network with `outlast up`: nodes without data fetch and heal.".into(),
            );
        }
        lines.join("\n")
    })
}

fn draft(global: &Global, arguments: &Draft) -> Result<(), Failure> {
    let lineage = node::config::load_lineage(&arguments.genesis)?;
    let survey = bare::survey(global.output(), &lineage, &arguments.directories)?;
    if survey.unreadable > 0 && !arguments.accept_loss {
        let message =
            format!("{} of {} versions have too few shards here", survey.unreadable, survey.versions);
        return Err(Failure::new(Exit::Failed, message)
            .hint("name more survivors' directories; `outlast survey` tells all; --accept-loss drafts it all the same"));
    }
    let recovery = recovery::draft(&lineage, &survey, &arguments.replace)?;
    recovery::write(&arguments.out, &recovery)?;
    let shown = json!({ "survey": survey, "recovery": to_json(&lineage, &recovery), "file": arguments.out });
    global.output().show(&shown, |_| {
        let needed = lineage.genesis().approvals_needed;
        let mut lines = vec![survey.text()];
        lines.extend(recovery::describe(&lineage, &recovery));
        lines.push(format!(
            "\nWrote {}. Have {needed} approvers sign it, one after the other, with `outlast recover approve`.\n\
             Let them sign no other recovery for this epoch, ever.",
            arguments.out.display()
        ));
        lines.join("\n")
    })
}

fn show(global: &Global, arguments: &Show) -> Result<(), Failure> {
    let lineage = node::config::load_lineage(&arguments.genesis)?;
    let recovery = recovery::read(&arguments.recovery)?;
    recovery::check(&lineage, &recovery)?;
    show_recovery(global, &lineage, &recovery)
}

fn approve(global: &Global, arguments: &Approve) -> Result<(), Failure> {
    let lineage = node::config::load_lineage(&arguments.genesis)?;
    let key = node::config::load_key(&arguments.key)?;
    let mut recovery = recovery::read(&arguments.recovery)?;
    recovery::approve(&lineage, &mut recovery, &key)?;
    recovery::write(&arguments.recovery, &recovery)?;
    show_recovery(global, &lineage, &recovery)
}

fn install(global: &Global, arguments: &Install) -> Result<(), Failure> {
    let recovery = recovery::read(&arguments.recovery)?;
    let moved: Moved = arguments.moved.iter().copied().collect();
    let _locks = node_locks(&arguments.configs)?;
    let installed: Vec<Installed> = recovery::install(&arguments.configs, &recovery, &moved)?;
    global.output().show(&installed, |installed| {
        let line = |done: &Installed| {
            let what = done.node.map_or("a gateway".into(), |place| format!("node-{place}"));
            format!("installed      {} ({what}), {}", done.config.display(), done.genesis.display())
        };
        installed.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

/// Holds the directories of nodes whose configurations these are: none may be running.
fn node_locks(configs: &[PathBuf]) -> Result<Vec<Lock>, Failure> {
    let mut locks = Vec::new();
    for path in configs {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
        let Ok(config) = toml::from_str::<node::config::Config>(&text) else { continue };
        let directory = files::directory_of(path).join(config.directory);
        if directory.exists() {
            locks.push(Lock::take(&directory, "outlast recover install")?);
        }
    }
    Ok(locks)
}

fn replacement(global: &Global, arguments: &Replacement) -> Result<(), Failure> {
    let path = &arguments.like;
    let text = std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))?;
    let wrong = |error: toml::de::Error| {
        Failure::new(Exit::Configuration, format!("{} is no node's configuration: {error}", path.display()))
    };
    let like: node::config::Config = toml::from_str(&text).map_err(wrong)?;
    let lineage = node::config::load_lineage(&files::directory_of(path).join(&like.genesis))?;
    if arguments.out.exists() {
        return Err(Failure::new(Exit::Conflict, format!("{} exists already", arguments.out.display()))
            .hint("keys are never written over: choose another directory with --out"));
    }
    let key = keys::draw_signing();
    let config = node::config::Config {
        genesis: layout::GENESIS.into(),
        key: "node.key".into(),
        permit: "node.permit".into(),
        votes_directory: Some("votes".into()),
        directory: "data".into(),
        consensus_listen: founding::anywhere(arguments.listen.consensus),
        gateway_listen: founding::anywhere(arguments.listen.gateway),
        metrics_listen: None,
        nodes: like.nodes,
        shards: like.shards,
    };
    let toml = toml::to_string(&config).expect("a configuration is a TOML table");
    files::write_new(
        &arguments.out,
        &[
            NewFile::public("node.toml", toml),
            NewFile::secret("node.key", keys::to_file(&key.seed())),
            NewFile::public(layout::GENESIS, lineage.to_file()),
        ],
    )?;
    let shown = json!({ "directory": arguments.out, "key": key.public_key().to_string() });
    global.output().show(&shown, |_| {
        format!(
            "made           {}\nkey            {key}\n\nName it in `outlast recover draft --replace node-N={key}`; when the \
             recovery is approved, install it here too.\nIt cannot be started before.",
            arguments.out.display(),
            key = key.public_key()
        )
    })
}

fn show_recovery(global: &Global, lineage: &Lineage, recovery: &Recovery) -> Result<(), Failure> {
    global.output().show(&to_json(lineage, recovery), |_| recovery::describe(lineage, recovery).join("\n"))
}

fn to_json(lineage: &Lineage, recovery: &Recovery) -> Value {
    let terms = &recovery.terms;
    let keys = |keys: &[PublicKey]| keys.iter().map(PublicKey::to_string).collect::<Vec<_>>();
    json!({
        "network": terms.network.to_string(),
        "epoch": terms.committee.epoch(),
        "height": terms.last.header.height,
        "block": terms.last.header.digest().to_string(),
        "time": crate::output::time(terms.last.header.time_ms),
        "nodes": keys(terms.committee.nodes()),
        "approvals": recovery.approvals.len(),
        "approvals_needed": lineage.genesis().approvals_needed,
    })
}
