//! The command line: what there is to say, and where it goes.

use crate::{
    commands::{
        diff, drill, gateway, get, init, key, log, ls, mb, node, put, quota, receipt, recover, restore, rm,
        salvage, stat, status, survey, tenant, undelete, up, verify, versions,
    },
    failure::Failure,
    gateway::{Gateway, GatewayConfig},
    layout::{self, Layout},
    logging::{self, LogFormat},
    output::Output,
};
use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// A network of nodes that keeps files, and outlasts the loss of any third of them
///
/// Outlast stores objects, as S3 does, on several independently run nodes. With 3f + 1 nodes, any f may be deleted,
/// stopped or taken over: reads and writes go on, nothing is lost, and nothing false is returned.
#[derive(Debug, Parser)]
#[command(
    name = "outlast",
    version,
    after_help = "\
Examples:
  outlast up                              start a network of four nodes on this machine
  outlast mb photos                       make a bucket
  outlast put cat.jpg photos/cat.jpg      store a file
  outlast get photos/cat.jpg -            print it
  outlast status                          how the network is
  outlast undelete photos                 bring back what was deleted
  outlast drill                           delete a node while writing, and count what is lost
  outlast salvage outlast-data --out DIR  read what is left, without any node running

Exit codes: 0 done, 1 failed, 2 arguments make no sense, 3 no such thing, 4 network not available,
5 configuration, 6 port or directory in use, 7 not proven, 8 exists already. `status` and `drill` have their own."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of all commands.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The directory of the network on this machine
    #[arg(long, global = true, env = "OUTLAST_DIR", default_value = "outlast-data", value_name = "DIR")]
    pub dir: PathBuf,
    /// Print JSON: one object a line
    #[arg(long, global = true)]
    pub json: bool,
    /// How logs are written to standard error; RUST_LOG says which
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
}

impl Global {
    pub(crate) fn layout(&self) -> Layout {
        Layout::new(&self.dir)
    }

    pub(crate) fn output(&self) -> Output {
        Output { json: self.json }
    }
}

/// Whose gateway a command uses.
#[derive(Debug, Args)]
pub(crate) struct Access {
    /// Another tenant than the first one
    #[arg(long, value_name = "NAME", conflicts_with = "gateway")]
    pub tenant: Option<String>,
    /// A gateway's configuration, instead of the one below --dir
    #[arg(long, value_name = "FILE")]
    pub gateway: Option<PathBuf>,
}

impl Access {
    /// Where the gateway's configuration is.
    pub(crate) fn config(&self, global: &Global) -> PathBuf {
        let below = || global.layout().gateway(self.tenant.as_deref()).join(layout::GATEWAY_CONFIG);
        self.gateway.clone().unwrap_or_else(below)
    }

    /// The gateway's configuration with all that it names.
    pub(crate) fn open(&self, global: &Global) -> Result<Gateway, Failure> {
        GatewayConfig::load(&self.config(global))
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Arguments),
    Status(status::Arguments),
    Mb(mb::Arguments),
    Put(put::Arguments),
    Get(get::Arguments),
    Ls(ls::Arguments),
    Stat(stat::Arguments),
    Rm(rm::Arguments),
    Undelete(undelete::Arguments),
    Versions(versions::Arguments),
    Log(log::Arguments),
    Diff(diff::Arguments),
    Restore(restore::Arguments),
    Receipt(receipt::Arguments),
    Verify(verify::Arguments),
    Drill(drill::Arguments),
    Salvage(salvage::Arguments),
    Survey(survey::Arguments),
    Recover(recover::Arguments),
    Tenant(tenant::Arguments),
    Quota(quota::Arguments),
    Key(key::Arguments),
    Init(init::Arguments),
    Node(node::Arguments),
    Gateway(gateway::Arguments),
}

impl Cli {
    /// Does what was asked.
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let Self { global, command } = self;
        let serves = matches!(command, Command::Gateway(_) | Command::Node(_));
        logging::start(global.log_format, if serves { logging::SERVING } else { logging::ASKING });
        let done = ExitCode::SUCCESS;
        match command {
            Command::Up(arguments) => up::run(&global, &arguments).map(|()| done),
            Command::Status(arguments) => status::run(&global, &arguments),
            Command::Mb(arguments) => mb::run(&global, &arguments).map(|()| done),
            Command::Put(arguments) => put::run(&global, &arguments).map(|()| done),
            Command::Get(arguments) => get::run(&global, &arguments).map(|()| done),
            Command::Ls(arguments) => ls::run(&global, &arguments).map(|()| done),
            Command::Stat(arguments) => stat::run(&global, &arguments).map(|()| done),
            Command::Rm(arguments) => rm::run(&global, &arguments).map(|()| done),
            Command::Undelete(arguments) => undelete::run(&global, &arguments).map(|()| done),
            Command::Versions(arguments) => versions::run(&global, &arguments).map(|()| done),
            Command::Log(arguments) => log::run(&global, &arguments).map(|()| done),
            Command::Diff(arguments) => diff::run(&global, &arguments).map(|()| done),
            Command::Restore(arguments) => restore::run(&global, &arguments).map(|()| done),
            Command::Receipt(arguments) => receipt::run(&global, &arguments).map(|()| done),
            Command::Verify(arguments) => verify::run(&global, &arguments).map(|()| done),
            Command::Drill(arguments) => drill::run(&global, &arguments),
            Command::Salvage(arguments) => salvage::run(&global, &arguments),
            Command::Survey(arguments) => survey::run(&global, &arguments),
            Command::Recover(arguments) => recover::run(&global, &arguments).map(|()| done),
            Command::Tenant(arguments) => tenant::run(&global, &arguments).map(|()| done),
            Command::Quota(arguments) => quota::run(&global, &arguments).map(|()| done),
            Command::Key(arguments) => key::run(&global, &arguments).map(|()| done),
            Command::Init(arguments) => init::run(&global, &arguments).map(|()| done),
            Command::Node(arguments) => node::run(&arguments).map(|()| done),
            Command::Gateway(arguments) => gateway::run(&arguments).map(|()| done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_command_teaches() {
        let mut command = Cli::command();
        command.build();
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let name = command.get_name();
            assert!(examples.contains("outlast "), "`outlast {name} --help` has no example");
            assert!(command.get_about().is_some(), "`outlast {name}` says nothing about itself");
        }
        command.debug_assert();
    }
}
