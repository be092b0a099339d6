"""Lifecycle rules, bucket policies and quotas, with real gateways and nodes."""

import concurrent.futures
import contextlib
import json
import time
import urllib.error
import urllib.request

import clients
import network as driver
import pytest
from botocore.exceptions import ClientError
from clients import code, read, status
from test_gateways import second_gateway

FAST = "\n[lifecycle]\nevery_seconds = 1\nactions_per_second = 200\n"


@pytest.fixture
def swept(fresh):
    """A network whose gateway, and every copy of it, executes lifecycle rules every second."""
    network = fresh().start()
    network.stop()
    with open(network.dir / "gateway" / "gateway.toml", "a") as config:
        config.write(FAST)
    return network.start()


def rules(client, bucket, *given):
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": list(given)})


def due(**more):
    """A rule that ends objects at once."""
    return {"Status": "Enabled", "Expiration": {"Date": "2020-01-01T00:00:00Z"}, **more}


def keys(client, bucket):
    return [listed["Key"] for listed in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_gateways_end_what_is_due_and_put_one_marker_each(swept):
    with second_gateway(swept) as other:
        here, there = clients.s3(swept), clients.s3(other)
        here.create_bucket(Bucket="ends")
        for number in range(40):
            here.put_object(Bucket="ends", Key=f"logs/{number:02}", Body=b"x")
        here.put_object(Bucket="ends", Key="logs/long", Body=b"x" * 200)
        here.put_object(Bucket="ends", Key="tagged", Body=b"x", Tagging="end=soon")
        here.put_object(Bucket="ends", Key="kept", Body=b"x")
        upload = here.create_multipart_upload(Bucket="ends", Key="logs/upload")["UploadId"]
        small = {"And": {"Prefix": "logs/", "ObjectSizeLessThan": 100}}
        tagged = {"Tag": {"Key": "end", "Value": "soon"}}
        rules(there, "ends", due(ID="small", Filter=small), due(ID="tagged", Filter=tagged))
        driver.wait_for(lambda: keys(here, "ends") == ["kept", "logs/long"], 60, "what is due has ended")
        assert keys(there, "ends") == ["kept", "logs/long"]
        time.sleep(3)
        listed = here.list_object_versions(Bucket="ends", Prefix="logs/")
        assert len(listed["DeleteMarkers"]) == 40, "one marker for each, though two gateways put them"
        first = next(version for version in listed["Versions"] if version["Key"] == "logs/00")
        assert read(there, "ends", "logs/00", VersionId=first["VersionId"]) == b"x"
        assert here.list_multipart_uploads(Bucket="ends")["Uploads"][0]["UploadId"] == upload
        here.delete_bucket_lifecycle(Bucket="ends")
        swept.outlast("undelete", "ends/logs/00")
        time.sleep(3)
        assert read(here, "ends", "logs/00") == b"x"


def test_what_would_destroy_is_refused(s3, bucket):
    for more in (
        {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"Transitions": [{"Days": 1, "StorageClass": "GLACIER"}]},
    ):
        with pytest.raises(ClientError) as error:
            rules(s3, bucket, {"Status": "Enabled", "Filter": {}, **more})
        assert code(error) == "NotImplemented"
    given = {"ID": "later", "Status": "Enabled", "Filter": {"Prefix": "a/"}, "Expiration": {"Days": 3}}
    rules(s3, bucket, given)
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == [given]
    s3.put_object(Bucket=bucket, Key="a/1", Body=b"x")
    assert 'rule-id="later"' in s3.head_object(Bucket=bucket, Key="a/1")["Expiration"]


def anonymous(network, path, method="GET", data=None):
    request = urllib.request.Request(f"{network.endpoint}/{path}", method=method, data=data)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def statement(effect, principal, action, resource, **more):
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": f"arn:aws:s3:::{resource}", **more}


def policy(client, bucket, *statements):
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))


def test_a_prefix_is_public_at_every_gateway(network, s3, bucket):
    for key in ("public/a b", "private/a"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert anonymous(network, f"{bucket}/public/a%20b")[0] == 403
    listing = {"Condition": {"StringLike": {"s3:prefix": "public/*"}}}
    policy(
        s3,
        bucket,
        statement("Allow", "*", "s3:GetObject", f"{bucket}/public/*"),
        statement("Allow", "*", "s3:ListBucket", bucket, **listing),
    )
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]
    with second_gateway(network) as other:
        for gateway in (network, other):
            reads = lambda path, gateway=gateway, **more: anonymous(gateway, path, **more)
            driver.wait_for(lambda: reads(f"{bucket}/public/a%20b") == (200, b"public/a b"), 10, "the policy counts")
            assert reads(f"{bucket}/public/a%20b", method="HEAD")[0] == 200
            assert b"<Key>public/a b</Key>" in reads(f"{bucket}?list-type=2&prefix=public%2F")[1]
            for path in (f"{bucket}/private/a", f"{bucket}?list-type=2", f"{bucket}?policy", ""):
                assert reads(path)[0] == 403, path
            assert reads(f"{bucket}/public/new", method="PUT", data=b"x")[0] == 403
            assert reads(f"{bucket}/public/a%20b", method="DELETE")[0] == 403
        block = {"RestrictPublicBuckets": True}
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
        assert anonymous(network, f"{bucket}/public/a%20b")[0] == 403
        driver.wait_for(lambda: anonymous(other, f"{bucket}/public/a%20b")[0] == 403, 10, "the block counts")
    s3.delete_public_access_block(Bucket=bucket)
    s3.delete_bucket_policy(Bucket=bucket)
    assert anonymous(network, f"{bucket}/public/a%20b")[0] == 403


def test_a_denial_binds_the_key_that_may_everything(network, s3, bucket):
    s3.put_object(Bucket=bucket, Key="keep/a", Body=b"x")
    me = {"AWS": network.facts["access_key"]}
    policy(s3, bucket, statement("Deny", me, "s3:Delete*", f"{bucket}/keep/*"))
    with pytest.raises(ClientError) as error:
        s3.delete_object(Bucket=bucket, Key="keep/a")
    assert code(error) == "AccessDenied"
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "keep/a"}]})
    assert [failed["Code"] for failed in answer["Errors"]] == ["AccessDenied"]
    s3.delete_bucket_policy(Bucket=bucket)
    s3.delete_object(Bucket=bucket, Key="keep/a")
    for bad in (
        statement("Allow", "*", "s3:GetObject", f"{bucket}/*", Condition={"IpAddress": {"aws:SourceIp": "::1"}}),
        statement("Allow", {"AWS": "NOBODY"}, "s3:GetObject", f"{bucket}/*"),
    ):
        with pytest.raises(ClientError) as error:
            policy(s3, bucket, bad)
        assert code(error) == "MalformedPolicy"


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert (code(error), status(error)) == ("QuotaExceeded", 403)


def test_a_bucket_takes_no_more_than_its_quota(network, s3, bucket):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x" * 100_000)
    set_ = network.json("quota", bucket, "--bytes", "250K")[0]
    assert set_["bytes_max"] == 250 << 10 and 100_000 < set_["bytes"] < 100_100 and set_["objects"] == 1
    s3.put_object(Bucket=bucket, Key="a", Body=b"y" * 100_000)
    refused(s3.put_object, Bucket=bucket, Key="b", Body=b"z" * 200_000)
    refused(s3.copy_object, Bucket=bucket, Key="c", CopySource=f"{bucket}/a")
    # Deleting is always possible, and frees nothing.
    s3.delete_object(Bucket=bucket, Key="a")
    refused(s3.put_object, Bucket=bucket, Key="b", Body=b"z" * 200_000)
    network.outlast("quota", bucket, "--objects", "3")
    s3.put_object(Bucket=bucket, Key="b", Body=b"z" * 200_000)
    refused(s3.put_object, Bucket=bucket, Key="b", Body=b"")
    network.outlast("quota", bucket, "--none")
    s3.put_object(Bucket=bucket, Key="b", Body=b"")
    assert "without a limit" in network.outlast("quota", bucket).stdout


def test_of_many_writes_at_once_only_so_many_fit(network, s3, bucket):
    network.outlast("quota", bucket, "--objects", "10")
    with second_gateway(network) as other:
        both = [s3, clients.s3(other)]

        def attempt(number):
            with contextlib.suppress(ClientError):
                both[number % 2].put_object(Bucket=bucket, Key=f"k{number}", Body=b"x")
                return True
            return False

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert sum(pool.map(attempt, range(40))) == 10
    assert len(keys(s3, bucket)) == 10


def test_an_approver_limits_a_tenant(fresh):
    network = fresh().start()
    s3 = clients.s3(network)
    s3.create_bucket(Bucket="one")
    s3.put_object(Bucket="one", Key="a", Body=b"x" * 1000)
    network.outlast("quota", "--bytes", "2000")
    s3.create_bucket(Bucket="two")
    refused(s3.put_object, Bucket="two", Key="a", Body=b"x" * 1000)
    upload = s3.create_multipart_upload(Bucket="two", Key="b")["UploadId"]
    part = {"Bucket": "two", "Key": "b", "UploadId": upload, "PartNumber": 1}
    refused(s3.upload_part, **part, Body=b"x" * 1000)
    network.outlast("quota", "--none")
    s3.upload_part(**part, Body=b"x" * 1000)
    usage = network.json("quota")[0]
    assert usage["bucket"] is None and 2000 < usage["bytes"] < 2100 and usage["objects"] == 1
