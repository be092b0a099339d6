"""Objects through S3, as boto3 sees them."""

import base64
import concurrent.futures
import hashlib
import io
import random
import urllib.error
import urllib.request
import zlib

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from clients import code, read, sha256, status

ODD_KEYS = [
    "with space", "plus+sign", "percent%20sign", "amp&and=equals?question#hash", "quote'\"double", "back\\slash",
    "Кириллица/ключ", "日本語", "emoji-😀", "double//slash", "/leading", "trailing/", "a/./b", "a/../b", ".", "..",
    "tilde~!@$^*()_-{}[]|;:,<>", "x" * 1024,
]


def body(size, seed=1):
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, 4096, 16 << 10, (16 << 10) + 1, 1 << 20, (1 << 20) + 1, 5_000_000])
def test_what_is_put_is_got(s3, bucket, size):
    data = body(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, ContentType="text/x-test")
    assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == data
    head = s3.head_object(Bucket=bucket, Key="k")
    for answer in (got, head):
        assert answer["ContentLength"] == size
        assert answer["ETag"] == put["ETag"]
        assert answer["ContentType"] == "text/x-test"
        assert answer["VersionId"] == put["VersionId"]


@pytest.mark.parametrize("key", ODD_KEYS, ids=lambda key: key[:12].encode("unicode_escape").decode())
def test_odd_keys(s3, bucket, key):
    data = key.encode()
    s3.put_object(Bucket=bucket, Key=key, Body=data)
    assert read(s3, bucket, key) == data
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    s3.delete_object(Bucket=bucket, Key=key)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_key_too_long_is_refused(s3, bucket):
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="x" * 1025, Body=b"")
    assert code(error) == "KeyTooLongError"


@pytest.mark.parametrize("size", [10_000, 3_500_000])
def test_ranges(s3, bucket, size):
    data = body(size)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    last = size - 1
    for first, end in [(0, 0), (0, last), (1, 9), (last, last), (last, last + 100), (size // 2, size // 2 + 5000)]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{end}")
        assert got["Body"].read() == data[first : end + 1]
        assert got["ContentRange"] == f"bytes {first}-{min(end, last)}/{size}"
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert read(s3, bucket, "k", Range=f"bytes={size - 7}-") == data[-7:]
    assert read(s3, bucket, "k", Range="bytes=-9") == data[-9:]
    assert read(s3, bucket, "k", Range=f"bytes=-{size * 2}") == data
    with pytest.raises(ClientError) as error:
        read(s3, bucket, "k", Range=f"bytes={size}-")
    assert (code(error), status(error)) == ("InvalidRange", 416)


def test_metadata_and_headers_are_kept(s3, bucket):
    told = {
        "ContentType": "application/x-thing", "ContentEncoding": "gzip", "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="a b.txt"', "ContentLanguage": "de",
        "Metadata": {"plain": "value", "with-space": "a b  c", "empty": ""},
    }
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **told)
    head = s3.head_object(Bucket=bucket, Key="k")
    assert {name: head[name] for name in told} == told


def test_metadata_in_unicode_is_kept(network, s3, bucket):
    # boto3 refuses to send what is not ASCII; other clients send it as RFC 2047 words, which come back as they were.
    word = "=?UTF-8?B?" + base64.b64encode("Привет".encode()).decode() + "?="
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"greeting": word})
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"greeting": word}


def crc32c(data):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def encoded(digest):
    return base64.b64encode(digest).decode()


CHECKSUMS = {
    "CRC32": lambda data: encoded(zlib.crc32(data).to_bytes(4, "big")),
    "CRC32C": lambda data: encoded(crc32c(data).to_bytes(4, "big")),
    "SHA1": lambda data: encoded(hashlib.sha1(data).digest()),
    "SHA256": lambda data: encoded(hashlib.sha256(data).digest()),
}


@pytest.mark.parametrize("kind", CHECKSUMS)
def test_checksums_are_verified_stored_and_told(s3, bucket, kind):
    data = body(70_000)
    name, right = f"Checksum{kind}", CHECKSUMS[kind](data)
    assert s3.put_object(Bucket=bucket, Key="k", Body=data, **{name: right})[name] == right
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[name] == right
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[name] == right
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="wrong", Body=data, **{name: CHECKSUMS[kind](b"other")})
    assert (code(error), status(error)) == ("BadDigest", 400)
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket=bucket, Key="wrong")
    assert status(error) == 404


def test_a_wrong_md5_is_refused(s3, bucket):
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"one", ContentMD5=encoded(hashlib.md5(b"two").digest()))
    assert code(error) == "BadDigest"
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_multipart_of_20_mib(s3, bucket):
    data = body(20 << 20)
    config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=6 << 20, max_concurrency=4)
    s3.upload_fileobj(io.BytesIO(data), bucket, "big", Config=config, ExtraArgs={"Metadata": {"a": "b"}})
    head = s3.head_object(Bucket=bucket, Key="big")
    digests = b"".join(hashlib.md5(data[at : at + (6 << 20)]).digest() for at in range(0, len(data), 6 << 20))
    assert head["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-4"'
    assert head["Metadata"] == {"a": "b"}
    got = io.BytesIO()
    s3.download_fileobj(bucket, "big", got)
    assert sha256(got.getvalue()) == sha256(data)
    # Across the border of two parts.
    border = 6 << 20
    assert read(s3, bucket, "big", Range=f"bytes={border - 10}-{border + 9}") == data[border - 10 : border + 10]


def test_multipart_step_by_step(s3, bucket):
    parts = {number: body(5 << 20, number) for number in (1, 2)} | {3: b"the last may be short"}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    here = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    assert [u["UploadId"] for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload]
    s3.upload_part(**here, PartNumber=2, Body=b"to be replaced")
    etags = {number: s3.upload_part(**here, PartNumber=number, Body=data)["ETag"] for number, data in parts.items()}
    listed = s3.list_parts(**here)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(n, len(d)) for n, d in parts.items()]
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="k")
    told = [{"PartNumber": number, "ETag": etag} for number, etag in etags.items()]
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(**here, MultipartUpload={"Parts": told[::-1]})
    assert code(error) == "InvalidPartOrder"
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(**here, MultipartUpload={"Parts": [told[0] | {"ETag": '"' + "0" * 32 + '"'}]})
    assert code(error) == "InvalidPart"
    s3.complete_multipart_upload(**here, MultipartUpload={"Parts": told})
    assert read(s3, bucket, "k") == b"".join(parts.values())
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_multipart_refusals(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    here = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    small = [
        {"PartNumber": number, "ETag": s3.upload_part(**here, PartNumber=number, Body=b"small")["ETag"]} for number in (1, 2)
    ]
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(**here, MultipartUpload={"Parts": small})
    assert code(error) == "EntityTooSmall"
    s3.abort_multipart_upload(**here)
    with pytest.raises(ClientError) as error:
        s3.upload_part(**here, PartNumber=1, Body=b"x")
    assert (code(error), status(error)) == ("NoSuchUpload", 404)
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(**here, MultipartUpload={"Parts": small})
    assert code(error) == "NoSuchUpload"


def test_of_many_who_put_if_absent_exactly_one_wins(s3, bucket):
    for turn, size in enumerate([10, 100_000] * 3):
        bodies = [body(size, writer) for writer in range(8)]

        def put(data, key=f"race-{turn}"):
            try:
                s3.put_object(Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
                return 200
            except ClientError as error:
                return error.response["ResponseMetadata"]["HTTPStatusCode"]

        with concurrent.futures.ThreadPoolExecutor(len(bodies)) as pool:
            statuses = list(pool.map(put, bodies))
        assert statuses.count(200) == 1, statuses
        assert set(statuses) <= {200, 412, 409}
        assert read(s3, bucket, f"race-{turn}") == bodies[statuses.index(200)]


def test_put_and_get_on_conditions(s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert (code(error), status(error)) == ("PreconditionFailed", 412)
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=first)["ETag"]
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=first)
    assert status(error) == 412
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="none", Body=b"3", IfMatch=first)
    assert status(error) == 404
    assert read(s3, bucket, "k", IfMatch=second) == b"2"
    with pytest.raises(ClientError) as error:
        read(s3, bucket, "k", IfNoneMatch=second)
    assert status(error) == 304
    with pytest.raises(ClientError) as error:
        read(s3, bucket, "k", IfMatch=first)
    assert status(error) == 412


def test_presigned_urls(network, s3, bucket):
    data = body(100_000)
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "a b"}, ExpiresIn=60)
    urllib.request.urlopen(urllib.request.Request(url, data=data, method="PUT"), timeout=20).close()
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b"}, ExpiresIn=60)
    assert urllib.request.urlopen(url, timeout=20).read() == data
    for forged in (url[:-1] + ("0" if url[-1] != "0" else "1"), url.replace("a%20b", "other")):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(forged, timeout=20)
        assert error.value.code == 403


def test_a_presigned_put_cannot_be_made_a_copy(network, s3, bucket):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "drop"}, ExpiresIn=60)
    request = urllib.request.Request(url, data=b"", method="PUT", headers={"x-amz-copy-source": f"/{bucket}/secret"})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=20)
    assert error.value.code == 403


def test_every_version_stays_readable(s3, bucket):
    versions = [s3.put_object(Bucket=bucket, Key="k", Body=f"{n}".encode() * 20_000)["VersionId"] for n in range(3)]
    marker = s3.delete_object(Bucket=bucket, Key="k")
    assert marker["DeleteMarker"] is True
    with pytest.raises(ClientError) as error:
        read(s3, bucket, "k")
    assert code(error) == "NoSuchKey"
    for n, version in enumerate(versions):
        assert read(s3, bucket, "k", VersionId=version) == f"{n}".encode() * 20_000
    s3.put_object(Bucket=bucket, Key="k", Body=b"again")
    assert read(s3, bucket, "k") == b"again"


def test_copy(s3, bucket):
    data = body(300_000)
    s3.put_object(Bucket=bucket, Key="from here", Body=data, Metadata={"a": "b"}, ContentType="x/y")
    s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from here"})
    got = s3.get_object(Bucket=bucket, Key="to")
    assert got["Body"].read() == data
    assert (got["Metadata"], got["ContentType"]) == ({"a": "b"}, "x/y")


def test_many_writers_at_once(s3, bucket):
    def put(number):
        data = body(1000 + 3000 * number, number)
        s3.put_object(Bucket=bucket, Key=f"{number:03}", Body=data)
        return sha256(data)

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        digests = list(pool.map(put, range(96)))
        assert list(pool.map(lambda n: sha256(read(s3, bucket, f"{n:03}")), range(96))) == digests
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 96
