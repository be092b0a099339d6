"""Buckets, listings, deletions and refusals through S3."""

import http.client
import urllib.parse

import boto3
import clients
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from clients import code, status

KEYS = sorted(
    [f"a/{n:02}" for n in range(12)] + ["a/b/c", "a b", "a+b", "b/1", "b/2", "c", "é/1", "%2F", "d//e"],
    key=str.encode,
)


@pytest.fixture(scope="module")
def filled(s3):
    s3.create_bucket(Bucket="filled")
    for key in KEYS:
        s3.put_object(Bucket="filled", Key=key, Body=key.encode())
    return "filled"


def expected(prefix="", delimiter=""):
    """What a listing must show: keys and common prefixes, from a sorted list."""
    keys, prefixes = [], []
    for key in KEYS:
        if not key.startswith(prefix):
            continue
        rest = key[len(prefix):]
        if delimiter and delimiter in rest:
            common = prefix + rest.split(delimiter)[0] + delimiter
            if common not in prefixes:
                prefixes.append(common)
        else:
            keys.append(key)
    return keys, prefixes


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "é", "nothing"])
@pytest.mark.parametrize("version", ["list_objects", "list_objects_v2"])
def test_listings_in_pages(s3, filled, version, prefix, delimiter, page):
    pages = list(
        s3.get_paginator(version).paginate(
            Bucket=filled, Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": page}
        )
    )
    keys = [item["Key"] for answer in pages for item in answer.get("Contents", [])]
    prefixes = [item["Prefix"] for answer in pages for item in answer.get("CommonPrefixes", [])]
    assert (keys, prefixes) == expected(prefix, delimiter)
    for answer in pages:
        assert len(answer.get("Contents", [])) + len(answer.get("CommonPrefixes", [])) <= page


def test_listings_tell_what_the_objects_are(s3, filled):
    item = next(item for item in s3.list_objects_v2(Bucket=filled)["Contents"] if item["Key"] == "a b")
    head = s3.head_object(Bucket=filled, Key="a b")
    assert (item["Size"], item["ETag"], item["LastModified"]) == (3, head["ETag"], head["LastModified"])
    after = s3.list_objects_v2(Bucket=filled, StartAfter="b/1")["Contents"]
    assert [item["Key"] for item in after] == [key for key in KEYS if key.encode() > b"b/1"]
    nothing = s3.list_objects_v2(Bucket=filled, MaxKeys=0)
    assert (nothing["KeyCount"], nothing["IsTruncated"]) == (0, False)


def test_more_than_a_page_of_objects(s3, bucket):
    import concurrent.futures

    names = [f"{n:05}" for n in range(1100)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: s3.put_object(Bucket=bucket, Key=name, Body=b""), names))
    first = s3.list_objects_v2(Bucket=bucket)
    assert (first["KeyCount"], first["IsTruncated"]) == (1000, True)
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=first["NextContinuationToken"])
    assert [item["Key"] for answer in (first, rest) for item in answer["Contents"]] == names
    # All at once, and the bucket with them.
    for part in (names[:1000], names[1000:]):
        deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name} for name in part]})
        assert len(deleted["Deleted"]) == len(part) and "Errors" not in deleted
    s3.delete_bucket(Bucket=bucket)


def test_delete_many(s3, bucket):
    names = ["a", "b&c", "d e", "é"]
    for name in names:
        s3.put_object(Bucket=bucket, Key=name, Body=b"x")
    doomed = [{"Key": name} for name in [*names[:3], "never was"]]
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed})
    assert sorted(item["Key"] for item in deleted["Deleted"]) == sorted(item["Key"] for item in doomed)
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["é"]
    s3.put_object(Bucket=bucket, Key="q", Body=b"x")
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "q"}], "Quiet": True})
    assert "Deleted" not in quiet


def test_buckets_come_and_go(s3, network):
    s3.create_bucket(Bucket="come-and-go")
    assert "come-and-go" in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    s3.head_bucket(Bucket="come-and-go")
    # As in S3's us-east-1.
    s3.create_bucket(Bucket="come-and-go")
    with pytest.raises(ClientError) as error:
        s3.create_bucket(Bucket="come-and-go", ObjectLockEnabledForBucket=True)
    assert code(error) == "BucketAlreadyOwnedByYou"
    s3.put_object(Bucket="come-and-go", Key="k", Body=b"x")
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket="come-and-go")
    assert (code(error), status(error)) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket="come-and-go", Key="k")
    s3.delete_bucket(Bucket="come-and-go")
    assert "come-and-go" not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    with pytest.raises(ClientError) as error:
        s3.list_objects_v2(Bucket="come-and-go")
    assert code(error) == "NoSuchBucket"
    # A new bucket of the same name is empty.
    s3.create_bucket(Bucket="come-and-go")
    assert "Contents" not in s3.list_objects_v2(Bucket="come-and-go")
    s3.delete_bucket(Bucket="come-and-go")


def test_what_is_not_there(s3, bucket):
    cases = [
        ("NoSuchKey", lambda: s3.get_object(Bucket=bucket, Key="none")),
        ("404", lambda: s3.head_object(Bucket=bucket, Key="none")),
        ("NoSuchBucket", lambda: s3.get_object(Bucket="no-such-bucket", Key="k")),
        ("NoSuchBucket", lambda: s3.put_object(Bucket="no-such-bucket", Key="k", Body=b"x")),
        ("NoSuchBucket", lambda: s3.put_object(Bucket="no-such-bucket", Key="k", Body=b"x" * 100_000)),
        ("NoSuchBucket", lambda: s3.delete_bucket(Bucket="no-such-bucket")),
        ("404", lambda: s3.head_bucket(Bucket="no-such-bucket")),
        ("NoSuchUpload", lambda: s3.list_parts(Bucket=bucket, Key="k", UploadId="0" * 24)),
    ]
    for expect, request in cases:
        with pytest.raises(ClientError) as error:
            request()
        assert (code(error), status(error)) == (expect, 404)
    # Deleting what is not there is no error.
    s3.delete_object(Bucket=bucket, Key="none")


@pytest.mark.parametrize("name", ["Upper", "a", "under_score", "x" * 64, "10.0.0.1"])
def test_bad_bucket_names(s3, network, name):
    client = clients.s3(network)
    client.meta.events.unregister("before-parameter-build.s3", "ignored")
    # boto3 refuses some of these itself, so they go on the wire by hand.
    assert raw(network, "PUT", f"/{name}")[0] in (400, 403)
    assert name not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_wrong_credentials(network, bucket):
    for wrong, expect in [
        ({"secret_key": "x" * 40}, "SignatureDoesNotMatch"),
        ({"access_key": "OLNOSUCHKEY234567890"}, "InvalidAccessKeyId"),
    ]:
        client = clients.s3(network, **wrong)
        for request in (
            lambda: client.list_buckets(),
            lambda: client.put_object(Bucket=bucket, Key="k", Body=b"x" * 100_000),
            lambda: client.get_object(Bucket=bucket, Key="k"),
        ):
            with pytest.raises(ClientError) as error:
                request()
            assert (code(error), status(error)) == (expect, 403)


def test_unsigned_requests_are_refused(network, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    client = boto3.client(
        "s3", endpoint_url=network.endpoint, region_name="us-east-1",
        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    for request in (
        lambda: client.list_buckets(),
        lambda: client.get_object(Bucket=bucket, Key="k"),
        lambda: client.put_object(Bucket=bucket, Key="k", Body=b"y"),
        lambda: client.delete_object(Bucket=bucket, Key="k"),
    ):
        with pytest.raises(ClientError) as error:
            request()
        assert status(error) == 403
    assert clients.read(s3, bucket, "k") == b"x"


def test_a_signature_from_another_time_is_refused(network, bucket, monkeypatch):
    import datetime

    import botocore.auth

    past = botocore.auth.get_current_datetime() - datetime.timedelta(hours=2)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: past)
    with pytest.raises(ClientError) as error:
        clients.s3(network).list_buckets()
    assert (code(error), status(error)) == ("RequestTimeTooSkewed", 403)


def raw(network, method, path, headers=None, body=None):
    """A request by hand; gives status and body."""
    at = urllib.parse.urlsplit(network.endpoint)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=20)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_nonsense_does_no_harm(network, s3, bucket):
    import socket

    at = urllib.parse.urlsplit(network.endpoint)
    for garbage in (b"\0" * 100, b"GET\r\n\r\n", b"PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"A" * 200_000):
        with socket.create_connection((at.hostname, at.port), timeout=10) as connection:
            try:
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except OSError:  # the server may close first
                pass
    for method, path in [("GET", "/"), ("DELETE", f"/{bucket}"), ("POST", f"/{bucket}?delete"), ("PATCH", "/x"), ("GET", "/%ff")]:
        code, _ = raw(network, method, path)
        assert 400 <= code < 502, (method, path, code)
    s3.put_object(Bucket=bucket, Key="alive", Body=b"x")


def test_a_body_cut_short_leaves_nothing(network, s3, bucket):
    import socket

    at = urllib.parse.urlsplit(network.endpoint)
    url = urllib.parse.urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "cut"}))
    with socket.create_connection((at.hostname, at.port), timeout=10) as connection:
        request = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {at.netloc}\r\nContent-Length: 5000000\r\n\r\n"
        connection.sendall(request.encode() + b"x" * 2_500_000)
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket=bucket, Key="cut")
    assert status(error) == 404


def test_an_unfinished_object_list_is_refused(s3, bucket):
    names = [{"Key": f"{n}"} for n in range(1001)]
    with pytest.raises(ClientError) as error:
        s3.delete_objects(Bucket=bucket, Delete={"Objects": names})
    assert code(error) == "MalformedXML"
