"""TLS, access keys with scopes, and several gateways of one tenant at once."""

import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import types

import clients
import network as driver
import pytest
from botocore.exceptions import ClientError
from clients import code, read


@contextlib.contextmanager
def second_gateway(network, name="gateway-2"):
    """Another gateway of the first tenant: its files, and nothing of what the first has done."""
    directory = network.dir / name
    shutil.copytree(network.dir / "gateway", directory)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = directory / "gateway.toml"
    config.write_text(re.sub(r's3_listen = ".*"', f's3_listen = "127.0.0.1:{port}"', config.read_text()))
    with open(network.dir / f"{name}.log", "ab") as log:
        process = subprocess.Popen(
            [driver.OUTLAST, "gateway", "--config", config], stdout=subprocess.PIPE, stderr=log, env=driver.ENVIRONMENT, text=True
        )
    try:
        assert process.stdout.readline().strip() == "ready", (network.dir / f"{name}.log").read_text()
        yield types.SimpleNamespace(endpoint=f"http://127.0.0.1:{port}", facts=network.facts, process=process)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        shutil.rmtree(directory)


def test_of_many_conditional_puts_one_wins(network, s3, bucket):
    with second_gateway(network) as other:
        both = [s3, clients.s3(other)]

        def attempt(turn, writer):
            body = f"{turn}-{writer}".encode()
            try:
                both[writer % 2].put_object(Bucket=bucket, Key=f"k{turn}", Body=body, IfNoneMatch="*")
            except ClientError as error:
                assert error.response["Error"]["Code"] == "PreconditionFailed"
                return None
            return body

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for turn in range(5):
                won = [body for body in pool.map(lambda writer, turn=turn: attempt(turn, writer), range(16)) if body]
                assert len(won) == 1, won
                assert [read(client, bucket, f"k{turn}") for client in both] == won * 2


def test_gateways_show_the_same(network, s3, bucket):
    with second_gateway(network) as other:
        there = clients.s3(other)
        for turn in range(20):
            writer, reader = (s3, there) if turn % 2 else (there, s3)
            writer.put_object(Bucket=bucket, Key=f"k{turn:02}", Body=b"%d" % turn, Tagging=f"turn={turn}")
            assert read(reader, bucket, f"k{turn:02}") == b"%d" % turn
            assert reader.get_object_tagging(Bucket=bucket, Key=f"k{turn:02}")["TagSet"][0]["Value"] == str(turn)
            assert len(reader.list_objects_v2(Bucket=bucket)["Contents"]) == turn + 1

        def listed(client):
            pages = client.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 7})
            return [(item["Key"], item["VersionId"], item["ETag"]) for page in pages for item in page["Versions"]]

        assert listed(s3) == listed(there)


def test_an_upload_goes_on_at_another_gateway(network, s3, bucket):
    parts = [os.urandom(5 << 20), os.urandom(5 << 20), os.urandom(100)]
    with second_gateway(network) as lost:
        begun = clients.s3(lost)
        upload = begun.create_multipart_upload(Bucket=bucket, Key="k", Tagging="a=1", Metadata={"of": "both"})["UploadId"]
        at = {"Bucket": bucket, "Key": "k", "UploadId": upload}
        etags = [begun.upload_part(**at, PartNumber=1, Body=parts[0])["ETag"]]
        lost.process.kill()
        lost.process.wait()
    assert [part["ETag"] for part in s3.list_parts(**at)["Parts"]] == etags
    etags += [s3.upload_part(**at, PartNumber=number + 1, Body=parts[number])["ETag"] for number in (1, 2)]
    listed = [{"PartNumber": number + 1, "ETag": etag} for number, etag in enumerate(etags)]
    s3.complete_multipart_upload(**at, MultipartUpload={"Parts": listed})
    assert read(s3, bucket, "k") == b"".join(parts)
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"of": "both"}
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "1"}]


def test_keys_do_what_their_scope_says(network, s3, bucket):
    for key in ("tmp/a", "tmp/b", "keep/c"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    made = network.json("key", "new", "--allow", "list,mark", "--bucket", bucket, "--prefix", "tmp/")[0]
    housekeeper = clients.s3(network, access_key=made["access_key"], secret_key=made["secret_key"])

    def listed():
        try:
            return [item["Key"] for item in housekeeper.list_objects_v2(Bucket=bucket, Prefix="tmp/")["Contents"]]
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidAccessKeyId"
            return None

    assert driver.wait_for(listed, 10, "the gateway takes the new key") == ["tmp/a", "tmp/b"]
    assert [item["Name"] for item in housekeeper.list_buckets()["Buckets"]] == [bucket]
    housekeeper.delete_object(Bucket=bucket, Key="tmp/a")
    for call, arguments in (
        (housekeeper.get_object, {"Key": "tmp/b"}),
        (housekeeper.delete_object, {"Key": "keep/c"}),
        (housekeeper.put_object, {"Key": "tmp/d", "Body": b"y"}),
        (housekeeper.list_objects_v2, {}),
    ):
        with pytest.raises(ClientError) as error:
            call(Bucket=bucket, **arguments)
        assert code(error) == "AccessDenied"
    assert network.outlast("key", "new", "--allow", "destroy", check=False).returncode == 2


def test_s3_over_tls(fresh):
    network = fresh(nodes=1).start("--tls")
    assert network.endpoint.startswith("https://")
    directory = network.dir / "gateway"
    for name in ("tls-key.pem", "tls-cert.pem"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    s3 = clients.s3(network)
    s3.create_bucket(Bucket="secure")
    data = os.urandom(3 << 20)
    s3.put_object(Bucket="secure", Key="k", Body=data)
    assert read(s3, "secure", "k") == data
    # Who does not trust the authority does not get through, and plain HTTP is not answered.
    address = network.endpoint.removeprefix("https://")
    host, port = address.rsplit(":", 1)
    with pytest.raises(ssl.SSLCertVerificationError), socket.create_connection((host, int(port))) as plain:
        ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    environment = {**driver.ENVIRONMENT, **network.credentials}
    shell = f". {directory / 's3.env'} && env"
    told = driver.run("sh", "-c", shell, env=environment).stdout
    assert f"AWS_CA_BUNDLE={network.facts['s3_ca']}" in told.replace("'", "")
    authority = (directory / "tls-ca.pem").read_bytes()
    network.stop()
    network.start()
    assert network.endpoint.startswith("https://") and (directory / "tls-ca.pem").read_bytes() == authority
    assert read(clients.s3(network), "secure", "k") == data
    assert json.loads(network.outlast("stat", "secure/k", "--json").stdout)
