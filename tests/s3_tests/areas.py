"""Sums up verdicts of the suite by area: junit files in, a table out; `--failed` lists what did not pass."""

import collections
import re
import sys
import xml.etree.ElementTree

# The first pattern that is found in a test's name says its area.
AREAS = [
    ("post-object", "post_object"),
    ("sse-c", "sse_c|encrypted_transfer|encryption_key_no_sse_c|enc_conflict"),
    ("sse-s3", "sse_s3|bucket_encryption|put_obj_s3"),
    ("ownership", "ownership|object_writer|bucket_owner_(preferred|enforced)"),
    ("object-lock", "object_lock"),
    ("lifecycle", "lifecycle"),
    ("cors", "cors"),
    ("tagging", "tag(s|ging|set)?(_|$)|_tags"),
    ("policy", "policy|public_block|block_public|ignore_public_acls"),
    ("attributes", "attributes$|get_object_attributes"),
    ("checksum", "checksum|cksum"),
    ("conditional", "if_(none_)?match|ifmatch|ifnonematch|if_(un)?modified|ifmodified|ifunmodified"),
    ("versioning", "version|delete_marker"),
    ("list-v2", "listv2|objectv2|objects_v2"),
    ("list-v1", "bucket_list|list_objects|basic_key_count"),
    ("multipart", "multipart|upload_part"),
    ("copy", "copy"),
    ("range", "range"),
    ("atomic", "atomic"),
    ("raw/presign", "object_raw|anon_put|presigned"),
    ("acl", "acl|access_bucket"),
    ("headers/auth", "_bad_|_date|contentlength|contenttype|_create_no_|_aws|100_continue|authorization|bad_ua"),
    ("bucket", "bucket"),
    ("object", ""),
]


def area(test, file):
    if file.endswith("test_headers"):
        return "headers/auth"
    return next(name for name, pattern in AREAS if re.search(pattern, test))


def main():
    verdicts = {}
    for path in (name for name in sys.argv[1:] if not name.startswith("-")):
        for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
            passed = all(case.find(kind) is None for kind in ("failure", "error", "skipped"))
            verdicts[case.get("name")] = (area(case.get("name"), case.get("classname")), passed)
    tests, passes = collections.Counter(), collections.Counter()
    for name, passed in verdicts.values():
        tests[name] += 1
        passes[name] += passed
    print("| area | tests | pass |\n| --- | --: | --: |")
    for name in sorted(tests):
        print(f"| {name} | {tests[name]} | {passes[name]} |")
    print(f"| **all** | {sum(tests.values())} | {sum(passes.values())} |")
    if "--failed" in sys.argv:
        for name in sorted(tests):
            print(f"{name}: {' '.join(test for test, (at, passed) in sorted(verdicts.items()) if at == name and not passed)}")


if __name__ == "__main__":
    main()
