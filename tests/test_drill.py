"""The drill, small."""

import json

from clients import tree
from network import OUTLAST, run


def test_the_drill_loses_nothing(tmp_path):
    tree(tmp_path / "files", files=400)
    done = run(OUTLAST, "drill", "--json", "--files", tmp_path / "files", timeout=300, check=False)
    assert done.returncode == 0, done
    report = json.loads(done.stdout.strip().splitlines()[-1])
    assert report["lost"] == 0 and report["false"] == 0, report
    assert report["objects"] >= 400 and report["bytes"] > 1_000_000, report
    assert report["longest_stall_ms"] >= 0
