"""Forms as browsers post them: policies that a key's holder signed, kept to the letter."""

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import re
import urllib.parse

import clients
import pytest
from clients import read

BOUNDARY = "----form-boundary-7MA4YWxkTrZu0gW"


def encode(fields, file=b"contents", name="cat.jpg", boundary=BOUNDARY, last=True):
    """A form, its file last."""
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode() for key, value in fields.items()]
    if file is not None:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: image/jpeg\r\n\r\n'
        parts.append(head.encode() + file + b"\r\n")
    return b"".join(parts) + (f"--{boundary}--\r\n".encode() if last else b"")


def post(network, bucket, body, boundary=BOUNDARY, path=None, headers=None):
    """Posts it; gives the answer with its body as `text`."""
    at = urllib.parse.urlsplit(network.endpoint)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
    try:
        told = {"Content-Type": f'multipart/form-data; boundary="{boundary}"'} | (headers or {})
        connection.request("POST", path or f"/{bucket}", body=body, headers=told)
        answer = connection.getresponse()
        answer.text = answer.read().decode()
        return answer
    finally:
        connection.close()


def code(answer):
    found = re.search("<Code>(.*?)</Code>", answer.text)
    return answer.status, found and found.group(1)


def signed(network, bucket, fields, conditions=None, expires=600, age=0, region="us-east-1", **changes):
    """The fields with a policy and its signature, made by hand. Unless given, conditions are all fields as they are."""
    now = datetime.datetime.now(datetime.timezone.utc)
    at = now - datetime.timedelta(seconds=age)
    day = at.strftime("%Y%m%d")
    fields = dict(fields)
    fields["x-amz-algorithm"] = "AWS4-HMAC-SHA256"
    fields["x-amz-credential"] = f"{network.facts['access_key']}/{day}/{region}/s3/aws4_request"
    fields["x-amz-date"] = at.strftime("%Y%m%dT%H%M%SZ")
    mine = ("x-amz-algorithm", "x-amz-credential", "x-amz-date")
    if conditions is None:
        conditions = [{name: value} for name, value in fields.items() if name not in mine]
    conditions = [{"bucket": bucket}, *conditions, *({name: fields[name]} for name in mine)]
    expiration = (now + datetime.timedelta(seconds=expires)).strftime("%Y-%m-%dT%H:%M:%SZ")
    policy = json.dumps({"expiration": expiration, "conditions": conditions})
    fields["policy"] = base64.b64encode(policy.encode()).decode()
    key = b"AWS4" + network.facts["secret_key"].encode()
    for step in (day, region, "s3", "aws4_request"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    fields["x-amz-signature"] = hmac.new(key, fields["policy"].encode(), hashlib.sha256).hexdigest()
    return fields | changes


def test_what_boto3_signs_is_posted(network, s3, bucket):
    made = s3.generate_presigned_post(
        bucket, "in/${filename}", Fields={"Content-Type": "image/jpeg", "x-amz-meta-from": "a form"},
        Conditions=[["starts-with", "$Content-Type", "image/"], {"x-amz-meta-from": "a form"}, ["content-length-range", 1, 10 << 20]],
    )
    data = bytes(range(256)) * 20_000  # 5 MB, with every byte, and so with parts of the delimiter
    answer = post(network, bucket, encode(made["fields"], data))
    assert answer.status == 204, answer.text
    assert answer.headers["etag"] == f'"{hashlib.md5(data).hexdigest()}"'
    assert answer.headers["location"] == f"/{bucket}/in/cat.jpg"
    got = s3.get_object(Bucket=bucket, Key="in/cat.jpg")
    assert got["Body"].read() == data
    assert (got["ContentType"], got["Metadata"], got["VersionId"]) == ("image/jpeg", {"from": "a form"}, answer.headers["x-amz-version-id"])


@pytest.mark.parametrize("file", [b"", b"\r\n", b"\r\n--", b"x\r\n--" + BOUNDARY[:-1].encode(), b"--" + BOUNDARY.encode(), b"\r" * 70_000])
def test_files_may_hold_anything_but_the_delimiter(network, s3, bucket, file):
    answer = post(network, bucket, encode(signed(network, bucket, {"key": "k"}), file))
    assert answer.status == 204, answer.text
    assert read(s3, bucket, "k") == file


def test_what_is_answered_is_the_forms_choice(network, s3, bucket):
    def ask(**fields):
        return post(network, bucket, encode(signed(network, bucket, {"key": "a/ü b"} | fields)))

    assert ask(success_action_status="200").status == 200
    created = ask(success_action_status="201")
    assert created.status == 201
    assert f"<PostResponse><Location>/{bucket}/a/%C3%BC%20b</Location><Bucket>{bucket}</Bucket><Key>a/ü b</Key><ETag>" in created.text
    assert ask(success_action_status="404").status == 204
    sent = ask(success_action_redirect="https://example.com/done?x=1")
    assert sent.status == 303
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(sent.headers["location"]).query))
    assert sent.headers["location"].startswith("https://example.com/done?x=1&")
    assert (query["bucket"], query["key"], query["etag"]) == (bucket, "a/ü b", sent.headers["etag"])
    assert ask(success_action_redirect="javascript:alert(1)").status == 204


def test_policies_are_kept(network, s3, bucket):
    denied, key = (403, "AccessDenied"), {"key": "in/k"}

    def verdict(fields, conditions, file=b"contents", **options):
        return code(post(network, bucket, encode(signed(network, bucket, fields, conditions, **options), file)))

    starts = ["starts-with", "$key", "in/"]
    assert verdict({"key": "in/k"}, [starts])[0] == 204
    s3.delete_object(Bucket=bucket, Key="in/k")
    assert verdict({"key": "out/k"}, [starts]) == denied
    assert verdict(key, [["eq", "$key", "in/other"]]) == denied
    assert verdict(key, []) == denied, "a field without a condition"
    assert verdict(key | {"x-amz-meta-more": "1"}, [starts]) == denied
    assert verdict(key | {"x-ignore-this": "1"}, [starts])[0] == 204
    assert verdict(key, [starts, ["eq", "$x-amz-meta-must", "1"]]) == denied
    assert verdict(key, [starts, {"bucket": "another"}]) == denied
    assert verdict(key, [starts], expires=-1) == denied
    assert verdict(key, [starts], age=8 * 86_400) == denied, "signed more than a week ago"
    assert verdict(key, [starts], age=3600)[0] == 204, "a policy lives until it expires"
    assert verdict(key, [starts], age=-3600) == denied, "signed in an hour"
    assert verdict(key, [starts], region="mars-1") == (400, "InvalidArgument")
    assert verdict({}, []) == (400, "InvalidArgument"), "no key"
    s3.delete_object(Bucket=bucket, Key="in/k")
    for size, expected in [(4, (400, "EntityTooSmall")), (11, (400, "EntityTooLarge")), (3 << 20, (400, "EntityTooLarge"))]:
        assert verdict(key, [starts, ["content-length-range", 5, 10]], b"x" * size) == expected
        assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert verdict(key, [starts, ["content-length-range", 5, 10]], b"x" * 10)[0] == 204


def test_what_was_tampered_with_is_refused(network, s3, bucket):
    good = signed(network, bucket, {"key": "k"})
    wider = json.loads(base64.b64decode(good["policy"]))
    wider["conditions"] = [["starts-with", "$key", ""]]
    mismatch = (403, "SignatureDoesNotMatch")
    for change, expected in [
        ({"policy": base64.b64encode(json.dumps(wider).encode()).decode()}, mismatch),
        ({"policy": good["policy"] + " "}, mismatch),
        ({"x-amz-signature": "0" * 64}, mismatch),
        ({"x-amz-signature": ""}, mismatch),
        ({"key": "another"}, (403, "AccessDenied")),
        ({"x-amz-date": "20200101T000000Z"}, (403, "AccessDenied")),
        ({"x-amz-date": "yesterday"}, (400, "InvalidArgument")),
        ({"x-amz-credential": good["x-amz-credential"].replace("OL", "XX", 1)}, (403, "InvalidAccessKeyId")),
        ({"x-amz-credential": "nonsense"}, (400, "InvalidArgument")),
        ({"x-amz-algorithm": "AWS4-HMAC-MD5"}, (400, "InvalidArgument")),
        ({"x-amz-security-token": "t"}, (400, "InvalidToken")),
        ({"AWSAccessKeyId": "k", "signature": "s"}, (400, "InvalidRequest")),
    ]:
        assert code(post(network, bucket, encode(good | change))) == expected, change
    for missing, expected in [("policy", (400, "InvalidArgument")), ("x-amz-signature", (400, "InvalidArgument")), ("key", (403, "AccessDenied"))]:
        assert code(post(network, bucket, encode({name: value for name, value in good.items() if name != missing}))) == expected
    assert code(post(network, bucket, encode({"key": "k"}))) == (403, "AccessDenied")
    assert code(post(network, bucket, encode({"key": "k"}), headers={"Authorization": "AWS x:y"})) == (400, "InvalidArgument")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    # A good policy that is no policy.
    for text in ("", "{}", "[]", '{"expiration":"never","conditions":[]}', '{"expiration":"2100-01-01T00:00:00Z","conditions":[["like","$key",""]]}'):
        fields = signed(network, bucket, {"key": "k"})
        fields["policy"] = base64.b64encode(text.encode()).decode()
        fields["x-amz-signature"] = resign(network, fields)
        assert code(post(network, bucket, encode(fields)))[0] == 400, text


def resign(network, fields):
    key = b"AWS4" + network.facts["secret_key"].encode()
    for step in (fields["x-amz-date"][:8], "us-east-1", "s3", "aws4_request"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return hmac.new(key, fields["policy"].encode(), hashlib.sha256).hexdigest()


def test_forms_that_are_none(network, s3, bucket):
    good = signed(network, bucket, {"key": "k"})
    malformed = (400, "MalformedPOSTRequest")
    assert code(post(network, bucket, encode(good, file=None))) == malformed
    assert code(post(network, bucket, encode(good, last=False)[:-2])) == malformed
    assert code(post(network, bucket, encode(good), boundary="another")) == malformed
    assert code(post(network, bucket, b"")) == malformed
    assert code(post(network, bucket, encode(good), headers={"Content-Type": "multipart/form-data"})) == malformed
    assert code(post(network, bucket, encode(good | {"x-ignore-much": "x" * 200_000})))[0] == 400
    assert code(post(network, bucket, encode(good | {f"x-ignore-{n}": "" for n in range(200)})))[0] == 400
    twice = encode({"key": "k2"}, file=None, last=False) + encode(good)
    assert code(post(network, bucket, twice)) == (400, "InvalidArgument")
    assert code(post(network, bucket, encode(good), path=f"/{bucket}/k")) == (405, "MethodNotAllowed")
    assert code(post(network, "no-such-bucket-there", encode(signed(network, "no-such-bucket-there", {"key": "k"})))) == (404, "NoSuchBucket")
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_fields_are_honoured_or_refused(network, s3, bucket):
    tagging = "<Tagging><TagSet><Tag><Key>a</Key><Value>b c</Value></Tag></TagSet></Tagging>"
    fields = {"key": "k", "tagging": tagging, "Cache-Control": "max-age=5", "acl": "private"}
    assert post(network, bucket, encode(signed(network, bucket, fields))).status == 204
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b c"}]
    assert s3.head_object(Bucket=bucket, Key="k")["CacheControl"] == "max-age=5"
    digest = base64.b64encode(hashlib.sha256(b"contents").digest()).decode()
    assert post(network, bucket, encode(signed(network, bucket, {"key": "sum", "x-amz-checksum-sha256": digest}))).status == 204
    wrong = signed(network, bucket, {"key": "wrong", "x-amz-checksum-sha256": digest})
    assert code(post(network, bucket, encode(wrong, b"other"))) == (400, "BadDigest")
    for name, value, expected in [
        ("acl", "public-read", 400), ("x-amz-storage-class", "GLACIER", 501), ("x-amz-invented", "1", 501),
        ("tagging", "<Tagging", 400), ("x-amz-server-side-encryption", "aws:kms", 501),
    ]:
        assert post(network, bucket, encode(signed(network, bucket, {"key": "k2", name: value}))).status == expected, name
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k", "sum"]


def test_the_scope_of_a_key_holds_for_its_forms(fresh):
    import network as driver

    network = fresh(nodes=1).start()
    clients.s3(network).create_bucket(Bucket="photos")
    made = driver.run(driver.OUTLAST, "--dir", network.dir, "--json", "key", "new", "--allow", "write", "--bucket", "photos", "--prefix", "in/")
    limited = json.loads(made.stdout)
    driver.wait_for(lambda: can_sign(network, limited), 20, "the gateway takes the new key")

    class Limited:
        endpoint, facts = network.endpoint, network.facts | {name: limited[name] for name in ("access_key", "secret_key")}

    assert post(network, "photos", encode(signed(Limited, "photos", {"key": "in/k"}))).status == 204
    assert code(post(network, "photos", encode(signed(Limited, "photos", {"key": "out/k"})))) == (403, "AccessDenied")


def can_sign(network, key):
    from botocore.exceptions import ClientError

    try:
        clients.s3(network, access_key=key["access_key"], secret_key=key["secret_key"]).head_bucket(Bucket="photos")
    except ClientError:
        return False
    return True
