"""What nodes, arguments and logs must not contain."""

import pathlib
import stat

import pytest
from clients import s3
from network import command_line

MARKER = b"the-crown-jewels-7f3a"


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """A network that was given the marker in every way there is, and stopped."""
    import network as driver

    with driver.Network() as network:
        network.start()
        lines = {name: command_line(pid) for name, pid in network.running().items()}
        client = s3(network)
        client.create_bucket(Bucket="bucket")
        text = MARKER.decode()
        for size in (1, 400, 20_000, 150_000):
            client.put_object(Bucket="bucket", Key=f"k{size}", Body=MARKER * size, ContentType=f"text/{text}", Metadata={"note": text})
        upload = client.create_multipart_upload(Bucket="bucket", Key="parts", ContentType=f"text/{text}", Metadata={"note": text})
        here = {"Bucket": "bucket", "Key": "parts", "UploadId": upload["UploadId"]}
        part = client.upload_part(**here, PartNumber=1, Body=MARKER * 300_000)
        client.complete_multipart_upload(**here, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
        etag = client.head_object(Bucket="bucket", Key="k400")["ETag"].strip('"')
        network.stop()
        yield network, lines, etag


def files(directory):
    return [path for path in pathlib.Path(directory).rglob("*") if path.is_file()]


def test_nodes_never_see_plaintext(used):
    network, _, etag = used
    found = files(network.dir / "nodes")
    assert len(found) > 20
    for path in found:
        data = path.read_bytes()
        assert MARKER not in data, path
        # The MD5 of what is stored would tell whoever guesses it that he guessed right.
        assert etag.encode() not in data and bytes.fromhex(etag) not in data, path


def test_secrets_are_in_files_of_their_owner_alone(used):
    network, lines, _ = used
    secret_files = [path for path in files(network.dir) if path.suffix == ".key" or path.name in ("access-keys.toml", "s3.env")]
    assert len(secret_files) >= 4 + 3 + 4
    for path in secret_files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(network.dir.stat().st_mode) & 0o077 == 0 or all(
        stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0 for path in secret_files
    )
    secrets = [path.read_text().strip().encode() for path in secret_files if path.suffix == ".key"]
    secrets.append(network.facts["secret_key"].encode())
    for name, line in lines.items():
        assert not any(secret.decode() in argument for secret in secrets for argument in line), name
    kept = [path for path in files(network.dir) if path not in secret_files] + [network.messages]
    for path in kept:
        data = path.read_bytes()
        for secret in secrets:
            assert secret not in data, path
            if len(secret) == 64:
                assert bytes.fromhex(secret.decode()) not in data, path
