"""What a state store has of a key now. It blocks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from harness.ledger.keys import KeyPath
from harness.probe.records import decoded
from harness.stack.routes import ask_sidecar
from harness.stack.stack import Stack


@dataclass(frozen=True)
class Stored:
    """What a state store has of a key.

    Attributes:
        exists: whether it has the key.
        value: its value.
        at: when that was known, on ``time.monotonic``.
    """

    exists: bool
    value: Any
    at: float


def stored_now(stack: Stack, path: KeyPath) -> Stored | None:
    """What a state store has of a key now, by the sidecar that was asked last.

    Returns:
        None if it does not respond.
    """
    sidecar = stack.topology.sidecar_of(path.operations[-1].node)
    place = f"/v1.0/state/{quote(path.store, safe='')}/{quote(path.key, safe='')}"
    answer = ask_sidecar(stack, sidecar.name, place)
    if answer is None:
        return None
    exists = answer.status_code == HTTPStatus.OK
    return Stored(exists, decoded(answer.text), time.monotonic())
