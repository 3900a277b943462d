"""Finds the reason why a process exited in the last lines of its log."""

from __future__ import annotations

import re

USUAL = {"kafka": 9092, "postgres": 5432, "redis": 6379, "zipkin": 9411}
"""The services that `dapr-harness run --with` can add, and the port of each."""

_FATAL = re.compile(r'level=fatal msg="((?:[^"\\]|\\.)*)"')
_ERROR = re.compile(r'level=error msg="((?:[^"\\]|\\.)*)"')
_RAISED = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception): .+$", re.MULTILINE)
_REFUSED = re.compile(
    r"(?:localhost|127\.0\.0\.1|\[::1\]):(\d+)\b.*connection refused"
    r"|connection refused.*(?:localhost|127\.0\.0\.1|\[::1\]):(\d+)\b",
    re.IGNORECASE,
)


def cause_of(log: str) -> str:
    """daprd's own final message, or the exception that ended a Python program; otherwise ""."""
    for pattern in (_FATAL, _RAISED, _ERROR):
        found = pattern.findall(log)
        if found:
            return " ".join(str(found[-1]).replace('\\"', '"').replace("\\n", " ").split())
    return ""


def refused_hint(log: str) -> str:
    """What to do about a refused connection to this machine, "" when there is none."""
    found = _REFUSED.findall(log)
    port = next((each for each in found[-1] if each), "") if found else ""
    name = next((name for name, usual in USUAL.items() if port == str(usual)), "")
    if not name:
        return f"nothing listens on port {port} of this machine; start it first" if port else ""
    return f"no {name} listens on port {port}; `dapr-harness run --with {name}` starts one"
