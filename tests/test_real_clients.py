"""rclone and restic, as Debian ships them, on the shared network."""

import hashlib
import json
import shutil

import pytest
from clients import moment, past, sums, tree
from network import ENVIRONMENT, run


@pytest.fixture
def rclone(network, tmp_path):
    configuration = tmp_path / "rclone.conf"
    configuration.write_text(
        "[s3]\ntype = s3\nprovider = Other\nregion = us-east-1\nenv_auth = true\n"
        f"endpoint = {network.endpoint}\nforce_path_style = true\n"
    )
    environment = ENVIRONMENT | network.credentials

    def call(*arguments, **options):
        return run("rclone", "--config", configuration, "--retries", 1, *arguments, env=environment, timeout=300, **options)

    return call


def test_rclone_keeps_a_tree(rclone, bucket, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    digests = tree(source)
    rclone("sync", source, f"s3:{bucket}/tree")
    rclone("check", source, f"s3:{bucket}/tree")
    rclone("copy", f"s3:{bucket}/tree", back)
    assert sums(back) == digests
    # Nothing changed, nothing is sent.
    again = rclone("sync", source, f"s3:{bucket}/tree", "--stats-one-line", "-v").stderr
    assert "Copied" not in again
    # What goes, goes there too.
    gone = next(iter(digests))
    (source / gone).unlink()
    rclone("sync", source, f"s3:{bucket}/tree")
    rclone("check", source, f"s3:{bucket}/tree")
    rclone("move", f"s3:{bucket}/tree", f"s3:{bucket}/moved")
    rclone("check", source, f"s3:{bucket}/moved")
    rclone("delete", f"s3:{bucket}/moved")
    assert rclone("lsf", "-R", f"s3:{bucket}").stdout == ""


def test_what_rclone_purges_comes_back(rclone, network, bucket, tmp_path):
    source, back, old = (tmp_path / name for name in ("source", "back", "old"))
    digests = tree(source)
    rclone("copy", source, f"s3:{bucket}/tree")
    height = network.json("status")[0]["height"]
    # Lists all versions, deletes each by its id, then the bucket.
    rclone("purge", f"s3:{bucket}")
    assert bucket not in [item["bucket"] for item in network.json("ls")]
    rclone("copy", f"s3:{bucket}--at-{height}/tree", old)
    assert sums(old) == digests
    *_, done = network.json("undelete", bucket)
    assert (done["bucket_undeleted"], done["keys"]) == (True, len(digests))
    rclone("check", source, f"s3:{bucket}/tree")
    rclone("copy", f"s3:{bucket}/tree", back)
    assert sums(back) == digests


def test_rclone_reads_the_past_in_two_ways(rclone, bucket, tmp_path):
    source, back = tmp_path / "source", tmp_path / "back"
    digests = tree(source, files=40)
    rclone("sync", source, f"s3:{bucket}/tree")
    before = moment()
    for name in list(digests)[::2]:
        (source / name).write_bytes(b"encrypted by somebody")
    shutil.rmtree(source / "d1")
    rclone("sync", source, f"s3:{bucket}/tree")
    assert sums(source) != digests
    # It makes this of ListObjectVersions, and reads versions by their ids.
    rclone("sync", "--s3-version-at", before, f"s3:{bucket}/tree", back)
    assert sums(back) == digests
    # These are ordinary buckets for it.
    rclone("check", back, f"s3:{past(bucket, before)}/tree")
    rclone("check", back, f"s3:{bucket}@{before}/tree")
    # What is past cannot be written.
    assert "AccessDenied" in rclone("delete", f"s3:{past(bucket, before)}/tree", check=False).stderr
    rclone("sync", f"s3:{past(bucket, before)}/tree", f"s3:{bucket}/tree")
    rclone("check", back, f"s3:{bucket}/tree")


def test_rclone_keeps_300_mb_in_parts(rclone, bucket, tmp_path):
    source, back = tmp_path / "big", tmp_path / "back"
    source.mkdir()
    digest = hashlib.sha256()
    with open(source / "big.bin", "wb") as file:
        for number in range(300):
            block = hashlib.shake_256(number.to_bytes(4, "big")).digest(1_000_000)
            file.write(block)
            digest.update(block)
    rclone("copy", source, f"s3:{bucket}", "--s3-upload-cutoff", "16M", "--s3-chunk-size", "16M")
    rclone("check", source, f"s3:{bucket}")
    rclone("copy", f"s3:{bucket}", back)
    assert sums(back) == {"big.bin": digest.hexdigest()}
    rclone("deletefile", f"s3:{bucket}/big.bin")
    assert rclone("lsf", f"s3:{bucket}").stdout == ""


def test_restic_backs_up_and_restores(network, bucket, tmp_path):
    source, back, old = (tmp_path / name for name in ("source", "back", "old"))
    digests = tree(source)
    secret = tmp_path / "password"
    secret.write_text("correct horse")
    environment = ENVIRONMENT | network.credentials | {
        "RESTIC_PASSWORD_FILE": str(secret),
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
    }

    def restic(*arguments, at=""):
        to = {"RESTIC_REPOSITORY": f"s3:{network.endpoint}/{bucket}{at}/repository"}
        arguments = ("-o", "s3.bucket-lookup=path", *arguments)
        return run("restic", *arguments, env=environment | to, cwd=tmp_path, timeout=300)

    restic("init")
    restic("backup", "source")
    first = dict(digests)
    for name in list(digests)[::2]:
        (source / name).unlink()
        del digests[name]
    (source / "later").write_bytes(b"later" * 1000)
    digests["later"] = hashlib.sha256(b"later" * 1000).hexdigest()
    restic("backup", "source")
    restic("check", "--read-data")
    restic("restore", "latest", "--target", back)
    assert sums(back / "source") == digests
    before, objects = moment(), len(network.json("ls", bucket, "-r"))
    restic("forget", "--keep-last", "1", "--prune")
    restic("check", "--read-data")
    assert restic("snapshots", "--compact").stdout.count("1 snapshots") == 1

    # The pruned backup is in the bucket as of then, for a restic that leaves no lock and trusts no cache.
    def then(*arguments):
        return restic("--no-lock", "--no-cache", *arguments, at=past("", before))

    oldest = min(json.loads(then("snapshots", "--json").stdout), key=lambda item: item["time"])["id"]
    then("check", "--read-data")
    then("restore", oldest, "--target", old)
    assert sums(old / "source") == first
    # And comes back for good.
    *_, done = network.json("restore", bucket, "--at", before)
    assert done["restored"] > 0 and len(network.json("ls", bucket, "-r")) == objects
    restic("check", "--read-data", "--no-cache")
    assert oldest in restic("snapshots", "--json").stdout
