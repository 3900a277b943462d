"""From the page to the backend and back: its service, two sidecars, the backend."""

from __future__ import annotations

import statistics
import time

import httpx

from harness import Settings, World, running
from harness.ready.loopback import client
from scenarios.signing import sign
from scenarios.topology import reference
from tests.bench.numbers import Figures, milliseconds, paired

ROUNDS = 300


def invocation(settings: Settings) -> Figures:
    """A list of tasks asked of the backend itself, by its sidecars, and by the page's service.

    One after the other in each round, so that what disturbs one disturbs the others.
    """
    with running(reference, settings) as stack, World(stack) as world:
        path = f"/api/{world.name('user')}/tasks"
        endpoint, token = world.sidecar_address("frontend")
        sidecar = f"{endpoint.http}/v1.0/invoke/backend-service/method{path}"
        with client(world.url("backend-service"), token="") as http:
            ways = {
                "direct": world.url("backend-service") + path,
                "by two sidecars": sidecar,
                "from the page": world.url("frontend") + path,
            }
            headers = {"dapr-api-token": token, **sign(path, world.token)}
            took: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(ROUNDS):
                for name, url in ways.items():
                    took[name].append(_timed(http, url, headers))
    pairs = zip(took["from the page"], took["direct"], strict=True)
    p50 = {f"{name}, p50, ms": milliseconds(values, 50) for name, values in took.items()}
    overhead = statistics.fmean(took["by two sidecars"]) - statistics.fmean(took["direct"])
    return {
        "rounds": ROUNDS,
        **p50,
        "from the page, p99, ms": milliseconds(took["from the page"], 99),
        "two sidecars add, mean, ms": overhead * 1000,
        "from the page": paired([page / direct for page, direct in pairs], "a direct call"),
    }


def _timed(http: httpx.Client, url: str, headers: dict[str, str]) -> float:
    began = time.perf_counter()
    http.get(url, headers=headers).raise_for_status()
    return time.perf_counter() - began
