"""Writes the suite's configuration, from what `outlast up --json` and `outlast key new --json` printed."""

import json
import pathlib
import sys
import urllib.parse

TEMPLATE = """[DEFAULT]
host = {host}
port = {port}
is_secure = {secure}
ssl_verify = False

[fixtures]
bucket prefix = t{{random}}-

[s3 main]
display_name = {owner}
user_id = {owner}
email = main@example.com
api_name = us-east-1
access_key = {main[0]}
secret_key = {main[1]}

[s3 alt]
display_name = {other}
user_id = {other}
email = alt@example.com
access_key = {alt[0]}
secret_key = {alt[1]}

# The suite reads these sections always, and uses them in tests that are not run here.
[s3 tenant]
display_name = tenant
user_id = tenant
email = tenant@example.com
tenant = tenant
access_key = {alt[0]}
secret_key = {alt[1]}

[iam]
email = iam@example.com
user_id = iam
access_key = {alt[0]}
secret_key = {alt[1]}
display_name = iam

[iam root]
access_key = {alt[0]}
secret_key = {alt[1]}
user_id = iam
email = iam@example.com

[iam alt root]
access_key = {alt[0]}
secret_key = {alt[1]}
user_id = iam
email = iam@example.com
"""


def main():
    owner, other = (json.loads(pathlib.Path(name).read_text().splitlines()[0]) for name in sys.argv[1:3])
    url = urllib.parse.urlsplit(owner["s3_endpoint"])
    print(
        TEMPLATE.format(
            host=url.hostname,
            port=url.port,
            secure=url.scheme == "https",
            owner="outlast",
            other=other["access_key"],
            main=(owner["access_key"], owner["secret_key"]),
            alt=(other["access_key"], other["secret_key"]),
        ),
        end="",
    )


if __name__ == "__main__":
    main()
