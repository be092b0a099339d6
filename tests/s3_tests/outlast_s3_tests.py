"""What the suite needs to run against a store that destroys nothing.

The suite empties every bucket of its prefix before and after each test, and waits for locks to end. Here each test gets
a prefix that nobody had before, and nothing is cleaned up.
"""

import random
import string

import s3tests.functional as suite


def _fresh():
    """A prefix as long as the suite's own, since some tests count characters of names."""
    suite.prefix = "t" + "".join(random.choices(string.ascii_lowercase + string.digits, k=28)) + "-"


suite.setup = _fresh
suite.teardown = lambda: None
