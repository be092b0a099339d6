"""Salvage: objects read off bare disks, without any node running."""

import json
import os
import random
import shutil

import pytest
from clients import s3, sha256
from network import OUTLAST, Network, run, wait_for

FAILED, USAGE, NOT_PROVEN, CONFLICT = 1, 2, 7, 8

# Keys that are no paths, or would lead astray.
HOSTILE = [
    "../../../escaped",
    "/absolute",
    "a",
    "a/b",
    "a/b/c",
    "a/",
    "empty//part",
    "dots/./../end",
    "..",
    "%2E%2E/percent",
    "back\\slash",
    "new\nline",
    "x" * 700,
    "d/" + "y" * 300 + "/z",
    "ü/…/日本",
]


class Disks:
    """What a network left behind, and what was stored in it."""

    def __init__(self, network, current, versions):
        self.network, self.current, self.versions = network, current, versions

    def copies(self, directory, *indices):
        """Copies of these nodes' directories, to be damaged."""
        copied = []
        for index in indices:
            copied.append(directory / f"copy-{index}")
            run("cp", "-a", "--sparse=always", self.network.node_directory(index), copied[-1])
        return copied

    def salvage(self, out, *directories, check=True, key=True, **options):
        arguments = ["--gateway", self.network.dir / "gateway/gateway.toml"] if key else []
        for name, value in options.items():
            arguments += [f"--{name.replace('_', '-')}"] + ([] if value is True else [value])
        done = run(OUTLAST, "salvage", *directories, "--out", out, "--json", *arguments, check=False)
        if check:
            assert done.returncode == 0, done
        return done

    def nodes(self, *indices):
        return [self.network.node_directory(index) for index in indices]


def listed(out):
    return [json.loads(line) for line in (out / "SALVAGED.jsonl").read_text().splitlines()]


def written(out):
    """(bucket, key) to sha-256 of the files that the list names; all other files are too many."""
    found, paths = {}, set()
    for line in listed(out):
        if "error" in line:
            continue
        path = out / line["file"]
        assert path.resolve().is_relative_to(out.resolve()) and not path.is_symlink()
        data = path.read_bytes()
        assert (len(data), sha256(data)) == (line["bytes"], line["sha256"]), line
        found[line["bucket"], line["key"]] = sha256(data)
        paths.add(path)
    there = {path for path in out.rglob("*") if path.is_file()}
    assert there == paths | {out / "SALVAGED.jsonl"}
    return found


def snapshot(directory):
    """All that can be seen of a tree without reading the files, but for times of access."""
    return {
        path: (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_mode)
        for path in directory.rglob("*")
        if (stat := path.lstat())
    }


@pytest.fixture(scope="module")
def disks():
    """Of a network that was killed at once, everywhere."""
    with Network() as network:
        network.start()
        client = s3(network)
        current, versions = {}, []

        def put(bucket, key, data):
            version = client.put_object(Bucket=bucket, Key=key, Body=data)["VersionId"]
            current[bucket, key] = sha256(data)
            versions.append((bucket, key, version, sha256(data)))

        for bucket in ("first", "second", "gone"):
            client.create_bucket(Bucket=bucket)
        # Nothing, inside the transaction, one chunk, several chunks.
        for size in (0, 1, 16 << 10, 17 << 10, 1 << 20, 3_500_001):
            put("first", f"size-{size}", os.urandom(size))
        for number, key in enumerate(HOSTILE):
            put("second", key, os.urandom(50 if number % 2 else 50_000))
        for turn in range(3):
            put("first", "overwritten", os.urandom(20_000 + turn))
        put("first", "deleted", os.urandom(30_000))
        client.delete_object(Bucket="first", Key="deleted")
        put("gone", "k", os.urandom(10))
        client.delete_object(Bucket="gone", Key="k")
        client.delete_bucket(Bucket="gone")
        parts, whole = [os.urandom(5 << 20), os.urandom(6 << 20), os.urandom(100)], b""
        upload = client.create_multipart_upload(Bucket="second", Key="parts")["UploadId"]
        done = []
        for number, part in enumerate(parts, 1):
            answer = client.upload_part(Bucket="second", Key="parts", UploadId=upload, PartNumber=number, Body=part)
            done.append({"PartNumber": number, "ETag": answer["ETag"]})
            whole += part
        client.complete_multipart_upload(
            Bucket="second", Key="parts", UploadId=upload, MultipartUpload={"Parts": done}
        )
        current["second", "parts"] = sha256(whole)
        del current["first", "deleted"], current["gone", "k"]

        def at_all_nodes():
            status, _ = network.status()
            return all(node["missing"] == 0 and node["problems"] == [] for node in status["nodes"])

        wait_for(at_all_nodes, 60, "all nodes hold all")
        network.kill_all()
        yield Disks(network, current, versions)


@pytest.mark.parametrize("pair", [(0, 1), (2, 3), (1, 3)])
def test_any_two_disks_give_all(disks, tmp_path, pair):
    directories = disks.nodes(*pair)
    before = [snapshot(directory) for directory in directories]
    report = json.loads(disks.salvage(tmp_path / "out", *directories).stdout)
    assert written(tmp_path / "out") == disks.current
    assert report["written"] == len(disks.current) and report["failed"] == 0 and report["missing_blocks"] == []
    assert [snapshot(directory) for directory in directories] == before, "nothing is written into the directories"
    # That is where `../../../escaped` would be, below `out/second`.
    assert not (tmp_path.parent / "escaped").exists()


def test_names_of_files(disks, tmp_path):
    disks.salvage(tmp_path / "out", *disks.nodes(0, 1), bucket="second")
    files = {line["key"]: line["file"] for line in listed(tmp_path / "out")}
    assert {"second"} == {line["bucket"] for line in listed(tmp_path / "out")}
    assert files["a/b/c"] == "second/a/b/c"
    assert files["a"] == "second/a%_" and files["a/b"] == "second/a/b%_" and files["a/"] == "second/a/%"
    assert files["../../../escaped"] == "second/%2E%2E/%2E%2E/%2E%2E/escaped"
    assert files["/absolute"] == "second/%/absolute"
    assert files["new\nline"] == "second/new%0Aline"
    assert files["ü/…/日本"] == "second/ü/…/日本"


def test_the_directory_of_a_whole_network(disks, tmp_path):
    report = json.loads(disks.salvage(tmp_path / "out", disks.network.dir).stdout)
    assert len(report["directories"]) == 4
    assert written(tmp_path / "out") == disks.current


def test_with_the_two_files_alone(disks, tmp_path):
    keys = {"genesis": disks.network.dir / "genesis", "master_key": disks.network.dir / "gateway/master.key"}
    disks.salvage(tmp_path / "out", *disks.nodes(1, 2), key=False, **keys)
    assert written(tmp_path / "out") == disks.current


def test_all_versions_and_moments(disks, tmp_path):
    disks.salvage(tmp_path / "all", *disks.nodes(0, 3), versions=True)
    lines = listed(tmp_path / "all")
    assert {(line["bucket"], line["key"], line["version"], line["sha256"]) for line in lines} >= set(disks.versions)
    assert len(lines) == len(disks.versions) + 1, "and the one of parts"
    assert len({line["file"] for line in lines}) == len(lines)
    second = [version for _, key, version, _ in disks.versions if key == "overwritten"][1]
    height = int(second[:16], 16)
    disks.salvage(tmp_path / "then", *disks.nodes(0, 3), at=height, bucket="first")
    then = {line["key"]: line["version"] for line in listed(tmp_path / "then")}
    assert then["overwritten"] == second and "deleted" not in then


def flip(path, count, seed):
    """Flips bits at random places that are no zeros."""
    chance, flipped = random.Random(seed), 0
    with open(path, "r+b") as file:
        size = path.stat().st_size
        while flipped < count:
            at = chance.randrange(size)
            file.seek(at)
            byte = file.read(1)
            if byte != b"\0":
                file.seek(at)
                file.write(bytes([byte[0] ^ 1 << chance.randrange(8)]))
                flipped += 1


def test_what_one_disk_lacks_another_has(disks, tmp_path):
    one, two, three = disks.copies(tmp_path, 0, 1, 2)
    flip(one / "storage/node-shards/00000000", 30, seed=1)
    shutil.rmtree(two / "storage/node-chain-blocks-value")
    shutil.rmtree(two / "index")
    blocks = three / "storage/node-chain-blocks-value/0000000000000000"
    os.truncate(blocks, blocks.stat().st_size // 2)
    for directory in (one, two, three):
        shutil.rmtree(directory / "storage/node-chain-cache-cache-0-verified-value", ignore_errors=True)
    flip(one / "storage/node-chain-blocks-value/0000000000000000", 3, seed=2)
    disks.salvage(tmp_path / "out", one, two, three, disks.network.node_directory(3))
    assert written(tmp_path / "out") == disks.current


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_disk_gives_no_false_bytes(disks, tmp_path, seed):
    one, two = disks.copies(tmp_path, 2, 3)
    flip(one / "storage/node-shards/00000000", 25, seed)
    done = disks.salvage(tmp_path / "out", one, two, check=False)
    found = written(tmp_path / "out")
    failed = {(line["bucket"], line["key"]): line["error"] for line in listed(tmp_path / "out") if "error" in line}
    assert done.returncode == FAILED and failed
    assert found | dict.fromkeys(failed) == disks.current | dict.fromkeys(failed)
    assert all("of the 2 shards needed are in these directories" in error for error in failed.values())
    assert all(error in done.stderr for error in failed.values())
    report = json.loads(done.stdout)
    assert report["failed"] == len(failed) and report["written"] == len(found)


def test_blocks_that_no_disk_has_are_told(disks, tmp_path):
    one, two = disks.copies(tmp_path, 0, 1)
    for directory in (one, two):
        shutil.rmtree(directory / "storage/node-chain-cache-cache-0-verified-value", ignore_errors=True)
        blocks = directory / "storage/node-chain-blocks-value/0000000000000000"
        size = blocks.stat().st_size
        with open(blocks, "r+b") as file:
            file.seek(size // 2)
            file.write(b"\xff" * 2000)
    done = disks.salvage(tmp_path / "out", one, two, check=False)
    report = json.loads(done.stdout)
    assert done.returncode == FAILED and report["missing_blocks"]
    found = written(tmp_path / "out")
    # An older version of a key may be taken for the current one when what replaced it is in a block that is missing.
    ever = {(bucket, key, digest) for bucket, key, _, digest in disks.versions}
    ever |= {(bucket, key, digest) for (bucket, key), digest in disks.current.items()}
    assert found and all((bucket, key, digest) in ever for (bucket, key), digest in found.items())


def test_too_few_disks(disks, tmp_path):
    done = disks.salvage(tmp_path / "out", *disks.nodes(2), check=False)
    assert done.returncode == FAILED
    found = written(tmp_path / "out")
    assert found.items() <= disks.current.items()
    assert ("first", f"size-{16 << 10}") in found, "what is inside transactions is on every disk"
    errors = {line["key"]: line["error"] for line in listed(tmp_path / "out") if "error" in line}
    assert "1 of the 2 shards needed" in errors[f"size-{1 << 20}"]
    # A second copy of the same disk is no second disk.
    done = disks.salvage(tmp_path / "twice", *disks.nodes(2, 2), check=False)
    assert done.returncode == FAILED and written(tmp_path / "twice") == found


def test_another_key_opens_nothing(disks, tmp_path):
    key = tmp_path / "master.key"
    key.write_text("ab" * 32 + "\n")
    key.chmod(0o600)
    done = disks.salvage(
        tmp_path / "out", *disks.nodes(0, 1), check=False, key=False, genesis=disks.network.dir / "genesis", master_key=key
    )
    assert done.returncode == FAILED
    assert written(tmp_path / "out") == {}
    assert "under another master key" in done.stderr
    assert json.loads(done.stdout)["failed"] == len(disks.current)


def test_another_network_proves_nothing(disks, tmp_path):
    run(OUTLAST, "init", "--out", tmp_path / "other", *[
        argument for port in range(7000, 7008, 2) for argument in ("--node", f"127.0.0.1:{port}:{port + 1}")
    ])
    done = disks.salvage(
        tmp_path / "out",
        *disks.nodes(0, 1),
        check=False,
        key=False,
        genesis=tmp_path / "other/genesis",
        master_key=tmp_path / "other/gateway/master.key",
    )
    assert done.returncode == NOT_PROVEN and "--genesis" in done.stderr


def test_what_is_there_is_not_touched(disks, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    done = disks.salvage(tmp_path, *disks.nodes(0, 1), check=False)
    assert done.returncode == CONFLICT and "not empty" in done.stderr
    assert os.listdir(tmp_path) == ["thesis.txt"]
    done = disks.salvage(tmp_path / "out", disks.network.dir / "config", check=False)
    assert done.returncode == USAGE and "no node's directory" in done.stderr
    done = disks.salvage(tmp_path / "other", *disks.nodes(0, 1), check=False, bucket="nonsuch")
    assert done.returncode == 3 and "nonsuch" in done.stderr


def test_a_running_network_may_be_read_too(fresh, tmp_path):
    network = fresh().start()
    client = s3(network)
    client.create_bucket(Bucket="bucket")
    data = {f"k{number}": os.urandom(40_000) for number in range(5)}
    for key, value in data.items():
        client.put_object(Bucket="bucket", Key=key, Body=value)
    disks = Disks(network, {("bucket", key): sha256(value) for key, value in data.items()}, [])
    disks.salvage(tmp_path / "out", network.dir)
    assert written(tmp_path / "out") == disks.current
    assert network.status()[1] == 0


def survey(disks, *directories, check=True):
    done = run(OUTLAST, "survey", *directories, "--json", "--genesis", disks.network.dir / "genesis", check=check)
    return json.loads(done.stdout), done.returncode


def test_a_survey_tells_what_there_is(disks, tmp_path):
    before = snapshot(disks.network.dir)
    all_four, _ = survey(disks, disks.network.dir)
    versions = len(disks.versions) + 1
    assert all_four["versions"] == all_four["readable"] == versions and all_four["unreadable"] == 0
    assert list(all_four["by_shards"]) == ["4"] and all_four["at_risk"] == 0
    assert all_four["inline"] + all_four["by_shards"]["4"] == versions
    assert len(all_four["signers"]) >= 3 and all_four["missing_blocks"] == []
    assert all(survivor["last_view"] >= all_four["view"] for survivor in all_four["survivors"])
    assert all(0 < survivor["height"] <= all_four["height"] for survivor in all_four["survivors"])
    assert snapshot(disks.network.dir) == before
    two, _ = survey(disks, *disks.nodes(0, 2))
    assert two["by_shards"] == {"2": all_four["by_shards"]["4"]} and two["at_risk"] == all_four["by_shards"]["4"]
    one, exit_code = survey(disks, *disks.nodes(3), check=False)
    assert exit_code == FAILED and one["readable"] == one["inline"] == all_four["inline"]
    (copy,) = disks.copies(tmp_path, 1)
    flip(copy / "storage/node-shards/00000000", 25, seed=9)
    damaged, exit_code = survey(disks, copy, *disks.nodes(0), check=False)
    assert exit_code == FAILED and 0 < damaged["unreadable"] < all_four["by_shards"]["4"]
    assert damaged["unreadable"] == damaged["by_shards"]["1"]
