"""Listings, versions, deletes and restores of many objects: `bench/run --only listings`.

Pages are asked for one after another over one connection, by a client that only counts in them, so that what is
measured is the gateway and its nodes. What is counted is compared with what was written.
"""

import base64
import concurrent.futures
import hashlib
import hmac
import http.client
import re
import statistics
import threading
import time
import urllib.parse

from network import wait_for

REGION = "us-east-1"


class Client:
    """S3 over one connection to each thread, with SigV4, and no retries."""

    def __init__(self, network):
        self.address = network.endpoint.removeprefix("http://")
        self.facts = network.facts
        self.local = threading.local()

    def request(self, method, path, query=(), body=b"", headers=()):
        """The body of an answer that is a success."""
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        quote = lambda text: urllib.parse.quote(str(text), safe="-_.~")
        path = urllib.parse.quote(path, safe="/-_.~")
        query = "&".join(f"{quote(name)}={quote(value)}" for name, value in sorted(dict(query).items()))
        payload = hashlib.sha256(body).hexdigest()
        sent = {"host": self.address, "x-amz-content-sha256": payload, "x-amz-date": now} | dict(headers)
        names = ";".join(sorted(sent))
        canonical = "".join(f"{name}:{sent[name]}\n" for name in sorted(sent))
        request = f"{method}\n{path}\n{query}\n{canonical}\n{names}\n{payload}"
        scope = f"{now[:8]}/{REGION}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        key = f"AWS4{self.facts['secret_key']}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        credential = f"{self.facts['access_key']}/{scope}"
        sent["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection(self.address, timeout=120)
        self.local.connection.request(method, f"{path}?{query}" if query else path, body, sent)
        answer = self.local.connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}?{query}: {answer.status} {data[:500]}")
        return data


def latencies(times):
    times = sorted(times)
    return {
        "p50_ms": statistics.median(times) * 1e3,
        "p99_ms": times[int(len(times) * 0.99)] * 1e3,
    }


def field(page, name):
    found = re.search(rb"<%s>([^<]*)</%s>" % (name, name), page)
    return found and found.group(1).decode()


def listing(client, bucket, item=b"<Contents>", begins=(), follows=None):
    """Lists all, a thousand at a time."""
    query, count, times, pages = dict(begins), 0, [], []
    follows = follows or {"continuation-token": b"NextContinuationToken"}
    while True:
        begun = time.monotonic()
        page = client.request("GET", f"/{bucket}", query)
        times.append(time.monotonic() - begun)
        pages.append(page)
        count += page.count(item)
        if field(page, b"IsTruncated") != "true":
            break
        query |= {parameter: field(page, name) for parameter, name in follows.items()}
    return {"seconds": sum(times), "entries": count, "pages": len(times)} | latencies(times), pages


def current(client, bucket, **more):
    return listing(client, bucket, begins={"list-type": 2, "encoding-type": "url"} | more)


def versions(client, bucket, item=b"<Version>", **more):
    follows = {"key-marker": b"NextKeyMarker", "version-id-marker": b"NextVersionIdMarker"}
    return listing(client, bucket, item, {"versions": "", "encoding-type": "url"} | more, follows)


def put(client, bucket, key, count, clients):
    """Overwrites one key again and again."""

    def write(number):
        begun = time.monotonic()
        client.request("PUT", f"/{bucket}/{key}", body=b"%d" % number)
        return time.monotonic() - begun

    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        times = list(pool.map(write, range(count)))
    seconds = time.monotonic() - begun
    return {"seconds": seconds, "per_second": count / seconds} | latencies(times)


def gets(client, path, query=(), count=200):
    times = []
    for _ in range(count):
        begun = time.monotonic()
        client.request("GET", path, query)
        times.append(time.monotonic() - begun)
    return latencies(times)


def delete(client, bucket, keys):
    """Deletes keys by DeleteObjects, a thousand at a time."""
    begun = time.monotonic()
    for first in range(0, len(keys), 1000):
        items = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys[first : first + 1000])
        body = f"<Delete><Quiet>true</Quiet>{items}</Delete>".encode()
        digest = {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(body).digest()).decode()}
        answer = client.request("POST", f"/{bucket}", {"delete": ""}, body, digest)
        if b"<Error>" in answer:
            raise SystemExit(answer[:500])
    seconds = time.monotonic() - begun
    return {"seconds": seconds, "per_second": len(keys) / seconds}


def delete_one_by_one(client, bucket, keys, clients):
    def one(key):
        begun = time.monotonic()
        client.request("DELETE", f"/{bucket}/{key}")
        return time.monotonic() - begun

    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        times = list(pool.map(one, keys))
    seconds = time.monotonic() - begun
    return {"seconds": seconds, "per_second": len(keys) / seconds} | latencies(times)


def height(network):
    """A block that has all that was answered, and nothing that is asked from now on."""
    now = network.status()[0]["height"] + 1
    wait_for(lambda: network.status()[0]["height"] > now, 30, "another block")
    return now


def expect(what, found, wanted):
    if found != wanted:
        raise SystemExit(f"{what}: {found}, not {wanted}")


def measure(bench, say):
    """All of it, in a bucket of its own for each subject."""
    quick, network = bench.arguments.quick, bench.network
    count, depth = (5_000, 500) if quick else (100_000, 10_000)
    client, results = Client(network), {}
    tell = lambda name, told: (results.update({name: told}), say(f"  {name}: {short(told)}"))
    repeat = lambda work: min((work() for _ in range(bench.arguments.repeat)), key=lambda measured: measured[0]["seconds"])

    say(f"{count} objects of 100 bytes, listed, deleted and restored")
    bucket = "bench"
    wrote = bench.watched(lambda: bench.load("put", "many", size=100, clients=32, objects=count))
    expect("objects written", wrote["operations"], count)
    tell("put", wrote)
    now, pages = repeat(lambda: current(client, bucket, prefix="many/"))
    expect("objects listed", now["entries"], count)
    tell("list", now)
    keys = [key.decode() for page in pages for key in re.findall(rb"<Key>([^<]*)</Key>", page)]
    tell("list as versions", repeat(lambda: versions(client, bucket, prefix="many/"))[0])
    before = height(network)
    past = f"{bucket}--at-{before}"
    tell("list as of just now", repeat(lambda: current(client, past, prefix="many/"))[0])

    few = keys[:: 50]
    tell("delete one by one, 32 clients", delete_one_by_one(client, bucket, few, 32))
    tell("delete by thousands", delete(client, bucket, sorted(set(keys) - set(few))))
    expect("objects left", current(client, bucket, prefix="many/")[0]["entries"], 0)
    as_was, pages = repeat(lambda: current(client, past, prefix="many/"))
    expect("objects of the past", [key.decode() for page in pages for key in re.findall(rb"<Key>([^<]*)</Key>", page)], keys)
    tell("list as of before all was deleted", as_was)
    results["past over current"] = as_was["seconds"] / now["seconds"]
    say(f"  past over current: {results['past over current']:.2f}")

    begun = time.monotonic()
    *_, done = network.json("restore", bucket, "--at", str(before), timeout=1800)
    seconds = time.monotonic() - begun
    expect("objects restored", done["restored"], count)
    tell("restore of all", {"seconds": seconds, "per_second": count / seconds})
    expect("objects listed again", current(client, bucket, prefix="many/")[0]["entries"], count)

    say(f"one key of {depth} versions among others")
    network.outlast("mb", "deep")
    for key in ("a", "z"):
        client.request("PUT", f"/deep/{key}", body=b"x")
    tell("get of one version", gets(client, "/deep/a"))
    tell("put of one key, 32 clients", put(client, "deep", "k", depth, 32))
    listed, pages = repeat(lambda: versions(client, "deep", prefix="k"))
    expect("versions listed", listed["entries"], depth)
    tell("list versions", listed)
    tell("get of the current version", gets(client, "/deep/k"))
    oldest = re.findall(rb"<VersionId>([^<]*)</VersionId>", pages[-1])[-1].decode()
    tell("get of the oldest version", gets(client, "/deep/k", {"versionId": oldest}))
    names, _ = repeat(lambda: current(client, "deep"))
    expect("keys listed", names["entries"], 3)
    tell("list the three keys", names)
    return results


def short(told):
    units = {"seconds": "s", "per_second": "/s", "p50_ms": "ms p50", "p99_ms": "ms p99"}
    return ", ".join(f"{told[name]:.1f} {unit}" for name, unit in units.items() if name in told)
