"""The program's own commands on the shared network, and the receipts that they fetch and verify."""

import json
import random

import pytest
from clients import read, sha256
from network import OUTLAST, VERIFY, run

NOT_FOUND, CONFLICT, NOT_PROVEN = 3, 8, 7


def test_put_get_ls_stat_rm(network, s3, tmp_path):
    [made] = network.json("mb", "cli-bucket")
    assert made["bucket"] == "cli-bucket"
    data = random.Random(3).randbytes(3_000_000)
    (tmp_path / "file").write_bytes(data)
    [stored] = network.json("put", tmp_path / "file", "cli-bucket/a/file")
    assert stored["bytes"] == len(data)
    network.outlast("put", "-", "cli-bucket/a/from stdin", input="some text")
    network.outlast("get", "cli-bucket/a/file", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data
    assert network.outlast("get", "cli-bucket/a/from stdin", "-").stdout == "some text"
    # S3 clients and the program see the same.
    assert read(s3, "cli-bucket", "a/file") == data
    assert [item["bucket"] for item in network.json("ls")].count("cli-bucket") == 1
    assert network.json("ls", "cli-bucket") == [{"prefix": "a/"}]
    assert [item["key"] for item in network.json("ls", "cli-bucket", "--recursive")] == ["a/file", "a/from stdin"]
    [stat] = network.json("stat", "cli-bucket/a/file")
    assert (stat["bytes"], f'"{stat["etag"]}"') == (len(data), s3.head_object(Bucket="cli-bucket", Key="a/file")["ETag"])
    [deleted] = network.json("rm", "cli-bucket/a/file")
    assert network.outlast("stat", "cli-bucket/a/file", check=False).returncode == NOT_FOUND
    network.outlast("get", "cli-bucket/a/file", tmp_path / "old", "--version", deleted["version_before"])
    assert (tmp_path / "old").read_bytes() == data


def test_errors_say_what_to_do(network, bucket, tmp_path):
    (tmp_path / "file").write_text("x")
    network.outlast("put", tmp_path / "file", f"{bucket}/k")
    for arguments, exit_code in [
        (["get", f"{bucket}/none"], NOT_FOUND),
        (["get", "no-such-bucket/k"], NOT_FOUND),
        (["ls", "no-such-bucket"], NOT_FOUND),
        (["mb", bucket], CONFLICT),
        (["put", tmp_path / "file", f"{bucket}/k", "--if-absent"], CONFLICT),
        (["put", tmp_path / "none", f"{bucket}/k"], 1),
        (["put", tmp_path / "file", "Bad_Bucket/k"], 2),
        (["frobnicate"], 2),
    ]:
        done = network.outlast(*arguments, check=False, cwd=tmp_path)
        assert done.returncode == exit_code, (arguments, done)
        assert done.stderr.startswith("error: "), done.stderr
        if exit_code == NOT_FOUND:
            assert "hint: " in done.stderr
        done = network.outlast(*arguments, "--json", check=False, cwd=tmp_path)
        assert done.returncode == exit_code and done.stdout == ""
        if exit_code != 2:
            assert json.loads(done.stderr)["exit"] == exit_code


def test_status(network):
    status, exit_code = network.status()
    assert (status["health"], exit_code) == ("healthy", 0), status
    assert (status["voting"], status["quorum"], status["spare"], status["faults"]) == (4, 3, 1, 1)
    assert [node["index"] for node in status["nodes"]] == [0, 1, 2, 3]
    assert all(node["votes"] and not node["problems"] for node in status["nodes"])
    assert network.outlast("status").stdout.startswith("healthy: 4 of 4 nodes vote")


def test_further_keys_and_tenants(network, s3, bucket):
    import clients
    from botocore.exceptions import ClientError
    from network import wait_for

    [key] = network.json("key", "new")
    other = clients.s3(network, access_key=key["access_key"], secret_key=key["secret_key"])

    def accepted():
        try:
            return other.list_buckets()
        except ClientError:
            return None

    names = [item["Name"] for item in wait_for(accepted, 5, "the gateway takes a new key")["Buckets"]]
    assert bucket in names


@pytest.fixture(scope="module", params=["inline", "chunks", "parts"])
def proof(request, network, s3, tmp_path_factory):
    """A receipt, the genesis file and the contents: of an object within its transaction, in chunks, in parts."""
    directory = tmp_path_factory.mktemp(request.param)
    bucket = f"receipts-{request.param}"
    s3.create_bucket(Bucket=bucket)
    sizes = {"inline": [3000], "chunks": [2_500_000], "parts": [5 << 20, 5 << 20, 1000]}[request.param]
    parts = [random.Random(n).randbytes(size) for n, size in enumerate(sizes)]
    if len(parts) == 1:
        s3.put_object(Bucket=bucket, Key="k", Body=parts[0])
    else:
        upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
        here = {"Bucket": bucket, "Key": "k", "UploadId": upload}
        told = [
            {"PartNumber": n, "ETag": s3.upload_part(**here, PartNumber=n, Body=part)["ETag"]}
            for n, part in enumerate(parts, 1)
        ]
        s3.complete_multipart_upload(**here, MultipartUpload={"Parts": told})
    (directory / "file").write_bytes(b"".join(parts))
    (directory / "genesis").write_bytes((network.dir / "genesis").read_bytes())
    network.outlast("receipt", f"{bucket}/k", "-o", directory / "receipt")
    return directory


def verify(directory, receipt, *more, program="outlast"):
    command = [OUTLAST, "verify"] if program == "outlast" else [VERIFY]
    return run(*command, receipt, "--genesis", directory / "genesis", *more, check=False, timeout=20)


@pytest.mark.parametrize("program", ["outlast", "outlast-verify"])
def test_a_receipt_proves_offline(proof, program):
    assert verify(proof, proof / "receipt", program=program).returncode == 0
    assert verify(proof, proof / "receipt", "--file", proof / "file", program=program).returncode == 0


@pytest.mark.parametrize("program", ["outlast", "outlast-verify"])
def test_another_file_is_not_proven(proof, tmp_path, program):
    data = (proof / "file").read_bytes()
    middle = len(data) // 2
    altered = [
        data[:-1], data + b"\0", b"", data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
    ]
    for contents in altered:
        (tmp_path / "file").write_bytes(contents)
        done = verify(proof, proof / "receipt", "--file", tmp_path / "file", program=program)
        assert done.returncode == (NOT_PROVEN if program == "outlast" else 1)
        assert done.stderr.strip()


def test_no_altered_receipt_proves(proof, tmp_path):
    whole = (proof / "receipt").read_bytes()
    rng = random.Random(5)
    # All flips and all truncations are a unit test of the crate; here, a sample through the real programs.
    positions = {0, len(whole) - 1} | {rng.randrange(len(whole)) for _ in range(60)}
    forged = []
    for position in positions:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << rng.randrange(8)
        forged.append((f"flip at {position}", bytes(flipped)))
    forged += [(f"cut to {n}", whole[:n]) for n in [0, 1, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(10))]]
    forged.append(("longer", whole + b"\0"))
    for what, contents in forged:
        (tmp_path / "receipt").write_bytes(contents)
        for program, refusal in (("outlast-verify", 1), ("outlast", NOT_PROVEN)):
            done = verify(proof, tmp_path / "receipt", program=program)
            assert done.returncode == refusal, (what, program, done)


def test_a_receipt_of_another_network_is_not_proven(proof, fresh, tmp_path):
    other = fresh(nodes=1).start()
    other.stop()
    done = run(OUTLAST, "verify", proof / "receipt", "--genesis", other.dir / "genesis", check=False)
    assert done.returncode == NOT_PROVEN


def test_an_object_is_the_same_after_all(network, s3, proof):
    bucket = f"receipts-{proof.name.rstrip('0123456789')}"
    assert sha256(read(s3, bucket, "k")) == sha256((proof / "file").read_bytes())
