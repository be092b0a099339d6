"""Fixtures: one network that harmless tests share, and one for each test that breaks things."""

import itertools

import clients
import network as driver
import pytest

_numbers = itertools.count()


@pytest.fixture(scope="session")
def network():
    """A network of four nodes that tests share: whoever harms it uses `fresh`."""
    with driver.Network() as made:
        yield made.start()


@pytest.fixture(scope="session")
def secure():
    """Another one to share, which speaks TLS."""
    with driver.Network() as made:
        yield made.start("--tls")


@pytest.fixture
def fresh(request):
    """Makes networks that belong to the test alone; all logs are shown when it fails."""
    made = []

    def make(nodes=4):
        made.append(driver.Network(nodes=nodes))
        return made[-1]

    yield make
    failed = getattr(request.node, "failed", False)
    for network in made:
        if failed:
            print(network.diagnosis())
        network.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        item.failed = True


@pytest.fixture(scope="session")
def s3(network):
    return clients.s3(network)


@pytest.fixture
def bucket(s3):
    """A new, empty bucket in the shared network."""
    name = f"test-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name
