"""Recover: more than f nodes are lost for good, and the approvers let the network go on."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time

import boto3
import pytest
from botocore.config import Config
from clients import Journal, read, s3
from network import ENVIRONMENT, OUTLAST, VERIFY, run, wait_for

FAILED, USAGE, UNAVAILABLE, CONFIGURATION, IN_USE, NOT_PROVEN, CONFLICT = 1, 2, 4, 5, 6, 7, 8


def error(done, code):
    assert done.returncode == code, done
    said = json.loads(done.stderr.strip().splitlines()[-1])
    assert said["error"] and said["hint"], said
    return said


def lose(network, *indices, keys=False):
    """Directories and votes, and if so wanted keys, of these nodes."""
    for index in indices:
        shutil.rmtree(network.node_directory(index))
        shutil.rmtree(network.votes_directory(index))
        if keys:
            (network.dir / f"config/node-{index}.key").unlink()


def all_well(network):
    def well():
        status, code = network.status()
        return code == 0 and all(
            node["votes"] and node["missing"] == 0 and not node["problems"] for node in status["nodes"]
        )

    wait_for(well, 90, "all nodes vote and lack nothing")


def kill_lost_first(network, *lost):
    """Stops those who are to be lost, then, when the chain has stood still for a while, kills everything.

    A survivor that is killed in the moment after it applied a block may not have that block's certificate on its disk, and
    the next epoch then begins below it: THREATS.md has what comes of that.
    """
    processes = network.running()
    for index in lost:
        os.kill(processes[f"node-{index}"], signal.SIGSTOP)
    time.sleep(3)
    network.kill_all()


def recover(network, *options, check=True):
    return run(OUTLAST, "recover", "--dir", network.dir, "--json", *options, check=check)


def test_two_of_four_lose_everything_and_the_network_goes_on(fresh, tmp_path):
    network = fresh().start()
    client = s3(network)
    client.create_bucket(Bucket="bucket")
    bodies = {f"k{size}": os.urandom(size) for size in (0, 100, 50_000, 2_500_000)}
    old = client.put_object(Bucket="bucket", Key="again", Body=b"before")["VersionId"]
    for key, body in bodies.items():
        client.put_object(Bucket="bucket", Key=key, Body=body)
    receipt = tmp_path / "before.receipt"
    network.outlast("receipt", "bucket/k50000", "--output", receipt)
    all_well(network)
    genesis = tmp_path / "genesis-before"
    shutil.copy(network.dir / "genesis", genesis)
    kill_lost_first(network, 0, 3)
    lose(network, 0, 3, keys=True)

    looked = json.loads(recover(network, "--look-only").stdout)
    assert looked["recovery"] is None and looked["survey"]["unreadable"] == 0
    assert (network.dir / "genesis").read_bytes() == genesis.read_bytes(), "looking changes nothing"
    done = json.loads(recover(network).stdout)
    assert done["recovery"]["epoch"] == 1 and done["recovery"]["approvals"] == 2
    assert done["recovery"]["height"] == looked["survey"]["height"] == done["survey"]["height"]
    assert sorted(entry["node"] for entry in done["installed"] if entry["node"] is not None) == [0, 1, 2, 3]
    assert not (network.dir / ".recovery").exists()

    network.start()
    all_well(network)
    client = s3(network)
    for key, body in bodies.items():
        assert read(client, "bucket", key) == body
    assert read(client, "bucket", "again", VersionId=old) == b"before"
    client.put_object(Bucket="bucket", Key="again", Body=b"after" * 100_000)
    assert len(client.list_object_versions(Bucket="bucket", Prefix="again")["Versions"]) == 2
    # Receipts of before hold with either genesis file, receipts of now with the new one alone.
    for file in (genesis, network.dir / "genesis"):
        assert run(VERIFY, receipt, "--genesis", file).stdout.startswith("PROVED")
    now = tmp_path / "after.receipt"
    network.outlast("receipt", "bucket/again", "--output", now)
    assert run(VERIFY, now, "--genesis", network.dir / "genesis").stdout.startswith("PROVED")
    refused = run(VERIFY, now, "--genesis", genesis, check=False)
    assert refused.returncode == 1 and "epoch 1" in refused.stderr, refused

    # In the new epoch everything is as ever: a node is wiped, with its votes too, and comes back.
    kill_and_wipe = network.running()["node-1"]
    os.kill(kill_and_wipe, signal.SIGSTOP)
    lose(network, 1)
    os.kill(kill_and_wipe, signal.SIGKILL)
    all_well(network)
    assert (network.votes_directory(1) / "voter-1").exists()
    # What was before the recovery is still to be had.
    height = json.loads(run(OUTLAST, "verify", receipt, "--genesis", genesis, "--json").stdout)["height"]
    assert network.outlast("get", "bucket/k50000", "--at", height, "-", text=False).stdout == bodies["k50000"]


def test_it_is_refused_where_it_is_not_needed_or_cannot_be(fresh):
    network = fresh().start()
    client = s3(network)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="k", Body=os.urandom(100_000))
    all_well(network)
    error(recover(network, check=False), IN_USE)
    kill_lost_first(network, 1, 2)
    lose(network, 2, keys=True)
    assert "1 of 4" in error(recover(network, check=False), CONFLICT)["error"]
    lose(network, 1)
    kept = network.dir / "approvers"
    kept.rename(network.dir / "elsewhere")
    before = (network.dir / "genesis").read_bytes()
    error(recover(network, check=False), CONFIGURATION)
    (network.dir / "elsewhere").rename(kept)
    # Of three the shards are gone, of one they are damaged: nothing that is larger than a transaction can be had.
    moved = network.node_directory(3).rename(network.dir / "node-3-elsewhere")
    assert "too few shards" in error(recover(network, check=False), FAILED)["error"]
    assert (network.dir / "genesis").read_bytes() == before, "nothing happened"
    moved.rename(network.node_directory(3))
    recover(network)
    network.start()
    all_well(network)
    assert len(read(s3(network), "bucket", "k")) == 100_000


def test_a_second_recovery_and_one_that_was_broken_off(fresh):
    network = fresh().start()
    client = s3(network)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="k", Body=os.urandom(200_000))
    all_well(network)
    kill_lost_first(network, 1, 2)
    lose(network, 1, 2)
    recover(network)
    # Nobody was started in epoch 1, and once more two are lost.
    lost = network.dir / "votes/node-0", network.dir / "config/node-0.permit-1"
    for path in (*lost, network.dir / "config/node-1.permit-1"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    genesis = (network.dir / "genesis").read_bytes()
    assert json.loads(recover(network, "--replace", "node-1").stdout)["recovery"]["epoch"] == 2
    network.start()
    all_well(network)
    client = s3(network)
    client.put_object(Bucket="bucket", Key="later", Body=b"x" * 50_000)
    all_well(network)
    kill_lost_first(network, 0, 3)
    # As after a crash while a recovery is installed: what was prepared is there, the genesis file has it or not.
    lose(network, 0, 3, keys=True)
    run(OUTLAST, "recover", "--dir", network.dir, "--json")
    third = (network.dir / "genesis").read_bytes()
    assert len(third) > len(genesis)
    network.start()
    all_well(network)
    assert read(s3(network), "bucket", "later") == b"x" * 50_000


class Apart:
    """Nodes and a gateway that nobody supervises, each with a directory of its own."""

    def __init__(self, base):
        self.base, self.processes = base, {}

    def start(self, name, config):
        command = "gateway" if name == "gateway" else "node"
        log = open(self.base / f"{name}.log", "ab")
        self.processes[name] = subprocess.Popen(
            [str(OUTLAST), command, "--config", str(config)], stdout=log, stderr=log, env=ENVIRONMENT
        )

    def stop(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes = {}


@pytest.fixture
def apart(tmp_path):
    network = Apart(tmp_path)
    yield network
    network.stop()


def free_ports(count):
    """Below the ranges of outgoing connections and of what `outlast up` draws."""
    found = []
    while len(found) < count:
        port = random.randrange(4_096, 10_240)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def test_nodes_and_approvers_that_are_apart(apart, tmp_path):
    ports = free_ports(11)
    net = tmp_path / "net"
    nodes = ",".join(f"127.0.0.1:{ports[2 * at]}:{ports[2 * at + 1]}" for at in range(4))
    run(OUTLAST, "init", "--out", net, "--nodes", nodes, "--s3-addr", f"127.0.0.1:{ports[8]}")
    configs = {f"node-{at}": net / f"node-{at}/node.toml" for at in range(4)}
    gateway = net / "gateway/gateway.toml"

    def client():
        keys = (net / "gateway/access-keys.toml").read_text()
        id, secret = [part.strip().strip('"') for part in keys.strip().splitlines()[-1].split("=", 1)]
        return boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{ports[8]}", aws_access_key_id=id, aws_secret_access_key=secret,
            region_name="us-east-1",
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, read_timeout=30),
        )

    def start():
        for name, config in configs.items():
            apart.start(name, config)
        apart.start("gateway", gateway)

    def status():
        done = run(OUTLAST, "status", "--gateway", gateway, "--json", check=False)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def well():
        said = status()
        return said and all(node["votes"] and node["missing"] == 0 for node in said["nodes"])

    start()
    wait_for(well, 90, "the network is up")
    body = os.urandom(1_500_000)
    client().create_bucket(Bucket="bucket")
    client().put_object(Bucket="bucket", Key="k", Body=body)
    wait_for(well, 90, "all hold all")
    for lost in ("node-1", "node-2"):
        apart.processes[lost].send_signal(signal.SIGSTOP)
    time.sleep(3)
    apart.stop()

    # Nodes 1 and 2 burn. One gets a successor elsewhere, one in its place.
    for lost in ("node-1", "node-2"):
        shutil.rmtree(net / lost)
    successors = {}
    for place, listen in ((1, f"127.0.0.1:{ports[9]}:{ports[10]}"), (2, f"127.0.0.1:{ports[4]}:{ports[5]}")):
        made = run(
            OUTLAST, "recover", "replacement", "--like", configs["node-0"], "--out", tmp_path / f"new-{place}",
            "--listen", listen, "--json",
        )
        successors[place] = json.loads(made.stdout)["key"]
    genesis = net / "genesis"
    recovery = tmp_path / "recovery"
    draft = [
        "recover", "draft", net / "node-0/data", net / "node-3/data", "--genesis", genesis, "--out", recovery, "--json",
        *[word for place, key in successors.items() for word in ("--replace", f"node-{place}={key}")],
    ]
    drafted = json.loads(run(OUTLAST, *draft).stdout)
    assert drafted["survey"]["unreadable"] == 0 and drafted["recovery"]["approvals"] == 0

    def step(*arguments, check=True):
        return run(OUTLAST, "recover", *arguments, "--json", check=check)

    # Nothing counts before enough approvers have signed, and nobody else's signature does.
    early = step("install", recovery, configs["node-0"], check=False)
    assert "0 of 2 approvals" in error(early, NOT_PROVEN)["error"]
    error(step("approve", recovery, "--genesis", genesis, "--key", net / "gateway/tenant.key", check=False), CONFIGURATION)
    shown = json.loads(step("show", recovery, "--genesis", genesis).stdout)
    assert shown == drafted["recovery"]
    for approver in (0, 0, 2):
        step("approve", recovery, "--genesis", genesis, "--key", net / f"approvers/approver-{approver}.key")
    damaged = tmp_path / "damaged"
    damaged.write_bytes(recovery.read_bytes()[:-40] + b"x" * 40)
    error(step("install", damaged, configs["node-0"], check=False), CONFIGURATION)

    (net / "node-0/node.toml").write_text((net / "node-0/node.toml").read_text() + "\n# by hand\n")
    for place in (1, 2):
        configs[f"node-{place}"] = tmp_path / f"new-{place}/node.toml"
    moved = ["--moved", f"node-1=127.0.0.1:{ports[9]}:{ports[10]}"]
    for config in [*configs.values(), gateway]:
        step("install", recovery, config, *moved)
        step("install", recovery, config, *moved)
    assert "# by hand" in configs["node-0"].read_text(), "all else in the file stays"
    start()
    wait_for(well, 90, "the network goes on")
    assert client().get_object(Bucket="bucket", Key="k")["Body"].read() == body
    client().put_object(Bucket="bucket", Key="later", Body=body)
    # Installing again, after votes in the epoch, gives nobody a permit to vote anew.
    apart.stop()
    step("install", recovery, *configs.values(), *moved)
    assert not list(tmp_path.rglob("*.permit-1"))
    start()
    wait_for(well, 90, "the network goes on")
    assert client().get_object(Bucket="bucket", Key="later")["Body"].read() == body


def test_what_was_acknowledged_while_the_disks_went_is_there(fresh):
    """Writers write while two of four nodes die; what they were told is done is there after the recovery."""
    network = fresh().start()
    client = s3(network)
    client.create_bucket(Bucket="journal")
    journal = Journal(network, "journal").start()
    journal.wait_for_progress(60)
    processes = network.running()
    for index in (1, 3):
        os.kill(processes[f"node-{index}"], signal.SIGSTOP)
        lose(network, index)
        os.kill(processes[f"node-{index}"], signal.SIGKILL)
    network.kill_all()
    journal.stop()
    for index in (1, 3):
        shutil.rmtree(network.node_directory(index), ignore_errors=True)
        shutil.rmtree(network.votes_directory(index), ignore_errors=True)
    recover(network)
    network.start()
    all_well(network)
    journal.check()
