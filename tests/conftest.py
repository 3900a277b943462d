"""What every test process needs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    # Where nothing is installed yet, the conftest.py above says what to run first.
    from harness.stack.images import Images

# A job in the background of a script is started with SIGINT ignored, and children inherit that:
# the tests that interrupt a command would wait for ever. A handler is reset in children.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Likewise SIGHUP under nohup, and SIGQUIT in a script's background; this process goes on without.
for _number in (signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)


# How long an example takes, or its making, says how busy the machine is.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def images() -> Iterator[Images]:
    """The images of this machine's engine; without one the test is skipped, and CI fails then."""
    from harness.core.settings import Settings
    from harness.stack.images import Images
    from tests.engine import engine_obstacle

    if obstacle := engine_obstacle():
        pytest.skip(obstacle)
    found = Images(Settings.load())
    yield found
    found.engine.close()
