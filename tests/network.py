"""A real network under test: `outlast up` with its nodes and its gateway, each a process.

The driver knows the program only from outside: its command line, its JSON, /proc, and the directory layout that the
README promises. It needs the standard library alone; `bench/run` uses it too.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
OUTLAST = BINARIES / "outlast"
VERIFY = BINARIES / "outlast-verify"

# First start of a network on a busy 2-core machine.
START_SECONDS = 90
STOP_SECONDS = 30

# What the caller's shell exports must not reach the clients under test.
FOREIGN = re.compile(r"^(AWS_|RCLONE_|RESTIC_|OUTLAST_|RUST_LOG$|https?_proxy$|HTTPS?_PROXY$)")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not FOREIGN.match(name)}


class Failed(AssertionError):
    """The program did not do what it was started for."""


def wait_for(condition, seconds, what):
    """Asks again until `condition` gives something true, and gives that."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def run(*arguments, check=True, timeout=120, **options):
    """Runs a command to its end; output is text."""
    options = {"env": ENVIRONMENT, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    done = subprocess.run([str(argument) for argument in arguments], timeout=timeout, check=False, **options)
    if check and done.returncode != 0:
        raise Failed(f"{arguments} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def children(pid):
    """Ids of the living children of a process."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name, in parentheses, may hold anything; state and parent follow it.
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(entry.name))
    return found


def command_line(pid):
    """The arguments of a process; empty when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    except OSError:
        return []


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(pid):
    """kill -9, and waits until the process is gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_for(lambda: not is_alive(pid), 10, f"process {pid} gone after kill -9")


class Network:
    """`outlast up` on a directory of its own."""

    def __init__(self, nodes=4, directory=None):
        self.n = nodes
        self.f = (nodes - 1) // 3
        self.base = None if directory else pathlib.Path(tempfile.mkdtemp(prefix="outlast-test-"))
        self.dir = pathlib.Path(directory) if directory else self.base / "network"
        self.up = None
        self.facts = None
        self.events = []
        self.messages = self.dir.parent / f"{self.dir.name}.stderr"

    def start(self, *options, nodes=True):
        """Starts it and waits until it says that it answers."""
        self.spawn(*options, nodes=nodes)
        first = []
        reader = threading.Thread(target=self._read, args=(self.up.stdout, first), daemon=True)
        reader.start()
        try:
            wait_for(lambda: first or self.up.poll() is not None, START_SECONDS, "the first line of `outlast up --json`")
        except Failed as failure:
            raise Failed(f"{failure}\n{self.diagnosis()}") from None
        if not first:
            raise Failed(f"`outlast up` ended with {self.up.wait()}\n{self.diagnosis()}")
        self.facts = first[0]
        return self

    def spawn(self, *options, nodes=True):
        """Starts `outlast up` and does not wait."""
        fresh = not (self.dir / "genesis").exists()
        arguments = [OUTLAST, "up", "--json", "--dir", self.dir]
        if fresh and nodes:
            arguments += ["--nodes", self.n]
        if fresh and "--s3-addr" not in options:
            arguments += ["--s3-addr", "127.0.0.1:0"]
        self.messages.parent.mkdir(parents=True, exist_ok=True)
        with open(self.messages, "ab") as messages:
            self.up = subprocess.Popen(
                [str(argument) for argument in [*arguments, *options]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=messages,
                env=ENVIRONMENT,
                text=True,
                start_new_session=True,
            )

    def _read(self, stdout, first):
        for line in stdout:
            if first:
                self.events.append(json.loads(line))
            else:
                first.append(json.loads(line))

    @property
    def endpoint(self):
        return self.facts["s3_endpoint"]

    @property
    def credentials(self):
        """As environment variables."""
        return {
            "AWS_ACCESS_KEY_ID": self.facts["access_key"],
            "AWS_SECRET_ACCESS_KEY": self.facts["secret_key"],
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def node_directory(self, index):
        return self.dir / "nodes" / f"node-{index}"

    def votes_directory(self, index):
        return self.dir / "votes" / f"node-{index}"

    def node_config(self, index):
        return self.dir / "config" / f"node-{index}.toml"

    def metrics(self, index):
        """What a node tells Prometheus."""
        address = re.search(r'metrics_listen = "(.*)"', self.node_config(index).read_text()).group(1)
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def log(self, name):
        return self.dir / "logs" / f"{name}.log"

    def processes(self):
        """Process ids by name: node-0, node-1, ..., gateway."""
        found = {}
        for pid in children(self.up.pid):
            line = " ".join(command_line(pid))
            name = re.search(r"(node-\d+)\.toml|gateway\.toml", line)
            if name:
                found[name.group(1) or "gateway"] = pid
        return found

    def running(self):
        """The processes, once all of them run."""
        return wait_for(
            lambda: (found := self.processes()) and len(found) == self.n + 1 and found, START_SECONDS, "all processes run"
        )

    def outlast(self, *arguments, **options):
        """Runs a command of the program on this network."""
        return run(OUTLAST, *arguments, "--dir", self.dir, **options)

    def json(self, *arguments, **options):
        """The same, and gives the JSON lines that it prints."""
        printed = self.outlast(*arguments, "--json", **options).stdout
        return [json.loads(line) for line in printed.splitlines()]

    def status(self):
        """What `outlast status` says, and its exit code."""
        done = self.outlast("status", "--json", check=False)
        if not done.stdout.strip():
            raise Failed(f"status says nothing: {done.stderr}")
        return json.loads(done.stdout), done.returncode

    def diagnosis(self, lines=15):
        """The ends of all logs."""
        logs = [self.messages, *sorted((self.dir / "logs").glob("*.log"))]
        ends = [f"--- {log.name}\n" + "\n".join(tail(log, lines)) for log in logs if log.exists()]
        return "\n".join(ends)

    def stop(self, number=signal.SIGINT):
        """Asks it to stop; gives seconds that this took."""
        pids = list(self.processes().values())
        begun = time.monotonic()
        self.up.send_signal(number)
        try:
            code = self.up.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f"`outlast up` does not stop\n{self.diagnosis()}") from None
        took = time.monotonic() - begun
        left = [pid for pid in pids if is_alive(pid)]
        if code != 0 or left:
            raise Failed(f"stopped with {code}, left behind: {left}\n{self.diagnosis()}")
        self.up.stdout.close()
        return took

    def kill_all(self):
        """kill -9 of everything, the supervisor first, at once."""
        pids = [self.up.pid, *self.processes().values()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.up.wait()
        self.up.stdout.close()
        for pid in pids[1:]:
            wait_for(lambda pid=pid: not is_alive(pid), 10, f"process {pid} gone after kill -9")

    def close(self):
        """Ends what still runs, and removes the directory."""
        if self.up is not None and self.up.poll() is None:
            try:
                self.stop()
            except Failed:
                self.kill_all()
        if self.base is not None and not os.environ.get("KEEP"):
            shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def tail(path, lines):
    """The last lines of a log that are not about connections coming and going."""
    told = [line for line in path.read_text(errors="replace").splitlines() if " link::" not in line]
    return told[-lines:]
