"""Clients that treat a bucket as files: s3cmd, and s3fs, which mounts it."""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import sys

import pytest
from clients import moment, past, read, sums, tree
from network import ENVIRONMENT, run, wait_for

S3CMD = pathlib.Path(sys.executable).parent / "s3cmd"


def test_s3cmd_keeps_a_tree(network, s3, tmp_path):
    source, back, old, new = (tmp_path / name for name in ("source", "back", "old", "new"))
    digests = tree(source, files=10)
    (source / "big").write_bytes(os.urandom(12 << 20))
    digests |= {"big": sums(source)["big"]}
    host = re.sub(r"^https?://", "", network.endpoint)
    configuration = tmp_path / "s3cfg"
    configuration.write_text(
        "[default]\n"
        f"access_key = {network.facts['access_key']}\nsecret_key = {network.facts['secret_key']}\n"
        f"host_base = {host}\nhost_bucket = {host}\nbucket_location = us-east-1\nuse_https = False\n"
        "multipart_chunk_size_mb = 5\nmax_retries = 1\n"
    )

    def s3cmd(*arguments, **options):
        return run(S3CMD, "--config", configuration, "--no-progress", *arguments, env=ENVIRONMENT, **options)

    bucket = "s3cmd"
    s3cmd("mb", f"s3://{bucket}")
    s3cmd("sync", f"{source}/", f"s3://{bucket}/tree/")
    assert "upload:" not in s3cmd("sync", f"{source}/", f"s3://{bucket}/tree/").stdout
    back.mkdir()
    s3cmd("sync", f"s3://{bucket}/tree/", f"{back}/")
    assert sums(back) == digests
    assert s3.head_object(Bucket=bucket, Key="tree/big")["ETag"].endswith('-3"')
    assert len(s3cmd("ls", "--recursive", f"s3://{bucket}").stdout.splitlines()) == len(digests)
    size = sum(path.stat().st_size for path in source.rglob("*") if path.is_file())
    assert s3cmd("du", f"s3://{bucket}").stdout.split()[:2] == [str(size), str(len(digests))]

    # On the server: copied, moved, described.
    s3cmd("cp", f"s3://{bucket}/tree/big", f"s3://{bucket}/copy")
    s3cmd("mv", f"s3://{bucket}/copy", f"s3://{bucket}/moved")
    assert hashlib.sha256(read(s3, bucket, "moved")).hexdigest() == digests["big"]
    s3cmd("modify", "--add-header", "x-amz-meta-of: s3cmd", f"s3://{bucket}/moved")
    assert "x-amz-meta-of: s3cmd" in s3cmd("info", f"s3://{bucket}/moved").stdout
    assert s3.head_object(Bucket=bucket, Key="moved")["Metadata"]["of"] == "s3cmd"

    # All goes, with the bucket, and is read as it was.
    before = moment()
    s3cmd("rb", "--recursive", "--force", f"s3://{bucket}")
    assert bucket not in s3cmd("ls").stdout
    old.mkdir()
    s3cmd("sync", f"s3://{past(bucket, before)}/tree/", f"{old}/")
    assert sums(old) == digests
    network.json("undelete", bucket)
    new.mkdir()
    s3cmd("sync", f"s3://{bucket}/tree/", f"{new}/")
    assert sums(new) == digests


@pytest.fixture
def s3fs(network, tmp_path):
    """Mounts buckets."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"this machine has no FUSE: {error}")
    secret = tmp_path / "passwd-s3fs"
    secret.write_text(f"{network.facts['access_key']}:{network.facts['secret_key']}")
    secret.chmod(0o600)

    @contextlib.contextmanager
    def mount(bucket, *options):
        at = tmp_path / "mounted"
        at.mkdir(exist_ok=True)
        # As many small parts as S3 allows, so that little data has several.
        options = (f"url={network.endpoint}", f"passwd_file={secret}", "use_path_request_style", "multipart_size=5", *options)
        run("s3fs", bucket, at, "-o", ",".join(options), env=ENVIRONMENT, cwd=tmp_path)
        try:
            wait_for(lambda: os.path.ismount(at), 10, f"{bucket} is mounted")
            yield at
        finally:
            unmount = ("umount",) if os.geteuid() == 0 else ("fusermount", "-u")
            run(*unmount, at)
            wait_for(lambda: not os.path.ismount(at), 10, f"{bucket} is unmounted")

    return mount


def test_s3fs_is_a_file_system(s3fs, s3, bucket, tmp_path):
    source = tmp_path / "source"
    digests = tree(source, files=20)
    (source / "big").write_bytes(os.urandom(17_000_000))
    digests |= {"big": sums(source)["big"]}
    with s3fs(bucket) as at:
        shutil.copytree(source, at / "tree")
        assert sums(at / "tree") == digests
        # A rename copies on the server; an append of what is large sends its end and copies the rest.
        os.rename(at / "tree" / "big", at / "tree" / "renamed")
        with open(at / "tree" / "renamed", "ab") as file:
            file.write(b"appended")
        (at / "tree" / "empty").unlink()
        os.rename(at / "tree" / "d1", at / "tree" / "elsewhere")
    (source / "big").rename(source / "renamed")
    with open(source / "renamed", "ab") as file:
        file.write(b"appended")
    (source / "empty").unlink()
    (source / "d1").rename(source / "elsewhere")
    digests = sums(source)
    # Another mount has nothing cached.
    with s3fs(bucket) as at:
        assert sums(at / "tree") == digests
    assert hashlib.sha256(read(s3, bucket, "tree/renamed")).hexdigest() == digests["renamed"]
    before = moment()
    with s3fs(bucket) as at:
        shutil.rmtree(at / "tree")
        assert os.listdir(at) == []
    with s3fs(past(bucket, before), "ro") as at:
        assert sums(at / "tree") == digests
