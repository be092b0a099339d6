"""What a stranger, or a client that went wrong, sends to the S3 port: refused cleanly, and nothing else suffers."""

import datetime
import hashlib
import http.client
import re
import socket
import time
import urllib.parse

import botocore.auth
import clients
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from clients import code, status


def sign(network, method, path, body=b"", headers=None, signer=botocore.auth.S3SigV4Auth, **credentials):
    """The headers of a signed request."""
    keys = Credentials(network.facts["access_key"], network.facts["secret_key"])
    told = {"x-amz-content-sha256": hashlib.sha256(body).hexdigest()} | (headers or {})
    request = AWSRequest(method, network.endpoint + path, headers=told, data=body)
    signer(keys, "s3", "us-east-1").add_auth(request) if signer is not botocore.auth.HmacV1Auth else signer(keys).add_auth(request)
    return dict(request.headers.items())


def send(network, method, path, headers, body=b""):
    """Sends exactly this; gives status and error code."""
    at = urllib.parse.urlsplit(network.endpoint)
    connection = http.client.HTTPConnection(at.hostname, at.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if "content-length" not in {name.lower() for name in headers}:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        found = re.search("<Code>(.*?)</Code>", text)
        return answer.status, found and found.group(1)
    finally:
        connection.close()


def test_a_signature_is_for_one_request_only(network, s3, bucket):
    path, body = f"/{bucket}/k", b"contents"
    headers = sign(network, "PUT", path, body)
    assert send(network, "PUT", path, headers, body)[0] == 200
    mismatch = (403, "SignatureDoesNotMatch")
    assert send(network, "PUT", f"/{bucket}/other", headers, body) == mismatch
    assert send(network, "PUT", path + "?tagging", headers, body) == mismatch
    assert send(network, "DELETE", path, headers) == mismatch
    assert send(network, "PUT", path, headers, b"CONTENTS") == (400, "XAmzContentSHA256Mismatch")
    digest = hashlib.sha256(b"CONTENTS").hexdigest()
    assert send(network, "PUT", path, headers | {"X-Amz-Content-SHA256": digest}, b"CONTENTS") == mismatch
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_a_signature_is_of_its_time(network, bucket, monkeypatch):
    def at(**ago):
        moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**ago)
        with monkeypatch.context() as patch:
            patch.setattr(botocore.auth, "get_current_datetime", lambda *_, **__: moment)
            return sign(network, "GET", f"/{bucket}")

    get = lambda headers: send(network, "GET", f"/{bucket}", headers)  # noqa: E731
    assert get(at(minutes=10))[0] == 200
    assert get(at(minutes=-10))[0] == 200
    # At midnight the credential's day differs besides.
    for headers in (at(minutes=17), at(hours=5), at(days=30), at(minutes=-17)):
        assert get(headers) in ((403, "RequestTimeTooSkewed"), (403, "SignatureDoesNotMatch"))
    # Dated anew, an old signature is none.
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    assert get(at(minutes=17) | {"X-Amz-Date": now}) == (403, "SignatureDoesNotMatch")


def test_a_signed_date_stands_in_for_amazons(network, bucket):
    path = f"/{bucket}"
    dated = {"Date": datetime.datetime.now(datetime.timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")}
    headers = sign(network, "GET", path, headers=dated)
    assert "X-Amz-Date" not in headers
    assert send(network, "GET", path, headers)[0] == 200
    old = {"Date": "Sun, 01 Nov 2020 00:00:00 GMT"}
    assert send(network, "GET", path, headers | old)[0] == 403


def test_headers_that_mean_something_are_signed(network, s3, bucket):
    s3.put_object(Bucket=bucket, Key="secret", Body=b"secret")
    path = f"/{bucket}/k"
    for name, value in [
        ("x-amz-copy-source", f"/{bucket}/secret"), ("x-amz-meta-a", "1"), ("x-amz-acl", "private"), ("x-amz-tagging", "a=b"),
        ("x-amz-object-lock-legal-hold", "ON"), ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
    ]:
        headers = sign(network, "PUT", path, b"x") | {name: value}
        assert send(network, "PUT", path, headers, b"x") == (403, "AccessDenied"), name
        url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
        target = url.removeprefix(network.endpoint)
        assert send(network, "PUT", target, {name: value}, b"x") == (403, "AccessDenied"), name
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["secret"]


def test_version_2_is_refused(network, bucket):
    headers = sign(network, "GET", f"/{bucket}", signer=botocore.auth.HmacV1Auth)
    assert headers["Authorization"].startswith("AWS ")
    assert send(network, "GET", f"/{bucket}", headers) == (400, "InvalidRequest")
    expires = int(time.time()) + 60
    target = f"/{bucket}?AWSAccessKeyId={network.facts['access_key']}&Expires={expires}&Signature=x"
    assert send(network, "GET", target, {}) == (400, "InvalidRequest")


def test_xml_bombs_do_no_harm(network, s3, bucket):
    lines = ['<!DOCTYPE d [<!ENTITY a0 "aaaaaaaaaa">', *(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)), "]>"]
    bomb = ("\n".join(lines) + "<Delete><Object><Key>&a11;</Key></Object></Delete>").encode()
    outside = b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>'
    deep = b"<Delete>" + b"<a>" * 200_000 + b"</a>" * 200_000 + b"</Delete>"
    wide = b"<Delete>" + b"<Object><Key>k</Key></Object>" * 5000 + b"</Delete>"
    path = f"/{bucket}?delete"
    for body in (bomb, outside, deep, wide, b"<Delete>", b"\xff\xfe<Delete/>"):
        begun = time.monotonic()
        answer = send(network, "POST", path, sign(network, "POST", path, body), body)
        assert answer[0] == 400, (body[:40], answer)
        assert time.monotonic() - begun < 10
    assert "Versions" not in s3.list_object_versions(Bucket=bucket) and "DeleteMarkers" not in s3.list_object_versions(Bucket=bucket)


def test_paths_lead_nowhere_else(network, s3, bucket):
    other = f"{bucket}-other"
    s3.create_bucket(Bucket=other)
    s3.put_object(Bucket=other, Key="secret", Body=b"secret")
    # Dots and slashes are names of keys, and nothing more.
    for key in (f"../{other}/secret", f"x/../../{other}/secret", f"/../{other}/secret", "..", "%2e%2e"):
        path = f"/{bucket}/" + urllib.parse.quote(key)
        assert send(network, "GET", path, sign(network, "GET", path)) == (404, "NoSuchKey"), key
    for path in (f"//{other}/secret", "/../etc/passwd", "/%2e%2e/x", f"/{bucket}%2F..%2F{other}/secret", "/%00/k", "/.well-known/x"):
        answer = send(network, "GET", path, sign(network, "GET", path))
        assert 400 <= answer[0] < 500, (path, answer)
    for path in (f"/{bucket}/%ff", f"/{bucket}/%zz"):
        answer = send(network, "GET", path, sign(network, "GET", path))
        assert 400 <= answer[0] < 500, (path, answer)


def test_bodies_of_two_lengths_are_refused(network, s3, bucket):
    at = urllib.parse.urlsplit(network.endpoint)
    url = urllib.parse.urlsplit(s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "smuggled"}))
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {at.netloc}\r\n"
    for lengths in ("Content-Length: 1\r\nContent-Length: 9\r\n", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "Content-Length: 99999999999\r\n"):
        with socket.create_connection((at.hostname, at.port), timeout=10) as connection:
            connection.sendall(f"{head}{lengths}\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n".encode())
            first = connection.recv(65536).split(b"\r\n")[0]
        assert first == b"" or first.split()[1].startswith(b"4"), (lengths, first)
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket=bucket, Key="smuggled")
    assert status(error) == 404


def test_a_key_has_its_rate(fresh):
    network = fresh(nodes=1).start()
    network.stop()
    config = network.dir / "gateway/gateway.toml"
    config.write_text("key_requests_per_second = 5\n" + config.read_text())
    network.start()
    s3 = clients.s3(network)
    answers, begun = [], time.monotonic()
    while time.monotonic() - begun < 3:
        try:
            s3.list_buckets()
            answers.append("ok")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "SlowDown"
            headers = error.response["ResponseMetadata"]["HTTPHeaders"]
            assert (error.response["ResponseMetadata"]["HTTPStatusCode"], headers["retry-after"]) == (503, "1")
            answers.append("slow")
        time.sleep(0.02)
    took = time.monotonic() - begun
    assert "slow" in answers
    assert answers.count("ok") <= 5 + 5 * took + 1
    assert answers.count("ok") >= 5
    # Whoever has no key uses up nobody's rate, and a client that waits gets on.
    time.sleep(1.5)
    for _ in range(30):
        with pytest.raises(ClientError) as error:
            clients.s3(network, secret_key="x" * 40).list_buckets()
        assert code(error) == "SignatureDoesNotMatch"
    s3.list_buckets()
