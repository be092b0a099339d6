"""Starting, stopping, and what goes wrong with either."""

import os
import shutil
import signal
import socket
import time

import pytest
from clients import read, s3
from network import OUTLAST, children, command_line, is_alive, kill, run, wait_for

CONFIGURATION, IN_USE = 5, 6


@pytest.mark.parametrize("nodes", [1, 7])
def test_networks_of_other_sizes(fresh, nodes):
    network = fresh(nodes).start()
    assert len(network.running()) == nodes + 1
    client = s3(network)
    client.create_bucket(Bucket="bucket")
    data = os.urandom(2_500_000)
    client.put_object(Bucket="bucket", Key="k", Body=data)
    assert read(client, "bucket", "k") == data
    status, _ = network.status()
    assert (len(status["nodes"]), status["faults"]) == (nodes, (nodes - 1) // 3)
    network.stop()
    network.start()
    assert read(s3(network), "bucket", "k") == data


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_cleanly_and_goes_on(fresh, number):
    network = fresh()
    network.start()
    first = network.facts
    client = s3(network)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="k", Body=b"x" * 100_000)
    assert network.stop(number) < 20
    network.start()
    assert {name: network.facts[name] for name in ("s3_endpoint", "access_key", "secret_key")} == {
        name: first[name] for name in ("s3_endpoint", "access_key", "secret_key")
    }
    assert read(s3(network), "bucket", "k") == b"x" * 100_000


def test_it_stops_while_it_starts(fresh):
    network = fresh()
    network.spawn()
    wait_for(lambda: len(children(network.up.pid)) >= 3, 60, "children of `outlast up`")
    network.stop()
    network.start()


def test_nobody_outlives_the_supervisor(fresh):
    network = fresh().start()
    pids = network.running().values()
    kill(network.up.pid)
    network.up.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in pids), 30, "children end with their supervisor")
    network.up.stdout.close()
    network.start()


def test_a_second_one_on_the_same_directory_is_refused(fresh):
    network = fresh().start()
    done = network.outlast("up", "--json", check=False, timeout=30)
    assert done.returncode == IN_USE
    assert "in use" in done.stderr and "hint" in done.stderr and str(network.up.pid) in done.stderr
    s3(network).list_buckets()
    # A node alone neither.
    done = run(OUTLAST, "node", "--config", network.node_config(0), check=False, timeout=30)
    assert done.returncode == IN_USE
    s3(network).list_buckets()


def test_a_port_in_use(fresh):
    network = fresh()
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        done = network.outlast("up", "--s3-addr", f"127.0.0.1:{port}", check=False, timeout=30)
        assert done.returncode == IN_USE
        assert str(port) in done.stderr and "hint" in done.stderr
    network.start()
    address = network.facts["s3_endpoint"].rpartition(":")[2]
    network.stop()
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", int(address)))
        held.listen()
        done = network.outlast("up", check=False, timeout=30)
        assert done.returncode == IN_USE and address in done.stderr
    network.start()


def damage_key(network):
    (network.dir / "config/node-1.key").write_text("not a key")
    return "node-1.key"


def lose_key(network):
    (network.dir / "config/node-1.key").unlink()
    return "node-1.key"


def expose_key(network):
    (network.dir / "config/node-1.key").chmod(0o644)
    return "chmod 600"


def expose_master_key(network):
    (network.dir / "gateway/master.key").chmod(0o640)
    return "chmod 600"


def garble_genesis(network):
    path = network.dir / "genesis"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    return "genesis"


def cut_genesis(network):
    path = network.dir / "genesis"
    path.write_bytes(path.read_bytes()[:-20])
    return "genesis"


def garble_toml(network):
    network.node_config(2).write_text("consensus_listen = [[[")
    return "node-2.toml"


def unknown_setting(network):
    path = network.node_config(2)
    path.write_text("frobnicate = true\n" + path.read_text())
    return "frobnicate"


def lose_gateway(network):
    (network.dir / "gateway/gateway.toml").unlink()
    return "gateway.toml"


def empty_access_keys(network):
    (network.dir / "gateway/access-keys.toml").write_text("")
    return "access-keys.toml"


@pytest.fixture(scope="module")
def founded(tmp_path_factory):
    """A network that was started once, to be copied."""
    import network as driver

    made = driver.Network(directory=tmp_path_factory.mktemp("founded") / "network").start()
    made.stop()
    return made


@pytest.mark.parametrize(
    "damage",
    [damage_key, lose_key, expose_key, expose_master_key, garble_genesis, cut_genesis, garble_toml,
     unknown_setting, lose_gateway, empty_access_keys],
    ids=lambda damage: damage.__name__.replace("_", " "),
)
def test_a_damaged_configuration_is_refused(founded, fresh, damage):
    network = fresh()
    shutil.copytree(founded.dir, network.dir)
    names = damage(network)
    begun = time.monotonic()
    done = network.outlast("up", "--json", check=False, timeout=60)
    assert done.returncode == CONFIGURATION, done
    assert names in done.stderr, done.stderr
    assert time.monotonic() - begun < 10
    assert done.stdout == ""


def test_what_is_not_a_network_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    done = run(OUTLAST, "up", "--dir", tmp_path, check=False, timeout=30)
    assert done.returncode == CONFIGURATION and str(tmp_path) in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_commands_without_a_network(tmp_path, fresh, founded):
    done = run(OUTLAST, "ls", "--dir", tmp_path / "none", check=False, timeout=30)
    assert done.returncode == CONFIGURATION and "outlast up" in done.stderr
    done = founded.outlast("status", check=False, timeout=60)
    assert done.returncode == 2 and "outlast up" in done.stderr
    done = founded.outlast("ls", check=False, timeout=120)
    assert done.returncode == 4 and "outlast up" in done.stderr


def test_an_ended_process_is_started_again(fresh):
    network = fresh().start()
    before = network.running()
    kill(before["node-3"])
    kill(before["gateway"])
    def replaced():
        now = network.processes()
        return len(now) == 5 and now["node-3"] != before["node-3"] and now["gateway"] != before["gateway"] and now

    after = wait_for(replaced, 30, "both are started again")
    assert after["node-0"] == before["node-0"]
    ended = [event["name"] for event in network.events if event["event"] == "ended"]
    assert sorted(ended) == ["gateway", "node-3"]
    wait_for(lambda: s3(network, attempts=3).list_buckets(), 30, "S3 answers")
    assert all("up" not in command_line(pid)[:2] for pid in after.values())
