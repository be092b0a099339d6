"""Three gateways of one tenant, sharing nothing but the chain: races have one winner, and what one answered all show."""

import concurrent.futures
import contextlib
import datetime
import os
import threading
import time

import clients
import pytest
from botocore.exceptions import BotoCoreError, ClientError
from clients import read
from test_gateways import second_gateway


@pytest.fixture(scope="module")
def three(network, s3):
    with second_gateway(network, "gateway-b") as b, second_gateway(network, "gateway-c") as c:
        yield [s3, clients.s3(b), clients.s3(c)]


def outcome(call, *expected, **arguments):
    """What a request gives, or its error code, which must be one of these."""
    try:
        return call(**arguments)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        assert code in expected, error
        return code


def at_once(calls):
    """Runs all, begun together."""
    barrier = threading.Barrier(len(calls))

    def run(call):
        barrier.wait()
        return call()

    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def race(three, writers, attempt):
    """`attempt(client, writer)` of all writers at once, each through one of the gateways."""
    return at_once([lambda writer=writer: attempt(three[writer % 3], writer) for writer in range(writers)])


def winners(results):
    return [writer for writer, result in enumerate(results) if not isinstance(result, str)]


# In the transaction itself, and in chunks that are dispersed before it.
@pytest.mark.parametrize("size", [10, 40_000])
def test_one_of_many_creations_wins(three, bucket, size):
    for turn in range(4):
        bodies = [b"%02d" % writer * (size // 2) for writer in range(15)]
        put = lambda client, writer: outcome(
            client.put_object, "PreconditionFailed", Bucket=bucket, Key=f"k{turn}", Body=bodies[writer], IfNoneMatch="*"
        )
        won = winners(race(three, 15, put))
        assert len(won) == 1, won
        assert [read(client, bucket, f"k{turn}") for client in three] == [bodies[won[0]]] * 3
    # Of what lost, there are no versions either.
    assert len(three[1].list_object_versions(Bucket=bucket)["Versions"]) == 4


def test_no_increment_is_lost(three, bucket):
    """A counter that is read and replaced on condition, as a lock file or a table's metadata are."""
    three[0].put_object(Bucket=bucket, Key="counter", Body=b"0")
    lost = []

    def increment(client, writer):
        for _ in range(3):
            while True:
                answer = client.get_object(Bucket=bucket, Key="counter")
                body = b"%d" % (int(answer["Body"].read()) + 1)
                put = {"Bucket": bucket, "Key": "counter", "Body": body, "IfMatch": answer["ETag"]}
                if outcome(client.put_object, "PreconditionFailed", **put) != "PreconditionFailed":
                    break
                lost.append(writer)

    race(three, 6, increment)
    assert [read(client, bucket, "counter") for client in three] == [b"18"] * 3
    assert lost, "nothing raced"
    assert len(three[2].list_object_versions(Bucket=bucket)["Versions"]) == 19


def test_one_of_many_conditional_deletes_wins(three, bucket):
    etag = three[0].put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    delete = lambda client, _: outcome(
        client.delete_object, "PreconditionFailed", "NoSuchKey", Bucket=bucket, Key="k", IfMatch=etag
    )
    assert len(winners(race(three, 9, delete))) == 1
    assert [len(client.list_object_versions(Bucket=bucket)["DeleteMarkers"]) for client in three] == [1] * 3


def test_of_many_buckets_one_is_made(three, bucket):
    """In us-east-1 its owner may make a bucket again: all are answered, and what is in it stays."""
    name = f"{bucket}-new"

    def make(client, writer):
        client.create_bucket(Bucket=name)
        client.put_object(Bucket=name, Key=str(writer), Body=b"x")

    race(three, 9, make)
    for client in three:
        assert [found["Name"] for found in client.list_buckets()["Buckets"]].count(name) == 1
        assert len(client.list_objects_v2(Bucket=name)["Contents"]) == 9


def begin(client, bucket, key, parts, **options):
    """An upload with these parts, and how it is completed."""
    upload = {"Bucket": bucket, "Key": key}
    upload["UploadId"] = client.create_multipart_upload(**upload, **options)["UploadId"]
    listed = [
        {"PartNumber": number, "ETag": client.upload_part(**upload, PartNumber=number, Body=part)["ETag"]}
        for number, part in enumerate(parts, 1)
    ]
    return upload, upload | {"MultipartUpload": {"Parts": listed}}


def test_of_many_completions_on_condition_one_wins(three, bucket):
    done = [begin(client, bucket, "k", [b"%d" % number * 100])[1] for number, client in enumerate(three)]
    complete = lambda client, writer: outcome(
        client.complete_multipart_upload, "PreconditionFailed", **done[writer], IfNoneMatch="*"
    )
    won = winners(race(three, 3, complete))
    assert len(won) == 1
    assert [read(client, bucket, "k") for client in three] == [b"%d" % won[0] * 100] * 3


def test_an_upload_is_completed_once(three, bucket):
    upload, done = begin(three[0], bucket, "k", [b"1" * (5 << 20), b"2"])
    answers = race(three, 6, lambda client, _: client.complete_multipart_upload(**done))
    assert len({answer["VersionId"] for answer in answers}) == 1
    assert len(three[1].list_object_versions(Bucket=bucket)["Versions"]) == 1
    # Completed or aborted, never both.
    for turn in range(4):
        upload, done = begin(three[turn % 3], bucket, f"k{turn}", [b"1"])
        completed, aborted = at_once([
            lambda: outcome(three[(turn + 1) % 3].complete_multipart_upload, "NoSuchUpload", **done),
            lambda: outcome(three[(turn + 2) % 3].abort_multipart_upload, "NoSuchUpload", **upload),
        ])
        there = three[0].list_objects_v2(Bucket=bucket, Prefix=f"k{turn}")["KeyCount"]
        assert (completed != "NoSuchUpload") == (there == 1), (completed, aborted)


def test_what_one_gateway_answered_all_show(three, bucket):
    """Concurrently: each writer looks through the other gateways, at once, for each thing that it has done."""

    def write(client, writer):
        others = [other for other in three if other is not client]
        for turn in range(8):
            key, body = f"{writer}/{turn}", os.urandom(100 if turn % 2 else 30_000)
            version = client.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
            for other in others:
                assert read(other, bucket, key) == body
                listed = [item["Key"] for item in other.list_objects_v2(Bucket=bucket, Prefix=f"{writer}/")["Contents"]]
                assert key in listed
                assert other.list_object_versions(Bucket=bucket, Prefix=key)["Versions"][0]["VersionId"] == version
            if turn % 3 == 0:
                client.delete_object(Bucket=bucket, Key=key)
                for other in others:
                    assert outcome(other.head_object, "404", Bucket=bucket, Key=key) == "404"
                    assert "Contents" not in other.list_objects_v2(Bucket=bucket, Prefix=key)
                others[turn % 2].delete_object(Bucket=bucket, Key=key, VersionId=version)
                assert outcome(client.get_object, "NoSuchVersion", Bucket=bucket, Key=key, VersionId=version) == "NoSuchVersion"

    race(three, 6, write)


def test_locks_hold_at_all_gateways(three, network, bucket):
    a, b, c = three
    name = f"{bucket}-locked"
    a.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    version = b.put_object(Bucket=name, Key="k", Body=b"x")["VersionId"]
    which = {"Bucket": name, "Key": "k", "VersionId": version}
    c.put_object_legal_hold(**which, LegalHold={"Status": "ON"})
    for client in three:
        assert outcome(client.delete_object, "AccessDenied", **which) == "AccessDenied"
    a.put_object_legal_hold(**which, LegalHold={"Status": "OFF"})
    until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
    b.put_object_retention(**which, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until})
    for client in three:
        assert outcome(client.delete_object, "AccessDenied", **which, BypassGovernanceRetention=True) == "AccessDenied"
    # Every gateway gives the default of the moment when a version comes to be.
    default = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    c.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=default)
    for number, client in enumerate(three):
        made = client.put_object(Bucket=name, Key=f"d{number}", Body=b"x")["VersionId"]
        assert client.head_object(Bucket=name, Key=f"d{number}", VersionId=made)["ObjectLockMode"] == "GOVERNANCE"
        delete = {"Bucket": name, "Key": f"d{number}", "VersionId": made}
        assert outcome(three[number - 1].delete_object, "AccessDenied", **delete) == "AccessDenied"
    # A lock and a delete of the same version race: one of them holds, at all gateways.
    plain = {"ObjectLockEnabled": "Enabled"}
    c.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=plain)
    for turn in range(6):
        made = a.put_object(Bucket=name, Key=f"r{turn}", Body=b"x")["VersionId"]
        which = {"Bucket": name, "Key": f"r{turn}", "VersionId": made}
        held, hidden = at_once([
            lambda: outcome(b.put_object_legal_hold, "NoSuchVersion", **which, LegalHold={"Status": "ON"}),
            lambda: outcome(c.delete_object, "AccessDenied", **which),
        ])
        assert isinstance(held, str) != isinstance(hidden, str), (held, hidden)
        seen = [outcome(client.get_object, "NoSuchVersion", **which) for client in three]
        assert [one == "NoSuchVersion" for one in seen] == [held == "NoSuchVersion"] * 3


def test_an_upload_survives_kill_9_of_its_gateway(three, network, bucket):
    """Parts in flight when the gateway dies count or do not; another gateway lists what counts, and goes on."""
    data = os.urandom(8 * (5 << 20) + 1000)
    parts = {number: data[(number - 1) * (5 << 20) : number * (5 << 20)] for number in range(1, 10)}
    answered = {}
    with second_gateway(network, "gateway-lost") as lost:
        client = clients.s3(lost)
        upload = {"Bucket": bucket, "Key": "k"}
        upload["UploadId"] = client.create_multipart_upload(**upload, ChecksumAlgorithm="SHA256")["UploadId"]

        def send(number):
            with contextlib.suppress(BotoCoreError, ClientError):
                sent = client.upload_part(**upload, PartNumber=number, Body=parts[number], ChecksumAlgorithm="SHA256")
                answered[number] = sent["ETag"]

        senders = [threading.Thread(target=send, args=(number,)) for number in range(1, 9)]
        for sender in senders:
            sender.start()
        deadline = time.monotonic() + 60
        while not answered and time.monotonic() < deadline:
            time.sleep(0.005)
        lost.process.kill()
        lost.process.wait()
        for sender in senders:
            sender.join()
    assert answered
    there = {part["PartNumber"]: part["ETag"] for part in three[1].list_parts(**upload)["Parts"]}
    assert answered.items() <= there.items()
    # Others finish it between them, each what the others have not.
    for number in parts.keys() - there.keys():
        at = three[number % 3]
        there[number] = at.upload_part(**upload, PartNumber=number, Body=parts[number], ChecksumAlgorithm="SHA256")["ETag"]
    listed = three[0].list_parts(**upload)["Parts"]
    assert [(part["PartNumber"], part["ETag"]) for part in listed] == sorted(there.items())
    done = [{name: part[name] for name in ("PartNumber", "ETag", "ChecksumSHA256")} for part in listed]
    three[2].complete_multipart_upload(**upload, MultipartUpload={"Parts": done})
    for client in three:
        assert read(client, bucket, "k") == data
    assert "Uploads" not in three[0].list_multipart_uploads(Bucket=bucket)
