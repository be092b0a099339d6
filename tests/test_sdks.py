"""SDKs and command lines of S3, unmodified: the AWS CLI, the AWS SDK for JavaScript, minio-py, boto3 over TLS."""

import datetime
import io
import os
import pathlib
import re
import sys
import urllib.request

import clients
import minio
import pytest
import urllib3
from clients import moment, past, read, sums, tree
from minio.commonconfig import COMPLIANCE, ComposeSource, CopySource, Tags
from minio.deleteobjects import DeleteObject
from minio.retention import Retention
from network import BINARIES, ENVIRONMENT, ROOT, run

# The first version is PyPI's, the second Debian's.
AWS = {"v1": pathlib.Path(sys.executable).parent / "aws", "v2": "/usr/bin/aws"}


@pytest.fixture(params=AWS)
def aws(request, network, tmp_path):
    configuration = tmp_path / "config"
    # Without this, version 1 presigns with SigV2, which is refused.
    configuration.write_text("[default]\ns3 =\n  signature_version = s3v4\n")
    environment = ENVIRONMENT | network.credentials | {"AWS_CONFIG_FILE": str(configuration), "HOME": str(tmp_path)}
    # Versions before AWS_ENDPOINT_URL are told.
    told = ("--endpoint-url", network.endpoint)

    def call(*arguments, **options):
        return run(AWS[request.param], *told, *arguments, env=environment, **options)

    call.version = request.param
    return call


def test_aws_cli(aws, network, s3, tmp_path):
    bucket = f"aws-cli-{aws.version}"
    source, back, old = (tmp_path / name for name in ("source", "back", "old"))
    digests = tree(source, files=30)
    (source / "big").write_bytes(os.urandom(18_000_000))
    digests |= {"big": sums(source)["big"]}

    aws("s3", "mb", f"s3://{bucket}")
    sent = aws("s3", "sync", "--no-progress", source, f"s3://{bucket}/tree").stdout
    assert sent.count("upload:") == len(digests)
    assert aws("s3", "sync", source, f"s3://{bucket}/tree").stdout == ""
    aws("s3", "sync", f"s3://{bucket}/tree", back)
    assert sums(back) == digests
    assert s3.head_object(Bucket=bucket, Key="tree/big")["ETag"].endswith('-3"')
    listed = aws("s3", "ls", "--recursive", "--summarize", f"s3://{bucket}").stdout
    assert f"Total Objects: {len(digests)}" in listed

    # From standard input and to standard output; presigned; moved on the server.
    aws("s3", "cp", "-", f"s3://{bucket}/piped", input="through a pipe")
    assert aws("s3", "cp", f"s3://{bucket}/piped", "-").stdout == "through a pipe"
    url = aws("s3", "presign", f"s3://{bucket}/piped").stdout.strip()
    with urllib.request.urlopen(url, timeout=30) as answer:
        assert answer.read() == b"through a pipe"
    aws("s3", "mv", f"s3://{bucket}/tree/big", f"s3://{bucket}/big")
    assert clients.sha256(read(s3, bucket, "big")) == digests["big"]
    aws("s3api", "put-object-tagging", "--bucket", bucket, "--key", "big", "--tagging", "TagSet=[{Key=a,Value=b}]")
    tag = aws("s3api", "get-object-tagging", "--bucket", bucket, "--key", "big", "--query", "TagSet[0].Value", "--output", "text")
    assert tag.stdout.strip() == "b"
    query = ("--query", "length(Versions)", "--output", "text")
    count = aws("s3api", "list-object-versions", "--bucket", bucket, *query).stdout.strip()
    assert count == str(len(digests) + 2)

    # All of it goes, with the bucket, and is read as it was.
    before = moment()
    aws("s3", "rb", "--force", f"s3://{bucket}")
    assert bucket not in aws("s3", "ls").stdout
    aws("s3", "sync", f"s3://{past(bucket, before)}", old)
    del digests["big"]
    assert sums(old / "tree") == digests
    *_, done = network.json("undelete", bucket)
    assert done["bucket_undeleted"]
    assert aws("s3", "cp", f"s3://{bucket}/piped", "-").stdout == "through a pipe"


def test_aws_cli_goes_on_after_an_empty_file(aws, bucket, tmp_path):
    """Its botocore is confused by a server that answers an empty body's `Expect: 100-continue` and goes on."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("a", "b", "c"):
        (source / name).write_text("" if name == "b" else name)
    # One connection, on which they follow each other.
    with open(tmp_path / "config", "a") as configuration:
        configuration.write("  max_concurrent_requests = 1\n")
    sent = aws("--debug", "--cli-read-timeout", "5", "s3", "sync", source, f"s3://{bucket}")
    assert "100 Continue response seen" in sent.stderr
    assert "Failed to parse headers" not in sent.stderr


def test_aws_cli_writes_on_condition(aws, bucket, tmp_path):
    if aws.version == "v2":
        pytest.skip("Debian's version 2 is older than conditional writes")
    body = tmp_path / "body"
    body.write_text("once")
    put = ("s3api", "put-object", "--bucket", bucket, "--body", body, "--if-none-match", "*", "--key")
    aws(*put, "k", "--checksum-algorithm", "SHA256")
    again = aws(*put, "k", check=False)
    assert again.returncode != 0 and "PreconditionFailed" in again.stderr


@pytest.fixture(params=["http", "https"])
def either(request):
    """A network that speaks plainly, and one that speaks TLS, where SDKs send other payloads."""
    return request.getfixturevalue("network" if request.param == "http" else "secure")


def test_aws_sdk_for_javascript(either):
    s3, bucket = clients.s3(either), "javascript"
    s3.create_bucket(Bucket=bucket)
    version = run("node", "--version").stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"the SDK needs Node.js 20, this machine has {version}")
    environment = ENVIRONMENT | either.credentials | {"NODE_PATH": str(BINARIES.parent / "js" / "node_modules")}
    if authority := either.facts.get("s3_ca"):
        environment["NODE_EXTRA_CA_CERTS"] = authority

    def script(*arguments):
        run("node", ROOT / "tests" / "js" / "s3.cjs", *arguments, env=environment)

    script("run", bucket)
    before = moment()
    for item in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        s3.delete_object(Bucket=bucket, Key=item["Key"])
    script("past", past(bucket, before))


def test_boto3_over_tls(secure):
    s3, bucket = clients.s3(secure), "boto3"
    s3.create_bucket(Bucket=bucket)
    data = os.urandom(17 << 20)
    s3.upload_fileobj(io.BytesIO(data), bucket, "parts")
    assert read(s3, bucket, "parts") == data
    for algorithm in ("CRC32", "SHA1", "SHA256"):
        made = s3.put_object(Bucket=bucket, Key="k", Body=data[:100_000], ChecksumAlgorithm=algorithm)
        answer = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
        assert answer["Body"].read() == data[:100_000]
        assert answer[f"Checksum{algorithm}"] == made[f"Checksum{algorithm}"]


def test_minio_py(either, tmp_path):
    address = re.sub(r"^https?://", "", either.endpoint)
    authority = either.facts.get("s3_ca")
    client = minio.Minio(
        address,
        access_key=either.facts["access_key"],
        secret_key=either.facts["secret_key"],
        secure=bool(authority),
        region="us-east-1",
        http_client=urllib3.PoolManager(ca_certs=authority) if authority else None,
    )
    bucket = "minio-py"
    client.make_bucket(bucket, object_lock=True)
    assert client.bucket_exists(bucket) and not client.bucket_exists("minio-not")
    assert client.get_bucket_versioning(bucket).status == "Enabled"

    def got(key, where=bucket, **options):
        answer = client.get_object(where, key, **options)
        try:
            return answer.read()
        finally:
            answer.close()
            answer.release_conn()

    data, odd = os.urandom(11 << 20), "dir/Привет + 100%/日本.bin"
    tags = Tags.new_object_tags()
    tags["a"] = "1"
    small = client.put_object(bucket, odd, io.BytesIO(data[:9000]), 9000, metadata={"of": "minio"}, tags=tags)
    # Of unknown length, in parts.
    client.put_object(bucket, "parts", io.BytesIO(data), -1, part_size=5 << 20)
    (tmp_path / "file").write_bytes(data[:100_000])
    client.fput_object(bucket, "file", tmp_path / "file")
    client.fget_object(bucket, "parts", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data
    assert got(odd) == data[:9000]
    assert got("parts", offset=100, length=50) == data[100:150]
    stat = client.stat_object(bucket, odd)
    assert (stat.size, stat.metadata["x-amz-meta-of"], stat.version_id) == (9000, "minio", small.version_id)
    assert dict(client.get_object_tags(bucket, odd)) == {"a": "1"}
    assert [item.object_name for item in client.list_objects(bucket, recursive=True)] == [odd, "file", "parts"]
    # It gives the keys of a page before the common prefixes.
    assert [item.object_name for item in client.list_objects(bucket)] == ["file", "parts", "dir/"]

    # Made on the server of others.
    client.copy_object(bucket, "copy", CopySource(bucket, odd))
    assert got("copy") == data[:9000]
    sources = [ComposeSource(bucket, "parts"), ComposeSource(bucket, "file", offset=10, length=500)]
    client.compose_object(bucket, "composed", sources)
    assert got("composed") == data + data[10:510]

    for url, sent in (
        (client.presigned_put_object(bucket, "presigned"), b"by a browser"),
        (client.presigned_get_object(bucket, "presigned"), None),
    ):
        request = urllib.request.Request(url, data=sent, method="PUT" if sent else "GET")
        context = clients.trust(authority) if authority else None
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            assert answer.read() == (b"" if sent else b"by a browser")

    # Versions, locks, deletes, the past.
    until = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) + datetime.timedelta(seconds=20)
    held = client.put_object(bucket, "held", io.BytesIO(b"x"), 1, retention=Retention(COMPLIANCE, until), legal_hold=True)
    assert client.is_object_legal_hold_enabled(bucket, "held")
    assert client.get_object_retention(bucket, "held").mode == COMPLIANCE
    client.disable_object_legal_hold(bucket, "held")
    with pytest.raises(minio.S3Error) as error:
        client.remove_object(bucket, "held", version_id=held.version_id)
    assert error.value.code == "AccessDenied"
    before = moment()
    listed = list(client.list_objects(bucket, recursive=True, include_version=True))
    assert [item.object_name for item in listed] == ["composed", "copy", odd, "file", "held", "parts", "presigned"]
    wanted = [DeleteObject(item.object_name, item.version_id) for item in listed]
    refused = list(client.remove_objects(bucket, wanted))
    assert [(item.name, item.code) for item in refused] == [("held", "AccessDenied")]
    assert [item.object_name for item in client.list_objects(bucket, recursive=True)] == ["held"]
    then = past(bucket, before)
    assert got("parts", then) == data and got(odd, then) == data[:9000]
    assert len(list(client.list_objects(then, recursive=True))) == len(listed)
