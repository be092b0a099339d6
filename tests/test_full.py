"""Nodes without room."""

import os
import re
import shutil
import subprocess

import pytest
from botocore.exceptions import ClientError
from clients import Journal, read, s3, sha256
from network import wait_for

MIB = 1 << 20


def limit(network, index, bytes_max, segment_bytes=8 * MIB):
    """Sets how much a node may keep; None: all there is."""
    path = network.node_config(index)
    text = re.sub(r"^(bytes_max|segment_bytes) = .*\n", "", path.read_text(), flags=re.M)
    settings = f"segment_bytes = {segment_bytes}\n" + (f"bytes_max = {bytes_max}\n" if bytes_max else "")
    path.write_text(text.replace("[shards]\n", "[shards]\n" + settings))


def founded(fresh):
    network = fresh()
    network.start()
    s3(network).create_bucket(Bucket="bucket")
    network.stop()
    return network


def fill(client, count, size=4 * MIB):
    """Writes until refused; gives SHA-256 of what was acknowledged, and the refusal."""
    digests = {}
    for number in range(count):
        data = os.urandom(size)
        try:
            client.put_object(Bucket="bucket", Key=f"fill/{number}", Body=data)
        except ClientError as error:
            return digests, error
        digests[f"fill/{number}"] = sha256(data)
    return digests, None


def check(client, digests):
    for key, digest in digests.items():
        assert sha256(read(client, "bucket", key)) == digest


def test_one_full_node_stops_nobody(fresh):
    network = founded(fresh)
    limit(network, 0, 24 * MIB)
    network.start()
    client = s3(network)
    digests, refusal = fill(client, 20)
    assert refusal is None, refusal
    check(client, digests)


def test_all_nodes_full(fresh):
    network = founded(fresh)
    for index in range(4):
        limit(network, index, 32 * MIB)
    network.start()
    client = s3(network)
    digests, refusal = fill(client, 40)
    assert refusal is not None, "32 MiB took 160"
    assert digests
    answer = refusal.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] in (503, 507), answer
    assert "full" in answer["Error"]["Message"].lower() or "room" in answer["Error"]["Message"].lower(), answer
    # What was acknowledged is there, and what is small still goes.
    check(client, digests)
    client.put_object(Bucket="bucket", Key="small", Body=b"within the transaction")
    client.delete_object(Bucket="bucket", Key="small")
    network.stop()
    for index in range(4):
        limit(network, index, None)
    network.start()
    client = s3(network)
    check(client, digests)
    more, refusal = fill(client, 10)
    assert refusal is None, refusal
    check(client, more)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root; `.ci/run` has it")
def test_a_disk_that_is_full(fresh):
    """One node on a file system of 96 MiB, which fills; then it grows."""
    network = founded(fresh)
    limit(network, 1, None)
    directory = network.node_directory(1)
    kept = directory.with_name("kept")
    directory.rename(kept)
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96M", "tmpfs", directory], check=False)
    if mounted.returncode != 0:
        pytest.skip("this container may not mount")
    try:
        shutil.copytree(kept, directory, dirs_exist_ok=True)
        network.start()
        client = s3(network)
        digests, refusal = fill(client, 60)
        assert refusal is None, refusal
        journal = Journal(network, "bucket", writers=2).start()
        journal.wait_for_progress(20)
        journal.stop().check()
        check(client, digests)
        subprocess.run(["mount", "-o", "remount,size=2G", directory], check=True)
        wait_for(lambda: network.status()[0]["voting"] == 4, 90, "the node votes again, with room")
        more, refusal = fill(client, 5)
        assert refusal is None, refusal
        check(client, more)
    finally:
        network.close()
        subprocess.run(["umount", directory], check=False)
