"""What a replay needs beside the bundle: where the stack came from, what the test did to it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.core.masking import MASK
from harness.core.observation import epoch_ns
from harness.ledger.model import Ledger
from harness.probe.broker_reader import RawRecord
from harness.stack.inputs import Input, Kind

FORMAT = 1
"""The version of the format. A recording of another one is refused."""

CREDENTIALS = ("authorization", "cookie", "proxy-authorization")
"""Headers whose values are kept only if they are tokens of the stack, of which a replay has its
own."""


@dataclass(frozen=True)
class Given:
    """Something that came from outside of the system.

    Attributes:
        at: when it began, in nanoseconds since the epoch.
        took: seconds until it was complete; None if it was not, when the test failed.
        kind: see `Input`; ``record`` is a record that some other client has produced.
        target: the node, the app or the topic.
        what: the operation, such as ``POST`` or ``kill``.
        given: its arguments.
        answer: ``status``, ``etag`` and ``body`` of a response.
    """

    at: int
    took: float | None
    kind: Kind
    target: str
    what: str
    given: Mapping[str, Any] = field(default_factory=dict)
    answer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """Which stack it was, and from which source.

    Attributes:
        reference: the topology as ``module:attribute``, from the project's root; "" if unknown.
        time: ``real`` or ``virtual``.
        runtime: ``processes`` or ``containers``.
        broker, dapr_version: as in the settings.
        isolation: the level that the test asked for.
        nodes: the class of each node, by its name.
        commit: of the git repository; "" if there is none.
        dirty: whether files have been changed since.
        sources: a hash of the source files of each app, by its name.
        seeds: of plugins that have one.
    """

    reference: str = ""
    time: str = "real"
    runtime: str = ""
    broker: str = ""
    dapr_version: str = ""
    isolation: str = ""
    nodes: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""
    dirty: bool = False
    sources: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recording:
    """What a replay does again.

    Attributes:
        began, ended: of the test, in nanoseconds since the epoch.
        moment: virtual time when the test began, in nanoseconds since the epoch; 0 in real time.
        addresses: of each port, by ``node/port``.
        inputs: in the order in which they began.
        gaps: what is not recorded, in words.
    """

    origin: Origin
    world: str = ""
    began: int = 0
    ended: int = 0
    moment: int = 0
    addresses: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[Given] = ()
    gaps: Sequence[str] = ()
    format: int = FORMAT


class Secrets:
    """Replaces the tokens of a stack by references to them, which another stack can fill.

    Args:
        tokens: by their purpose.
    """

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._tokens = tokens

    def referred(self, value: Any) -> Any:
        """A value of JSON, with a reference in place of each token."""
        if isinstance(value, str):
            for purpose, token in self._tokens.items():
                value = value.replace(token, reference(purpose))
            return value
        if isinstance(value, Mapping):
            return {key: self.referred(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.referred(each) for each in value]
        return value

    def are_in(self, content: bytes) -> bool:
        """Whether a token is in bytes that are not text."""
        return any(token.encode() in content for token in self._tokens.values())


def reference(purpose: str) -> str:
    """What stands for a token."""
    return f"${{dapr-harness.token.{purpose}}}"


def given_by_test(inputs: Iterable[Input], secrets: Secrets, gaps: list[str]) -> Iterator[Given]:
    """The inputs of a world, without secrets."""
    for each in inputs:
        place = secrets.referred(f"{each.what} {each.given.get('path', each.target)}")
        found = dict(each.given)
        if each.kind in ("call", "request"):
            found["headers"] = _without_credentials(found["headers"], secrets, place, gaps)
            found |= _body(found.pop("content"), secrets, place, gaps)
        answer = dict(each.answer)
        if content := answer.pop("content", b""):
            answer["body"] = content.decode("utf-8", "replace")
        yield Given(
            epoch_ns(each.at), each.took, each.kind, each.target, each.what,
            secrets.referred(found), secrets.referred(answer),
        )  # fmt: skip


def given_by_others(
    records: Iterable[RawRecord], ledger: Ledger, secrets: Secrets, gaps: list[str]
) -> Iterator[Given]:
    """The records that no sidecar has published, as far as is known."""
    known = {
        (at.topic, at.partition, at.offset)
        for event in ledger.events
        for record in event.records
        if event.publications or record.outbox or record.dead_letter_of
        for at in [record.position]
    }
    for each in records:
        if (each.topic, each.partition, each.offset) in known:
            continue
        place = f"the record {each.topic}[{each.partition}] offset {each.offset}"
        headers = [[name, _body(value, secrets, place, gaps)] for name, value in each.headers]
        yield Given(
            each.time, 0.0, "record", each.topic, "produce",
            {
                "partition": each.partition,
                "key": _body(each.key, secrets, place, gaps),
                "headers": headers,
                "value": _body(each.value, secrets, place, gaps),
            },
        )  # fmt: skip


def _without_credentials(
    headers: Mapping[str, str], secrets: Secrets, place: str, gaps: list[str]
) -> dict[str, str]:
    found = {}
    for name, value in headers.items():
        kept = secrets.referred(value)
        if name in CREDENTIALS and kept == value:
            kept = MASK
            gaps.append(f"{place}: the header {name!r} is masked")
        found[name] = kept
    return found


def _body(
    content: bytes | None, secrets: Secrets, place: str, gaps: list[str]
) -> dict[str, str | None]:
    """Bytes as ``body``, or as ``base64`` if they are not text."""
    if content is None:
        return {"body": None}
    try:
        return {"body": secrets.referred(content.decode())}
    except UnicodeDecodeError:
        if secrets.are_in(content):
            gaps.append(f"{place}: a binary value with a token in it is not recorded")
            return {"body": None}
        return {"base64": base64.b64encode(content).decode()}
