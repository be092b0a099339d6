"""The drill, small, in all its scenarios."""

import json
import subprocess

import pytest
from clients import tree
from network import OUTLAST, run

# Beside the files, what a scenario needs to be one.
SCENARIOS = {
    "one": [],
    "rolling": [],
    "several": [],
    "disks": [],
    "rollback": [],
    "rot": [],
    "slow": [],
    # Enough to fill a disk; of a tree at hand.
    "full": ["--bytes", "40000000"],
}


def may_mount():
    return subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_drill_loses_nothing(tmp_path, scenario):
    if scenario == "full" and not may_mount():
        pytest.skip("this machine lets nobody mount a small disk")
    tree(tmp_path / "files", files=400)
    files = SCENARIOS[scenario] or ["--files", tmp_path / "files"]
    arguments = ["--scenario", scenario, *files, "--scratch", tmp_path / "scratch"]
    done = run(OUTLAST, "drill", "--json", *arguments, timeout=600, check=False)
    assert done.returncode == 0, done
    report = json.loads(done.stdout.strip().splitlines()[-1])
    assert report["lost"] == 0 and report["false"] == 0 and report["refused"] == 0, report
    assert report["unmet"] == [] and report["scenario"] == scenario, report
    assert report["objects"] >= 400 and report["bytes"] > 1_000_000, report
    assert report["longest_stall_ms"] >= 0
    assert report["nodes"] == (7 if scenario == "several" else 4)
    deleted = {"one": 1, "rolling": 4, "several": 2, "disks": 2, "rollback": 0, "full": 0, "slow": 0}
    assert scenario == "rot" or len(report["deleted"]) == deleted[scenario], report
    assert not (tmp_path / "scratch").exists(), "a drill that passed leaves nothing behind"


def test_a_drill_says_what_it_does():
    told = run(OUTLAST, "drill", "--help").stdout
    assert all(f"- {scenario}:" in told for scenario in SCENARIOS), told
