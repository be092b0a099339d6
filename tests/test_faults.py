"""What nodes and gateways go through while clients write: wipes, kill -9, torn and rotten files."""

import random
import re
import shutil
import time

import pytest
from clients import Journal, read, s3, sha256
from network import Failed, kill, wait_for


def started(fresh, nodes=4):
    network = fresh(nodes)
    network.start()
    s3(network).create_bucket(Bucket="bucket")
    return network


def preload(network, count=12):
    """Objects from before the fault: SHA-256 by key."""
    client, rng, digests = s3(network), random.Random(11), {}
    for number in range(count):
        data = rng.randbytes((100, 20_000, 2_500_000)[number % 3])
        client.put_object(Bucket="bucket", Key=f"before/{number}", Body=data)
        digests[f"before/{number}"] = sha256(data)
    return digests


def wipe(network, index, votes=False):
    """Takes a node's directory away at once: half a second after its end, its supervisor starts the node again.

    With `votes` its journal of votes goes too, and first: a node that finds it gone does not vote.
    """
    directories = [network.votes_directory(index)] * votes + [network.node_directory(index)]
    for number, directory in enumerate(directories):
        doomed = network.dir / f"doomed-{index}-{number}"
        directory.rename(doomed)
        shutil.rmtree(doomed)


def check(network, digests):
    client = s3(network, attempts=5)
    for key, digest in digests.items():
        assert sha256(read(client, "bucket", key)) == digest, key


def wait_for_status(network, condition, what, seconds=60):
    """Until `condition` holds of what `outlast status` says."""
    last = []

    def holds():
        last[:] = [network.status()[0]]
        return condition(last[0])

    try:
        return wait_for(holds, seconds, what)
    except Failed as failure:
        raise Failed(f"{failure}; it says {last}") from None


def wait_until_whole(network, seconds=120):
    """Until all nodes vote, and none lacks anything: a node that has not read the chain yet does not know what."""

    def whole(status):
        nodes = status["nodes"]
        up_to_date = status["voting"] == network.n and all(node["height"] >= status["height"] - 1 for node in nodes)
        return up_to_date and all(node["missing"] == 0 for node in nodes) and status

    return wait_for_status(network, whole, "all nodes vote and lack nothing", seconds)


def check_nobody_was_caught(network):
    """No node has seen another contradict itself."""
    for index in range(network.n):
        log = network.log(f"node-{index}").read_text(errors="replace")
        assert "blocking peer" not in log and "conflicting" not in log, f"node-{index} caught another"


def end_the_nameless(network, index, pid):
    """A process that works on deleted files notices, or its supervisor does; a test need not wait for that."""
    if network.processes().get(f"node-{index}") == pid:
        kill(pid)


@pytest.mark.parametrize("how", ["files only", "process first"])
def test_a_node_is_wiped_while_clients_write(fresh, how):
    """What it has voted for lies elsewhere: it fetches the chain again, gets its shards back, and goes on voting."""
    network = started(fresh)
    digests = preload(network)
    journal = Journal(network, "bucket").start()
    journal.wait_for_progress(20)
    before = network.running()["node-1"]
    if how == "process first":
        kill(before)
    wipe(network, 1)
    journal.wait_for_progress(60)
    check(network, digests)
    if how == "files only":
        wait_for(lambda: network.processes().get("node-1") not in (None, before), 30, "node 1 is started again")
    journal.wait_for_progress(30)
    journal.stop().check()
    status = wait_until_whole(network)
    assert status["nodes"][1]["healing"]["healed"] > 0
    metrics = network.metrics(1)
    assert "\noutlast_heal_missing 0\n" in metrics and "\noutlast_heal_shards_total 0\n" not in metrics
    assert metrics.endswith("# EOF\n") and metrics.count("# EOF") == 1
    check(network, digests)
    network.stop()
    network.start()
    wait_until_whole(network)
    journal.check()
    check_nobody_was_caught(network)


def test_a_node_that_lost_its_votes_votes_again(fresh):
    network = started(fresh)
    digests = preload(network)
    journal = Journal(network, "bucket").start()
    journal.wait_for_progress(20)
    before = network.running()["node-1"]
    kill(before)
    wipe(network, 1, votes=True)
    journal.wait_for_progress(60)
    end_the_nameless(network, 1, before)

    def votes(status):
        node = status["nodes"][1]
        return node["stance"] == "voter" and node["votes"] is True

    wait_for_status(network, votes, "node 1 votes again after its quarantine")
    journal.wait_for_progress(60)
    journal.stop().check()

    def has_healed(status):
        node = status["nodes"][1]
        return node["missing"] == 0 and node["healing"]["healed"] > 0

    wait_for_status(network, has_healed, "it gets its shards back")
    check(network, digests)
    status, _ = network.status()
    assert status["voting"] == 4
    # Its new journal is as good as the old one.
    network.stop()
    network.start()
    wait_for_status(network, votes, "node 1 votes at once")
    journal.check()


def test_every_node_is_wiped_in_turn(fresh):
    """At the end nothing is left of what was on disk at the start but votes, and everything can be read."""
    network = started(fresh)
    digests = preload(network)
    journal = Journal(network, "bucket", writers=2).start()
    journal.wait_for_progress(10)
    for index in range(network.n):
        kill(network.running()[f"node-{index}"])
        wipe(network, index)
        journal.wait_for_progress(10)
        wait_until_whole(network)
    journal.stop().check()
    check(network, digests)
    # Any node may go now: nothing hangs on one.
    kill(network.running()["node-2"])
    wipe(network, 2)
    check(network, digests)
    wait_until_whole(network)
    check_nobody_was_caught(network)


def test_seven_nodes_lose_two(fresh):
    network = started(fresh, nodes=7)
    digests = preload(network)
    journal = Journal(network, "bucket", writers=2).start()
    journal.wait_for_progress(10)
    for index in (2, 5):
        kill(network.running()[f"node-{index}"])
        wipe(network, index)
    journal.wait_for_progress(40)
    check(network, digests)
    journal.stop().check()
    wait_until_whole(network)
    check_nobody_was_caught(network)


def test_kill_at_random_moments(fresh):
    """Ten rounds of kill -9 of a node or the gateway; what was acknowledged is there."""
    network = started(fresh)
    journal = Journal(network, "bucket").start()
    rng = random.Random(13)
    for turn in range(10):
        journal.wait_for_progress(5)
        time.sleep(rng.uniform(0, 0.5))
        name = "gateway" if turn % 3 == 2 else f"node-{rng.randrange(4)}"
        kill(network.running()[name])
    journal.wait_for_progress(30)
    journal.stop().check()
    wait_until_whole(network)


def test_kill_everything_while_clients_write(fresh):
    network = started(fresh)
    digests = preload(network, 6)
    for seed in range(3):
        journal = Journal(network, "bucket", seed=seed).start()
        journal.wait_for_progress(15)
        network.kill_all()
        journal.stop()
        network.start()
        journal.network = network
        journal.check()
        check(network, digests)
    wait_until_whole(network)


def newest(directory, pattern):
    files = [path for path in directory.rglob(pattern) if path.is_file()]
    return max(files, key=lambda path: path.stat().st_mtime_ns, default=None)


def shard_files(network, index):
    """The files of a node's shard log."""
    partitions = (network.node_directory(index) / "storage").glob("*-shards")
    return [path for partition in partitions for path in partition.rglob("*") if path.is_file()]


def newest_segment(network, index):
    return max(shard_files(network, index), key=lambda path: path.stat().st_mtime_ns)


def last_byte(path):
    """One past the last byte that is not zero: the end of what was written into a preallocated file."""
    data = path.read_bytes()
    return len(data.rstrip(b"\0"))


def torn(path, how):
    end = last_byte(path)
    with open(path, "r+b") as file:
        if how == "cut":
            file.truncate(max(0, end - 100))
        elif how == "zeros":
            file.seek(max(0, end - 100))
            file.write(bytes(min(100, end)))
        else:
            file.seek(max(0, end - 100))
            file.write(random.Random(1).randbytes(min(100, end)))


@pytest.mark.parametrize("how", ["cut", "zeros", "garbage"])
def test_a_torn_end_of_the_shard_log(fresh, how):
    network = started(fresh)
    digests = preload(network)
    network.kill_all()
    torn(newest_segment(network, 1), how)
    network.start()
    check(network, digests)
    journal = Journal(network, "bucket", writers=2).start()
    journal.wait_for_progress(20)
    journal.stop().check()
    assert network.running()


@pytest.mark.parametrize("how", ["zeros", "garbage"])
def test_rot_in_a_shard_is_not_served(fresh, how):
    """Damage in the middle of one node's shards: clients get the right bytes or none, and the node heals by itself."""
    network = started(fresh)
    digests = preload(network)
    network.stop()
    config = network.node_config(2)
    text, quick = config.read_text(), "scrub_bytes_per_second = 100000000"
    config.write_text(re.sub("scrub_bytes_per_second = .*", quick, text))
    segments = shard_files(network, 2)
    assert segments
    rng = random.Random(3)
    for segment in segments:
        end = last_byte(segment)
        with open(segment, "r+b") as file:
            for _ in range(8):
                file.seek(rng.randrange(max(1, end)))
                file.write(bytes(16) if how == "zeros" else rng.randbytes(16))
    network.start()
    check(network, digests)
    journal = Journal(network, "bucket", writers=2).start()
    journal.wait_for_progress(20)
    journal.stop().check()
    read_all = lambda status: status["nodes"][2]["scrub"] and status["nodes"][2]["scrub"]["passes"] > 0
    wait_for_status(network, read_all, "node 2 has read all its shards")
    wait_until_whole(network)
    check(network, digests)


def test_torn_ends_of_everything_of_one_node(fresh):
    """After a crash the newest files of a node may end in anything. The network goes on, and reads stay right."""
    network = started(fresh)
    digests = preload(network)
    network.kill_all()
    storage = network.node_directory(1) / "storage"
    for partition in sorted(path for path in storage.iterdir() if path.is_dir()):
        path = newest(partition, "*")
        if path is not None and path.stat().st_size > 100:
            torn(path, "garbage")
    network.start()
    check(network, digests)
    journal = Journal(network, "bucket", writers=2).start()
    journal.wait_for_progress(20)
    journal.stop().check()
