"""Clients of a network under test: boto3, and a journal of writers whose acknowledged writes must never be lost."""

import hashlib
import os
import random
import re
import ssl
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError


def s3(network, attempts=1, timeout=60, **credentials):
    """A boto3 client; without retries, unless asked for."""
    return boto3.client(
        "s3",
        endpoint_url=network.endpoint,
        aws_access_key_id=credentials.get("access_key", network.facts["access_key"]),
        aws_secret_access_key=credentials.get("secret_key", network.facts["secret_key"]),
        region_name="us-east-1",
        verify=network.facts.get("s3_ca"),
        config=Config(
            retries={"total_max_attempts": attempts, "mode": "standard"},
            connect_timeout=5,
            read_timeout=timeout,
            max_pool_connections=64,
            # Without this, boto3 presigns with SigV2, which is refused.
            signature_version="s3v4",
            s3={"addressing_style": "path"},
        ),
    )


def code(error):
    """The S3 error code of a refused request."""
    return error.value.response["Error"]["Code"]


def status(error):
    """Its HTTP status."""
    return error.value.response["ResponseMetadata"]["HTTPStatusCode"]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def moment():
    """A time (RFC 3339) that all that was answered is before, and all that is asked from now on is after."""
    time.sleep(1.1)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    time.sleep(1.1)
    return now


def past(bucket, at):
    """The name of the bucket as it was then, for clients that check names of buckets."""
    return f"{bucket}--at-{re.sub('[-:]', '', at).lower()}"


def trust(authority):
    """A TLS context for Python's own client that trusts this file."""
    return ssl.create_default_context(cafile=authority)


def read(client, bucket, key, **options):
    return client.get_object(Bucket=bucket, Key=key, **options)["Body"].read()


class Journal:
    """Writers that note what was acknowledged.

    Each writer has keys of its own and overwrites them in turn. Of each key the journal has the last acknowledged
    contents, and those of the attempts since whose outcome nobody knows: any of them may be there, nothing else.
    """

    # Inside the transaction, one chunk, several chunks.
    SIZES = (100, 4096, 16 << 10, 200_000, 3 << 20)
    KEYS = 12

    def __init__(self, network, bucket, writers=3, seed=1):
        self.network = network
        self.bucket = bucket
        self.prefix = f"journal-{seed}/"
        self.allowed = {}
        self.acknowledged = 0
        self.refused = 0
        self.longest_stall = 0.0
        self.errors = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(writer, random.Random(seed * 100 + writer)), daemon=True)
            for writer in range(writers)
        ]

    def start(self):
        for thread in self._threads:
            thread.start()
        return self

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a writer is stuck"
        return self

    def wait_for_progress(self, writes, seconds=60):
        """Until that many more writes are acknowledged."""
        target, deadline = self.acknowledged + writes, time.monotonic() + seconds
        while self.acknowledged < target:
            assert time.monotonic() < deadline, f"no {writes} writes within {seconds} s; errors: {self.errors}"
            time.sleep(0.02)

    def _write(self, writer, rng):
        client = s3(self.network, timeout=30)
        turn, last = 0, time.monotonic()
        while not self._stop.is_set():
            key = f"{self.prefix}{writer}/{turn % self.KEYS}"
            data = rng.randbytes(rng.choice(self.SIZES))
            digest = sha256(data)
            turn += 1
            with self._lock:
                self.allowed.setdefault(key, {None}).add(digest)
            try:
                client.put_object(Bucket=self.bucket, Key=key, Body=data)
            except (ClientError, BotoCoreError, HTTPClientError) as error:
                self.refused += 1
                self.errors.add(str(error)[:120])
                time.sleep(0.1)
                continue
            with self._lock:
                self.allowed[key] = {digest}
                self.acknowledged += 1
                now = time.monotonic()
                self.longest_stall = max(self.longest_stall, now - last)
                last = now

    def check(self):
        """Reads everything back; fails on anything lost or false."""
        client = s3(self.network, attempts=5)
        wrong = []
        for key, allowed in sorted(self.allowed.items()):
            try:
                digest = sha256(read(client, self.bucket, key))
            except ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchKey":
                    raise
                digest = None
            if digest not in allowed:
                wrong.append((key, digest))
        assert not wrong, f"lost or false: {wrong}"
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        listed = {item["Key"] for page in pages for item in page.get("Contents", [])}
        must = {key for key, allowed in self.allowed.items() if None not in allowed}
        assert must <= listed, f"not listed: {must - listed}"


def tree(directory, files=200, seed=7):
    """Makes a tree of files with odd names and sizes, and gives SHA-256 by relative path."""
    rng = random.Random(seed)
    names = ["with space.txt", "plus+sign", "percent%41", "amp&and", "quote'\"s", "Привет/мир.txt", "日本/語", "a.b/c..d", "empty"]
    names += [f"d{index % 13}/s{index % 5}/file-{index}.bin" for index in range(files)]
    sums = {}
    for name in names:
        size = 0 if name == "empty" else int(2 ** rng.uniform(0, 18))
        data = rng.randbytes(size)
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        sums[name] = sha256(data)
    return sums


def sums(directory):
    """SHA-256 by relative path of all files below a directory."""
    found = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, directory)] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
