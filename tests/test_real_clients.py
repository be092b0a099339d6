"""rclone and restic, as Debian ships them, on the shared network."""

import hashlib

import pytest
from clients import sums, tree
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
    source, back, past = tmp_path / "source", tmp_path / "back", tmp_path / "past"
    digests = tree(source)
    rclone("copy", source, f"s3:{bucket}/tree")
    height = network.json("status")[0]["height"]
    # Lists all versions, deletes each by its id, then the bucket.
    rclone("purge", f"s3:{bucket}")
    assert bucket not in [item["bucket"] for item in network.json("ls")]
    rclone("copy", f"s3:{bucket}--at-{height}/tree", past)
    assert sums(past) == digests
    *_, done = network.json("undelete", bucket)
    assert (done["bucket_undeleted"], done["keys"]) == (True, len(digests))
    rclone("check", source, f"s3:{bucket}/tree")
    rclone("copy", f"s3:{bucket}/tree", back)
    assert sums(back) == digests


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
    source, back = tmp_path / "source", tmp_path / "back"
    digests = tree(source)
    secret = tmp_path / "password"
    secret.write_text("correct horse")
    environment = ENVIRONMENT | network.credentials | {
        "RESTIC_REPOSITORY": f"s3:{network.endpoint}/{bucket}/repository",
        "RESTIC_PASSWORD_FILE": str(secret),
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
    }

    def restic(*arguments):
        return run("restic", "-o", "s3.bucket-lookup=path", *arguments, env=environment, cwd=tmp_path, timeout=300)

    restic("init")
    restic("backup", "source")
    (source / "later").write_bytes(b"later" * 1000)
    digests["later"] = hashlib.sha256(b"later" * 1000).hexdigest()
    restic("backup", "source")
    restic("check", "--read-data")
    restic("restore", "latest", "--target", back)
    assert sums(back / "source") == digests
    restic("forget", "--keep-last", "1", "--prune")
    restic("check", "--read-data")
    assert restic("snapshots", "--compact").stdout.count("1 snapshots") == 1
