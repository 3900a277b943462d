"""What every test process needs."""

from __future__ import annotations

import signal

# A job in the background of a script is started with SIGINT ignored, and children inherit that:
# the tests that interrupt a command would wait for ever. A handler is reset in children.
signal.signal(signal.SIGINT, signal.default_int_handler)
