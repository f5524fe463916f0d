"""The strongest sandbox of this machine. Attacks are never run without one."""

import pytest

from underdog.errors import UserError
from underdog.verify.sandbox.local import open_local


@pytest.fixture(scope="session")
def strong():
    try:
        sandbox = open_local(weak=False, count=1)
    except UserError as problem:
        pytest.skip(f"no isolation here: {problem}")
    yield sandbox
    sandbox.close()
