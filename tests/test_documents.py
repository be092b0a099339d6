"""What the documents say is true where it can be tried: README's commands, and links between documents."""

import re

from network import BINARIES, ENVIRONMENT, ROOT, run

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def anchor(heading):
    """How GitHub names a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_links_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
            if target.startswith("http"):
                continue
            path, _, section = target.partition("#")
            linked = (document.parent / path).resolve() if path else document
            assert linked.exists(), f"{document.name}: {target}"
            if section:
                headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
                assert section in map(anchor, headings), f"{document.name}: {target}"


def test_readme_does_what_it_says(fresh, tmp_path):
    network = fresh().start()
    text = (ROOT / "README.md").read_text()
    steps = text[text.index("## Three things to try") : text.index("## What is promised")]
    script = "\n".join(re.findall(r"^ *```sh\n(.*?)^ *```", steps, re.DOTALL | re.MULTILINE))
    assert "outlast verify" in script
    for name in ("README.md", "LICENSE-MIT", "Cargo.lock"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "outlast-data").symlink_to(network.dir)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "release").symlink_to(BINARIES)
    # Only `outlast status` may end with another code than 0: the network is degraded by then.
    failed = 'trap \'case $BASH_COMMAND in "outlast status") ;; *) echo "failed: $BASH_COMMAND"; exit 1 ;; esac\' ERR\n'
    done = run("bash", "-c", "set -o pipefail\n" + failed + script, cwd=tmp_path, env=ENVIRONMENT, timeout=300)
    assert "contents     LICENSE-MIT is what was stored" in done.stdout
