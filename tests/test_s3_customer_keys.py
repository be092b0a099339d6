"""Objects under customers' own keys (SSE-C): readable with the key only, and no trace of the key anywhere."""

import base64
import hashlib
import os

import pytest
from botocore.exceptions import ClientError
from clients import code, read, status

MIB = 1 << 20


def customer(key, source=False):
    prefix = "CopySource" if source else ""
    text, md5 = (base64.b64encode(value).decode() for value in (key, hashlib.md5(key).digest()))
    return {f"{prefix}SSECustomerAlgorithm": "AES256", f"{prefix}SSECustomerKey": text, f"{prefix}SSECustomerKeyMD5": md5}


@pytest.fixture
def key():
    return os.urandom(32)


def refused(call, expected, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert status(error) == expected, error.value
    return error


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4096, MIB + 5, 9 * MIB])
def test_what_is_put_is_got_with_the_key_only(s3, bucket, key, size):
    data = os.urandom(size)
    at = {"Bucket": bucket, "Key": "k"}
    put = s3.put_object(**at, Body=data, **customer(key))
    md5 = base64.b64encode(hashlib.md5(key).digest()).decode()
    assert (put["SSECustomerAlgorithm"], put["SSECustomerKeyMD5"]) == ("AES256", md5)
    if size:
        assert put["ETag"] != f'"{hashlib.md5(data).hexdigest()}"', "an ETag must not tell of the contents"
    got = s3.get_object(**at, **customer(key))
    assert got["Body"].read() == data
    assert (got["ContentLength"], got["ETag"], got["SSECustomerKeyMD5"]) == (size, put["ETag"], md5)
    assert "ServerSideEncryption" not in got
    assert s3.head_object(**at, **customer(key))["ContentLength"] == size
    for first, last in [(0, 0), (1, 40), (size // 2, size // 2 + 100_000), (size - 1, size - 1)]:
        if 0 <= first < size:
            assert read(s3, bucket, "k", Range=f"bytes={first}-{last}", **customer(key)) == data[first : last + 1]
    other = os.urandom(32)
    for call in (s3.get_object, s3.head_object):
        refused(call, 400, **at)
        refused(call, 400, **at, **customer(other))
    refused(s3.get_object_attributes, 400, **at, ObjectAttributes=["ETag"])
    assert s3.get_object_attributes(**at, ObjectAttributes=["ObjectSize"], **customer(key))["ObjectSize"] == size


def test_a_key_for_what_has_none_is_refused(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    refused(s3.get_object, 400, Bucket=bucket, Key="plain", **customer(key))
    refused(s3.head_object, 400, Bucket=bucket, Key="plain", **customer(key))


def test_keys_are_checked(s3, bucket, key):
    at = {"Bucket": bucket, "Key": "k", "Body": b"x"}
    wrong = base64.b64encode(hashlib.md5(b"another").digest()).decode()
    assert code(refused(s3.put_object, 400, **at, **(customer(key) | {"SSECustomerKeyMD5": wrong}))) == "InvalidArgument"
    assert code(refused(s3.put_object, 400, **at, **customer(key[:31]))) == "InvalidArgument"
    algorithm = customer(key) | {"SSECustomerAlgorithm": "AES128"}
    assert code(refused(s3.put_object, 400, **at, **algorithm)) == "InvalidEncryptionAlgorithmError"
    refused(s3.put_object, 400, **at, **customer(key), ServerSideEncryption="AES256")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_checksums_are_verified_and_not_kept(s3, bucket, key):
    at = {"Bucket": bucket, "Key": "k"}
    data = b"guess me"
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    put = s3.put_object(**at, Body=data, ChecksumSHA256=digest, **customer(key))
    assert put["ChecksumSHA256"] == digest
    head = s3.head_object(**at, ChecksumMode="ENABLED", **customer(key))
    assert not [name for name in head if name.startswith("Checksum")]
    assert code(refused(s3.put_object, 400, **at, Body=b"other", ChecksumSHA256=digest, **customer(key))) == "BadDigest"


def test_multipart(s3, bucket, key):
    at = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**at, **customer(key))["UploadId"]
    of = at | {"UploadId": upload}
    refused(s3.upload_part, 400, **of, PartNumber=1, Body=b"x")
    refused(s3.upload_part, 400, **of, PartNumber=1, Body=b"x", **customer(os.urandom(32)))
    # The same bytes in two parts, and a part that was sent before: nothing may repeat in what is stored.
    same = os.urandom(5 * MIB + 3)
    contents = [same, same, os.urandom(100)]
    s3.upload_part(**of, PartNumber=1, Body=b"sent before" * 600_000, **customer(key))
    tags = [s3.upload_part(**of, PartNumber=n, Body=body, **customer(key))["ETag"] for n, body in enumerate(contents, 1)]
    assert tags[0] != tags[1]
    parts = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]
    s3.complete_multipart_upload(**of, MultipartUpload={"Parts": parts})
    data = b"".join(contents)
    assert read(s3, bucket, "k", **customer(key)) == data
    edge = len(same)
    for first, last in [(edge - 1, edge), (edge, edge), (2 * edge - 7, len(data) - 1), (3, 2 * edge + 3)]:
        assert read(s3, bucket, "k", Range=f"bytes={first}-{last}", **customer(key)) == data[first : last + 1]
    assert read(s3, bucket, "k", PartNumber=2, **customer(key)) == same
    refused(s3.get_object, 400, **at)
    refused(s3.get_object, 400, **at, **customer(os.urandom(32)))
    plain = s3.create_multipart_upload(Bucket=bucket, Key="plain")["UploadId"]
    refused(s3.upload_part, 400, Bucket=bucket, Key="plain", UploadId=plain, PartNumber=1, Body=b"x", **customer(key))


def test_copies_take_the_key_of_either_side(s3, bucket, key):
    data, other = os.urandom(3 * MIB), os.urandom(32)
    s3.put_object(Bucket=bucket, Key="mine", Body=data, ContentType="text/x", Metadata={"a": "b"}, **customer(key))
    source = {"Bucket": bucket, "Key": "mine"}
    refused(s3.copy_object, 400, Bucket=bucket, Key="no", CopySource=source)
    refused(s3.copy_object, 400, Bucket=bucket, Key="no", CopySource=source, **customer(other, source=True))
    s3.copy_object(Bucket=bucket, Key="rekeyed", CopySource=source, **customer(key, source=True), **customer(other))
    assert read(s3, bucket, "rekeyed", **customer(other)) == data
    refused(s3.get_object, 400, Bucket=bucket, Key="rekeyed", **customer(key))
    s3.copy_object(Bucket=bucket, Key="opened", CopySource=source, **customer(key, source=True))
    got = s3.get_object(Bucket=bucket, Key="opened")
    assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (data, "text/x", {"a": "b"})
    assert got["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    s3.copy_object(Bucket=bucket, Key="closed", CopySource={"Bucket": bucket, "Key": "opened"}, **customer(key))
    assert read(s3, bucket, "closed", **customer(key)) == data
    # Onto itself, to change the key.
    s3.copy_object(Bucket=bucket, Key="mine", CopySource=source, **customer(key, source=True), **customer(other))
    assert read(s3, bucket, "mine", **customer(other)) == data
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", **customer(key))["UploadId"]
    of = {"Bucket": bucket, "Key": "parts", "UploadId": upload}
    part = s3.upload_part_copy(
        **of, PartNumber=1, CopySource=source, CopySourceRange=f"bytes=5-{2 * MIB}", **customer(other, source=True), **customer(key)
    )
    parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
    s3.complete_multipart_upload(**of, MultipartUpload={"Parts": parts})
    assert read(s3, bucket, "parts", **customer(key)) == data[5 : 2 * MIB + 1]


def test_encryption_that_is_always_there_may_be_asked_for(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")
    assert put["ServerSideEncryption"] == "AES256"
    assert s3.head_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == "AES256"
    rule = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    s3.delete_bucket_encryption(Bucket=bucket)
    kms = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
    refused(s3.put_bucket_encryption, 501, Bucket=bucket, ServerSideEncryptionConfiguration=kms)
    refused(s3.put_object, 501, Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
