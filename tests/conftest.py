"""What every test process needs."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from harness.images import Images
from harness.settings import Settings
from tests.engine import engine_obstacle

# A job in the background of a script is started with SIGINT ignored, and children inherit that:
# the tests that interrupt a command would wait for ever. A handler is reset in children.
signal.signal(signal.SIGINT, signal.default_int_handler)


# How long one example takes says how busy the machine is.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def images() -> Iterator[Images]:
    """The images of this machine's engine; without one the test is skipped, and CI fails then."""
    if obstacle := engine_obstacle():
        pytest.skip(obstacle)
    found = Images(Settings.load())
    yield found
    found.engine.close()
