"""The reference system as described by ``dapr.yaml``, with inboxes for the scenarios."""

from __future__ import annotations

from pathlib import Path

from harness.runfile.topology import multi_app
from scenarios.signing import sign
from scenarios.topology import reference

BESIDE = ("broker", "postgres", "receiver")

from_run_file = multi_app(
    Path(__file__).parent.parent / "dapr.yaml",
    *(node for node in reference.nodes if node.name in BESIDE),
    inbox=True,
    tokens=True,
    sign=sign,
)
