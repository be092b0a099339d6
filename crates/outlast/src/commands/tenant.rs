//! `outlast tenant new`: another tenant, with its keys and its gateway's configuration.
//!
//! The keys are written before the network hears of them, into a directory that gets its name when the tenant is
//! final. A crash in between leaves a tenant that nobody uses, and keys that the next attempt clears away.

use crate::{
    cli::{Access, Global},
    failure::{Exit, Failure},
    files,
    founding::{Tenant, gateway_config},
    gateway::{self, GatewayConfig, with_vault},
    ports,
};
use clap::{Args, Subcommand};
use serde_json::json;
use std::{net::SocketAddr, path::PathBuf};

/// Tenants of the network
///
/// Each has its own keys, buckets and gateway; none can read another's objects.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  outlast tenant new accounting
  outlast tenant new accounting --s3-addr 127.0.0.1:9001 --approver-key /media/stick/approver-1.key
  outlast put books.db ledgers/books.db --tenant accounting")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a tenant, signed by an approver
    New(New),
}

#[derive(Debug, Args)]
struct New {
    /// Its name: 1 to 63 of a-z, 0-9 and '-'
    #[arg(value_parser = parse_name)]
    name: String,
    /// Where its gateway serves S3 [default: a free port of this machine]
    #[arg(long, value_name = "IP:PORT")]
    s3_addr: Option<SocketAddr>,
    /// An approver's key [default: that of approver 0 below --dir]
    #[arg(long, value_name = "FILE")]
    approver_key: Option<PathBuf>,
    /// Where to write its gateway's files [default: tenants/NAME below --dir]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The configuration of a gateway of the network, over which to reach it [default: the one below --dir]
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
}

fn parse_name(text: &str) -> Result<String, String> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let valid = (1..=63).contains(&text.len()) && text.bytes().all(good) && !text.starts_with('-');
    if valid { Ok(text.to_owned()) } else { Err("a tenant's name has 1 to 63 of a-z, 0-9 and '-'".into()) }
}

pub(crate) fn run(global: &Global, arguments: &Arguments) -> Result<(), Failure> {
    let Command::New(arguments) = &arguments.command;
    let directory = arguments.out.clone().unwrap_or_else(|| global.layout().gateway(Some(&arguments.name)));
    if directory.exists() {
        return Err(Failure::new(Exit::Conflict, format!("{} exists already", directory.display()))
            .hint("a tenant's keys are never written over: choose another name"));
    }
    let approver = arguments.approver_key.clone().unwrap_or_else(|| global.layout().approver_key(0));
    let approver = node::config::load_key(&approver)?;
    let access = Access { tenant: None, gateway: arguments.gateway.clone() };
    let gateway = access.open(global)?;
    let (tenant, config, prepared) = prepare(arguments, &directory, &gateway)?;
    let name = arguments.name.clone();
    let made = with_vault(gateway, async |vault| {
        Ok(vault.create_tenant(&approver, tenant.id, &name, tenant.key.public_key()).await?)
    });
    if let Err(failure) = made {
        files::remove_directory(&prepared)?;
        return Err(failure);
    }
    std::fs::rename(&prepared, &directory).map_err(|error| Failure::file("make", &directory, &error))?;
    files::sync_directory(files::directory_of(&directory))?;
    tell(global, arguments, &directory, &config)
}

/// Draws the tenant's keys and writes its files beside where they will be.
fn prepare(
    arguments: &New,
    directory: &std::path::Path,
    network: &gateway::Gateway,
) -> Result<(Tenant, GatewayConfig, PathBuf), Failure> {
    let prepared = files::beside(directory, "new");
    files::remove_directory(&prepared)?;
    let listen = arguments.s3_addr.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
    let tenant = Tenant::draw();
    let config =
        gateway_config(tenant.id, "genesis", ports::for_s3(Some(listen))?, network.config.nodes.clone());
    let mut new = gateway::files(&config, &tenant.key, &tenant.master_key, &tenant.access);
    new.push(files::NewFile::public("genesis", network.lineage.to_file()));
    files::write_new(&prepared, &new)?;
    Ok((tenant, config, prepared))
}

fn tell(
    global: &Global,
    arguments: &New,
    directory: &std::path::Path,
    config: &GatewayConfig,
) -> Result<(), Failure> {
    let keys = crate::keys::AccessKeys::load(&directory.join(&config.access_keys))?.first();
    let endpoint = config.endpoint();
    let shown = json!({
        "tenant": arguments.name,
        "id": config.tenant,
        "dir": directory,
        "s3_endpoint": endpoint,
        "access_key": keys.id,
        "secret_key": *keys.secret,
    });
    global.output().show(&shown, |_| {
        format!(
            "made tenant {}\nS3 endpoint  {endpoint}\naccess key   {}\nsecret key   in {dir}/access-keys.toml\n\n\
             `outlast up` serves it from its next start on; now:\n  outlast gateway --config {dir}/gateway.toml\n\n\
             Keep a copy of {dir}/master.key: without it nothing of this tenant can be read.",
            arguments.name,
            keys.id,
            dir = directory.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_as_directories() {
        assert!(parse_name("accounting-2").is_ok());
        for name in ["", "..", "a/b", "-x", "A", &"x".repeat(64), ".hidden"] {
            assert!(parse_name(name).is_err(), "{name}");
        }
    }
}
