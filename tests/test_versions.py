"""Versions and the past: through boto3, through the program, and as they agree."""

import concurrent.futures
import time

import pytest
from botocore.exceptions import ClientError
from clients import code, read


def put(s3, bucket, key, body):
    return s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]


def versions(s3, bucket, **options):
    """(key, version, latest) of objects and of markers, over all pages."""
    objects, markers = [], []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, **options):
        for found, of_page in ((objects, page.get("Versions", [])), (markers, page.get("DeleteMarkers", []))):
            found += [(item["Key"], item["VersionId"], item["IsLatest"]) for item in of_page]
    return objects, markers


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_versions_are_listed(s3, bucket, size):
    made = [(key, put(s3, bucket, key, body)) for key in ("a", "b c+d", "é") for body in (b"1", b"22", b"333")]
    marker = s3.delete_object(Bucket=bucket, Key="a")["VersionId"]
    objects, markers = versions(s3, bucket, PaginationConfig={"PageSize": size})
    assert [item[:2] for item in objects] == sorted(made, key=lambda item: (item[0].encode(), [-ord(c) for c in item[1]]))
    assert markers == [("a", marker, True)]
    assert [item[0] for item in objects if item[2]] == ["b c+d", "é"]


def test_deleting_versions_hides_them(s3, bucket):
    one, two = put(s3, bucket, "k", b"one"), put(s3, bucket, "k", b"two")
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    assert s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)["DeleteMarker"] is True
    assert read(s3, bucket, "k") == b"two"
    s3.delete_object(Bucket=bucket, Key="k", VersionId=two)
    assert read(s3, bucket, "k") == b"one"
    with pytest.raises(ClientError) as error:
        read(s3, bucket, "k", VersionId=two)
    assert code(error) == "NoSuchVersion"
    s3.delete_object(Bucket=bucket, Key="k", VersionId=two)
    s3.delete_object(Bucket=bucket, Key="k", VersionId=one)
    assert versions(s3, bucket) == ([], [])
    s3.delete_bucket(Bucket=bucket)


def test_hundreds_of_versions_go_at_once(network, s3, bucket):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: put(s3, bucket, f"k{n % 3}", b"%d" % n), range(300)))
    objects, _ = versions(s3, bucket)
    assert len(objects) == 300
    wanted = [{"Key": key, "VersionId": version} for key, version, _ in objects]
    wanted.append({"Key": "k0", "VersionId": "nonsense"})
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert (len(answer["Deleted"]), [error["Code"] for error in answer["Errors"]]) == (300, ["InvalidArgument"])
    assert versions(s3, bucket) == ([], [])
    assert len(network.json("versions", f"{bucket}/k0", "--hidden")) == 100
    assert network.json("versions", f"{bucket}/k0") == []
    *keys, done = network.json("undelete", f"{bucket}/k0")
    assert (done["keys"], [key["object"] for key in keys]) == (1, [f"{bucket}/k0"])
    newest = max(version for key, version, _ in objects if key == "k0")
    assert versions(s3, bucket) == ([("k0", newest, True)], [])


def test_racing_deletes_leave_the_newest_version_current(s3, bucket):
    made = [put(s3, bucket, "k", b"%d" % n) for n in range(20)]
    keep = made[3]
    others = [version for version in made if version != keep]
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        delete = lambda version: s3.delete_object(Bucket=bucket, Key="k", VersionId=version)
        list(pool.map(delete, others))
    assert versions(s3, bucket) == ([("k", keep, True)], [])
    assert read(s3, bucket, "k") == b"3"


def test_the_past_is_a_bucket(network, s3, bucket):
    one = put(s3, bucket, "a", b"one")
    put(s3, bucket, "dir/b", b"b")
    height = int(one[:16], 16) + 1
    while network.json("status")[0]["height"] < height:
        time.sleep(0.1)
    then = f"{bucket}--at-{network.json('status')[0]['height']}"
    time.sleep(1.1)
    moment = time.strftime("%Y%m%dt%H%M%Sz", time.gmtime())
    time.sleep(1.1)
    put(s3, bucket, "a", b"two")
    put(s3, bucket, "c", b"c")
    s3.delete_object(Bucket=bucket, Key="dir/b")
    for key, version, _ in versions(s3, bucket)[0]:
        s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
    for past in (then, f"{bucket}--at-{moment}"):
        assert read(s3, past, "a") == b"one"
        assert read(s3, past, "dir/b", Range="bytes=0-0") == b"b"
        assert [item["Key"] for item in s3.list_objects_v2(Bucket=past)["Contents"]] == ["a", "dir/b"]
        assert s3.list_objects(Bucket=past, Delimiter="/")["CommonPrefixes"] == [{"Prefix": "dir/"}]
        assert [item[0] for item in versions(s3, past)[0]] == ["a", "dir/b"]
        with pytest.raises(ClientError) as error:
            put(s3, past, "a", b"x")
        assert code(error) == "AccessDenied"
    with pytest.raises(ClientError) as error:
        read(s3, f"{bucket}--at-20990101t000000z", "a")
    assert code(error) == "InvalidArgument"
    moment = f"{moment[:4]}-{moment[4:6]}-{moment[6:8]}T{moment[9:11]}:{moment[11:13]}:{moment[13:15]}Z"
    assert network.outlast("get", f"{bucket}/a", "-", "--at", moment).stdout == "one"
    assert [item["key"] for item in network.json("ls", bucket, "-r", "--at", moment)] == ["a", "dir/b"]
    changes = {item["key"]: item["change"] for item in network.json("diff", bucket, "--from", moment)}
    assert changes == {"a": "removed", "dir/b": "removed"}
    log = [(item["what"], item["key"]) for item in network.json("log", bucket)]
    assert log[-2:] == [("put", "dir/b"), ("put", "a")]
    assert log.count(("delete version", "a")) == 2 and len({item["signer"] for item in network.json("log", bucket)}) == 1
    *_, done = network.json("restore", bucket, "--at", moment)
    assert (done["restored"], done["deleted"], done["left_alone"]) == (2, 0, 0)
    assert (read(s3, bucket, "a"), read(s3, bucket, "dir/b")) == (b"one", b"b")
    assert network.json("diff", bucket, "--from", moment) == []


def test_a_restore_undoes_everything_since(network, s3, bucket):
    bodies = {f"{n:03}": b"%d" % n * (1 if n % 10 else 30_000) for n in range(100)}
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda item: put(s3, bucket, *item), bodies.items()))
    height = network.json("status")[0]["height"]
    for n in range(0, 100, 3):
        s3.delete_object(Bucket=bucket, Key=f"{n:03}")
    for n in range(1, 100, 3):
        put(s3, bucket, f"{n:03}", b"encrypted by somebody")
    put(s3, bucket, "new", b"new")
    other = f"{bucket}-before"
    *_, done = network.json("restore", bucket, "--at", str(height), "--to", other)
    assert (done["restored"], done["deleted"]) == (100, 0)
    *_, done = network.json("restore", bucket, "--at", str(height))
    assert (done["restored"], done["deleted"]) == (67, 1)
    for where in (bucket, other):
        assert [item["Key"] for item in s3.list_objects_v2(Bucket=where)["Contents"]] == list(bodies)
        assert all(read(s3, where, key) == body for key, body in bodies.items())


def test_undelete_since(network, s3, bucket):
    put(s3, bucket, "old", b"old")
    s3.delete_object(Bucket=bucket, Key="old")
    time.sleep(1.1)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for key in ("a", "b"):
        put(s3, bucket, key, b"1")
    s3.delete_object(Bucket=bucket, Key="a")
    *_, done = network.json("undelete", bucket, "--since", since)
    assert done["keys"] == 1
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a", "b"]
    *_, done = network.json("undelete", bucket)
    assert (done["keys"], read(s3, bucket, "old")) == (1, b"old")
