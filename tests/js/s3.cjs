// What a program with the AWS SDK for JavaScript does. `run BUCKET` writes and reads in an empty bucket, `past BUCKET`
// reads what that left in a bucket as of an earlier time. Endpoint and credentials come from the environment.
const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { Readable } = require("node:stream");
const s3 = require("@aws-sdk/client-s3");
const { Upload } = require("@aws-sdk/lib-storage");
const { getSignedUrl } = require("@aws-sdk/s3-request-presigner");

const [what, Bucket] = process.argv.slice(2);
const client = new s3.S3Client({ forcePathStyle: true, maxAttempts: 1 });
const ask = (name, input) => client.send(new s3[`${name}Command`]({ Bucket, ...input }));
const read = async (input) => Buffer.from(await (await ask("GetObject", input)).Body.transformToByteArray());
const refused = (promise, name, status) =>
    assert.rejects(promise, (error) => {
        assert.deepEqual([error.name, error.$metadata?.httpStatusCode], [name, status]);
        return true;
    });

// The same bytes in both runs of this script.
const bytes = (length, seed) => crypto.createHash("shake256", { outputLength: length }).update(seed).digest();
const big = bytes(12 << 20, "big");
const odd = "dir/Привет + 100%/'\"&日本.bin";

async function run() {
    // From memory, and as a stream whose checksum follows it as a trailer.
    const small = bytes(70_000, "small");
    const put = await ask("PutObject", { Key: odd, Body: small, Metadata: { of: "js" }, Tagging: "a=1" });
    assert.equal(put.ETag, `"${crypto.createHash("md5").update(small).digest("hex")}"`);
    const parts = [big.subarray(0, 3 << 20), big.subarray(3 << 20)];
    await ask("PutObject", { Key: "stream", Body: Readable.from(parts), ContentLength: big.length });
    assert.deepEqual(await read({ Key: odd }), small);
    assert.deepEqual(await read({ Key: "stream" }), big);
    assert.deepEqual(await read({ Key: "stream", Range: "bytes=5-9" }), big.subarray(5, 10));
    const head = await ask("HeadObject", { Key: odd });
    assert.deepEqual([head.Metadata, head.ContentLength, head.VersionId], [{ of: "js" }, 70_000, put.VersionId]);

    // Every checksum that the SDK computes itself, kept and given back.
    for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]) {
        const made = await ask("PutObject", { Key: "sum", Body: small, ChecksumAlgorithm });
        const shown = await ask("HeadObject", { Key: "sum", ChecksumMode: "ENABLED" });
        const name = `Checksum${ChecksumAlgorithm}`;
        assert.ok(made[name], name);
        assert.equal(shown[name], made[name]);
        assert.deepEqual(await read({ Key: "sum", ChecksumMode: "ENABLED" }), small);
    }

    // Parts, of a stream of unknown length.
    const upload = new Upload({ client, params: { Bucket, Key: "parts", Body: Readable.from(parts) }, partSize: 5 << 20 });
    assert.match((await upload.done()).ETag, /-3"$/);
    assert.deepEqual(await read({ Key: "parts" }), big);
    assert.deepEqual(await read({ Key: "parts", PartNumber: 3 }), big.subarray(10 << 20));
    const attributes = await ask("GetObjectAttributes", { Key: "parts", ObjectAttributes: ["ObjectParts", "ObjectSize"] });
    assert.deepEqual([attributes.ObjectParts.TotalPartsCount, attributes.ObjectSize], [3, big.length]);

    // Conditions.
    await refused(ask("PutObject", { Key: odd, Body: "x", IfNoneMatch: "*" }), "PreconditionFailed", 412);
    await refused(ask("PutObject", { Key: odd, Body: "x", IfMatch: '"0123456789abcdef0123456789abcdef"' }), "PreconditionFailed", 412);
    await refused(ask("GetObject", { Key: odd, IfNoneMatch: put.ETag }), "Unknown", 304);
    await refused(ask("GetObject", { Key: "nothing" }), "NoSuchKey", 404);

    // Copies, tags, listings.
    await ask("CopyObject", { Key: "copy", CopySource: encodeURIComponent(`${Bucket}/${odd}`), IfNoneMatch: "*" });
    assert.deepEqual(await read({ Key: "copy" }), small);
    assert.deepEqual((await ask("GetObjectTagging", { Key: "copy" })).TagSet, [{ Key: "a", Value: "1" }]);
    const keys = [];
    for await (const page of s3.paginateListObjectsV2({ client, pageSize: 2 }, { Bucket }))
        keys.push(...page.Contents.map((item) => item.Key));
    assert.deepEqual(keys, ["copy", odd, "parts", "stream", "sum"]);
    assert.equal((await ask("ListObjectVersions", { Prefix: "sum" })).Versions.length, 5);

    // Presigned, used without any credentials.
    const url = await getSignedUrl(client, new s3.PutObjectCommand({ Bucket, Key: "presigned" }), { expiresIn: 60 });
    const sent = await fetch(url, { method: "PUT", body: "by a browser" });
    assert.equal(sent.status, 200, await sent.text());
    const from = await getSignedUrl(client, new s3.GetObjectCommand({ Bucket, Key: "presigned" }), { expiresIn: 60 });
    assert.equal(await (await fetch(from)).text(), "by a browser");

    // Object lock.
    await ask("PutObjectLockConfiguration", { ObjectLockConfiguration: { ObjectLockEnabled: "Enabled" } });
    const until = new Date(Date.now() + 5000);
    const locked = await ask("PutObject", { Key: "locked", Body: "x", ObjectLockMode: "COMPLIANCE", ObjectLockRetainUntilDate: until });
    const { Retention } = await ask("GetObjectRetention", { Key: "locked" });
    assert.equal(Retention.Mode, "COMPLIANCE");
    await refused(ask("DeleteObject", { Key: "locked", VersionId: locked.VersionId }), "AccessDenied", 403);
}

async function past() {
    assert.deepEqual(await read({ Key: odd }), bytes(70_000, "small"));
    assert.deepEqual(await read({ Key: "parts" }), big);
    const listed = await ask("ListObjectsV2", { Prefix: "s" });
    assert.deepEqual(listed.Contents.map((item) => item.Key), ["stream", "sum"]);
    await refused(ask("PutObject", { Key: "new", Body: "x" }), "AccessDenied", 403);
}

({ run, past })[what]().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});
