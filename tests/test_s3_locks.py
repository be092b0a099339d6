"""Object lock and tags through boto3, and that what a client sees is what the chain enforces."""

import datetime
import threading
import time

import pytest
from botocore.exceptions import ClientError
from clients import code, read

FAR = datetime.datetime(2033, 1, 1, tzinfo=datetime.timezone.utc)
FARTHER = datetime.datetime(2033, 6, 1, tzinfo=datetime.timezone.utc)


@pytest.fixture
def locked(s3, bucket):
    name = f"{bucket}-locked"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def refused(call, expected, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert code(error) == expected


def test_compliance_cannot_be_shortened_or_bypassed(s3, locked):
    put = s3.put_object(Bucket=locked, Key="k", Body=b"x", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=FAR)
    at = {"Bucket": locked, "Key": "k", "VersionId": put["VersionId"]}
    head = s3.head_object(**at)
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", FAR)
    refused(s3.delete_object, "AccessDenied", **at)
    refused(s3.delete_object, "AccessDenied", **at, BypassGovernanceRetention=True)
    for retention in (
        {"Mode": "GOVERNANCE", "RetainUntilDate": FARTHER},
        {"Mode": "COMPLIANCE", "RetainUntilDate": FAR - datetime.timedelta(days=1)},
        {},
    ):
        refused(s3.put_object_retention, "AccessDenied", **at, Retention=retention, BypassGovernanceRetention=True)
    s3.put_object_retention(**at, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": FARTHER})
    assert s3.get_object_retention(**at)["Retention"]["RetainUntilDate"] == FARTHER
    assert read(s3, locked, "k") == b"x"


def test_governance_takes_a_bypass(s3, locked):
    s3.put_object_lock_configuration(
        Bucket=locked,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )
    version = s3.put_object(Bucket=locked, Key="k", Body=b"x")["VersionId"]
    at = {"Bucket": locked, "Key": "k", "VersionId": version}
    assert s3.get_object_retention(**at)["Retention"]["Mode"] == "GOVERNANCE"
    refused(s3.delete_object, "AccessDenied", **at)
    s3.delete_object(Bucket=locked, Key="k")
    refused(s3.delete_bucket, "AccessDenied", Bucket=locked)
    s3.delete_object(**at, BypassGovernanceRetention=True)
    refused(s3.get_object, "NoSuchVersion", **at)


def test_a_legal_hold_keeps_a_version_and_its_bucket(s3, locked):
    upload = s3.create_multipart_upload(Bucket=locked, Key="k", ObjectLockLegalHoldStatus="ON")["UploadId"]
    part = {"Bucket": locked, "Key": "k", "UploadId": upload}
    etag = s3.upload_part(**part, PartNumber=1, Body=b"x")["ETag"]
    done = s3.complete_multipart_upload(**part, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    at = {"Bucket": locked, "Key": "k", "VersionId": done["VersionId"]}
    s3.delete_object(Bucket=locked, Key="k")
    refused(s3.delete_bucket, "AccessDenied", Bucket=locked)
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": [{"Key": "k", "VersionId": done["VersionId"]}]})
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    s3.put_object_legal_hold(**at, LegalHold={"Status": "OFF"})
    s3.delete_object(**at)
    s3.delete_bucket(Bucket=locked)


def test_retention_has_a_bound(s3, locked):
    far = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=3700)
    retention = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": far}
    refused(s3.put_object, "InvalidArgument", Bucket=locked, Key="k", Body=b"x", **retention)
    refused(s3.head_object, "404", Bucket=locked, Key="k")


def test_a_bucket_without_object_lock_locks_nothing(s3, bucket):
    refused(s3.get_object_lock_configuration, "ObjectLockConfigurationNotFoundError", Bucket=bucket)
    hold = {"ObjectLockLegalHoldStatus": "ON"}
    refused(s3.put_object, "InvalidRequest", Bucket=bucket, Key="k", Body=b"x", **hold)


def test_tags_follow_versions(s3, bucket):
    one = s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="a=1&b=%C3%A9")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "é"}]
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    assert s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=one)["TagSet"] == tags
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=one)["TagCount"] == 2
    s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k", "VersionId": one})
    assert s3.get_object_tagging(Bucket=bucket, Key="c")["TagSet"] == tags
    s3.put_object_tagging(Bucket=bucket, Key="c", Tagging={"TagSet": [{"Key": "x", "Value": ""}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="c")["TagSet"] == [{"Key": "x", "Value": ""}]
    s3.delete_object_tagging(Bucket=bucket, Key="c")
    assert s3.get_object_tagging(Bucket=bucket, Key="c")["TagSet"] == []
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    refused(s3.get_bucket_tagging, "NoSuchTagSet", Bucket=bucket)


def test_tags_are_secret_and_of_a_time(network, s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", Tagging="secret-tag=unheard-of-value")
    time.sleep(1.5)
    moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dt%H%M%Sz")
    time.sleep(1.5)
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "later", "Value": "1"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"][0]["Key"] == "later"
    stored = b"".join(
        path.read_bytes() for path in network.node_directory(0).rglob("*") if path.is_file() and path.stat().st_size < 1 << 28
    )
    assert b"unheard-of-value" not in stored and b"secret-tag" not in stored
    past = s3.get_object_tagging(Bucket=f"{bucket}--at-{moment}", Key="k")["TagSet"]
    assert past == [{"Key": "secret-tag", "Value": "unheard-of-value"}]


def test_locks_race_deletes(s3, locked):
    """Of a hold and a delete at once one comes first, and the other is told."""
    for turn in range(5):
        version = s3.put_object(Bucket=locked, Key=f"k{turn}", Body=b"x")["VersionId"]
        at = {"Bucket": locked, "Key": f"k{turn}", "VersionId": version}
        outcome = {}

        def attempt(name, call, **arguments):
            try:
                call(**arguments)
                outcome[name] = 200
            except ClientError as error:
                outcome[name] = error.response["ResponseMetadata"]["HTTPStatusCode"]

        threads = [
            threading.Thread(target=attempt, args=("hold", s3.put_object_legal_hold), kwargs={**at, "LegalHold": {"Status": "ON"}}),
            threading.Thread(target=attempt, args=("hide", s3.delete_object), kwargs=at),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if outcome["hold"] == 200 and outcome["hide"] == 403:
            assert read(s3, locked, f"k{turn}") == b"x"
        else:
            assert outcome["hide"] in (200, 204) and outcome["hold"] == 404, outcome
            refused(s3.get_object, "NoSuchVersion", **at)
