"""Schedule jobs as fast as they are acknowledged; a program of its own, for gevent's sake.

python -m tests.bench.job_burst SIDECAR TOKEN COUNT CONNECTIONS DUE

DUE is a moment of the wall clock, or 0 for jobs that are due at once. Prints when it began and
when the last one was acknowledged (wall clock), and how many were refused.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402 - gevent comes first
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from datetime import UTC, datetime  # noqa: E402

import gevent  # noqa: E402

from harness.load.generate.http import Failed, Http  # noqa: E402


def main(sidecar: str, token: str, count: int, connections: int, due: float) -> None:
    """Everything, by so many greenlets."""
    http, left, failed = Http(sidecar, {"dapr-api-token": token}), iter(range(count)), list[str]()
    began = time.time()
    gevent.joinall([
        gevent.spawn(_schedule, http, left, due, failed) for _ in range(connections)
    ], raise_error=True)  # fmt: skip
    sys.stdout.write(json.dumps({"began": began, "ended": time.time(), "failed": failed}) + "\n")


def _schedule(http: Http, left: Iterator[int], due: float, failed: list[str]) -> None:
    for number in left:
        at = due or time.time()
        data = {"lane": f"burst-{due}", "number": number, "job_due": at, "sent": time.monotonic()}
        when = datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
        try:
            http.send("POST", f"/v1.0/jobs/burst-{due}-{number}", {"dueTime": when, "data": data})
        except Failed as error:
            failed.append(str(error))


if __name__ == "__main__":
    _program, address, own_token, jobs, lanes, moment = sys.argv
    main(address, own_token, int(jobs), int(lanes), float(moment))
