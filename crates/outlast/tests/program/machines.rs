//! `outlast init`, `node` and `gateway`: a network whose members know nothing but their own directories.

use crate::driver::{Running, ask, contents, free_ports, outlast, refused};
use std::fs;

#[test]
fn members_run_from_their_own_directories() {
    let base = tempfile::tempdir().unwrap();
    let ports = free_ports(9);
    let out = base.path().join("net");
    let nodes: Vec<String> =
        ports[1..].chunks(2).map(|pair| format!("127.0.0.1:{}:{}", pair[0], pair[1])).collect();
    let init = ["init", "--out", out.to_str().unwrap(), "--nodes", &nodes.join(",")];
    let s3 = format!("127.0.0.1:{}", ports[0]);
    let made = &ask(base.path(), &[&init[..], &["--s3-addr", &s3]].concat())[0];
    assert_eq!((&made["faults"], &made["machines"]), (&1.into(), &1.into()));
    refused(base.path(), &init, 8);

    let mut members: Vec<Running> = Vec::new();
    for index in 0..4 {
        let alone = base.path().join(format!("machine-{index}"));
        fs::rename(out.join(format!("node-{index}")), &alone).unwrap();
        let mut command = outlast();
        command.args(["node", "--supervised", "--config"]).arg(alone.join("node.toml"));
        members.push(Running::start(&mut command));
    }
    let config = base.path().join("machine-gateway/gateway.toml");
    fs::rename(out.join("gateway"), base.path().join("machine-gateway")).unwrap();
    let mut command = outlast();
    let mut gateway = Running::start(command.args(["gateway", "--supervised", "--config"]).arg(&config));
    assert_eq!(gateway.line(), "ready");

    let file = base.path().join("file");
    fs::write(&file, contents(100_000, 3)).unwrap();
    let (file, config) = (file.to_str().unwrap(), config.to_str().unwrap());
    ask(base.path(), &["mb", "bucket", "--gateway", config]);
    ask(base.path(), &["put", file, "bucket/file", "--gateway", config]);
    assert_eq!(ask(base.path(), &["stat", "bucket/file", "--gateway", config])[0]["bytes"], 100_000);
    gateway.stop();
    members.into_iter().for_each(Running::stop);
}
