"""pgBackRest keeps a PostgreSQL cluster, loses everything to its own credentials, and restores it from the past.

It speaks nothing but TLS to S3. PostgreSQL refuses to run as root, so there both run as Debian's user `postgres`.
"""

import os
import pathlib
import pwd
import shutil
import tempfile

import clients
import pytest
from clients import moment, past
from network import ENVIRONMENT, run, wait_for

# The newest PostgreSQL that Debian has installed here.
PROGRAMS = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), default=None)


@pytest.fixture
def cluster(secure):
    """Makes a cluster, and pgBackRest's configuration."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="outlast-pg-"))
    who = {}
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(directory, user.pw_uid, user.pw_gid)
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    # It looks where only root may.
    shutil.copy(secure.facts["s3_ca"], directory / "ca.pem")
    (directory / "ca.pem").chmod(0o644)
    made = Cluster(directory, who, secure)
    yield made
    if made.runs:
        made.stop("immediate")
    shutil.rmtree(directory)


class Cluster:
    def __init__(self, directory, who, network):
        self.directory = directory
        self.data = directory / "data"
        self.who = who
        self.network = network
        self.runs = False

    def run(self, *arguments, **options):
        # HOME is where pgBackRest and psql look for more.
        return run(*arguments, env=ENVIRONMENT | {"HOME": str(self.directory)}, cwd=self.directory, **self.who, **options)

    def configure(self, bucket):
        """The configuration file of pgBackRest."""
        _, _, address = self.network.endpoint.rpartition("/")
        port = address.rpartition(":")[2]
        path = self.directory / "pgbackrest.conf"
        lines = {
            "repo1-type": "s3",
            "repo1-path": "/repository",
            "repo1-s3-bucket": bucket,
            # By its name: pgBackRest does not find addresses in certificates.
            "repo1-s3-endpoint": f"localhost:{port}",
            "repo1-s3-region": "us-east-1",
            "repo1-s3-key": self.network.facts["access_key"],
            "repo1-s3-key-secret": self.network.facts["secret_key"],
            "repo1-s3-uri-style": "path",
            "repo1-storage-ca-file": self.directory / "ca.pem",
            "repo1-retention-full": 2,
            # Small files in one object, which a restore reads by ranges.
            "repo1-bundle": "y",
            "log-path": self.directory,
            "lock-path": self.directory,
            "spool-path": self.directory,
            "log-level-console": "warn",
            "start-fast": "y",
            "process-max": 2,
        }
        text = "[global]\n" + "".join(f"{option}={value}\n" for option, value in lines.items())
        text += f"\n[main]\npg1-path={self.data}\npg1-socket-path={self.directory}\npg1-user=postgres\n"
        path.write_text(text)
        path.chmod(0o644)
        return path

    def make(self, configuration):
        self.run(PROGRAMS / "initdb", "--auth", "trust", "--username", "postgres", "--no-sync", "-D", self.data)
        with open(self.data / "postgresql.conf", "a") as file:
            # No TCP: several of these, and others, may run.
            file.write(f"listen_addresses = ''\nunix_socket_directories = '{self.directory}'\nfsync = off\n")
            file.write("archive_mode = on\n")
            file.write(f"archive_command = 'pgbackrest --config={configuration} --stanza=main archive-push %p'\n")

    def start(self):
        log = self.directory / "postgresql.log"
        self.run(PROGRAMS / "pg_ctl", "start", "--wait", "-D", self.data, "-l", log, stdout=None, stderr=None)
        self.runs = True

    def stop(self, how="fast"):
        self.run(PROGRAMS / "pg_ctl", "stop", "--wait", "--mode", how, "-D", self.data)
        self.runs = False

    def sql(self, text):
        arguments = ("--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-h", self.directory, "-U", "postgres", "-c", text)
        return self.run(PROGRAMS / "psql", *arguments, "postgres").stdout.strip()

    def backrest(self, configuration, *arguments):
        return self.run("pgbackrest", f"--config={configuration}", "--stanza=main", *arguments).stdout


def test_pgbackrest_restores_what_its_own_credentials_deleted(cluster, secure):
    s3, bucket = clients.s3(secure), "pgbackrest"
    s3.create_bucket(Bucket=bucket)
    configuration = cluster.configure(bucket)
    cluster.make(configuration)
    cluster.start()
    cluster.backrest(configuration, "stanza-create")
    cluster.backrest(configuration, "check")
    cluster.sql("create table t as select n, md5(n::text) from generate_series(1, 50000) n")
    cluster.backrest(configuration, "--type=full", "backup")
    cluster.sql("insert into t select n, md5(n::text) from generate_series(50001, 60000) n")
    cluster.backrest(configuration, "--type=incr", "backup")
    # This is in no backup, only in the archived log.
    cluster.sql("insert into t select n, md5(n::text) from generate_series(60001, 61000) n")
    cluster.backrest(configuration, "check")
    before = moment()
    objects = s3.list_objects_v2(Bucket=bucket)["KeyCount"]
    assert objects > 10

    cluster.backrest(configuration, "stop")
    cluster.stop()
    cluster.backrest(configuration, "--force", "stanza-delete")
    shutil.rmtree(cluster.data)
    left = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    assert not [key for key in left if "/main/" in key], left

    cluster.backrest(configuration, "start")
    cluster.run("mkdir", "--mode", "700", cluster.data)
    # It must not archive into the past.
    cluster.backrest(configuration, f"--repo1-s3-bucket={past(bucket, before)}", "--archive-mode=off", "restore")
    cluster.start()
    wait_for(lambda: cluster.sql("select pg_is_in_recovery()") == "f", 60, "the log is replayed to its end")
    assert cluster.sql("select count(*), sum(n) from t") == f"61000|{sum(range(1, 61001))}"
    assert cluster.sql("select count(*) from t where md5 <> md5(n::text)") == "0"
