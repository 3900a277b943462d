"""What a run must tell its other clients: addresses, secrets, and what it was started with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError
from harness.core.files import write_private, writing
from harness.core.launch import Launch
from harness.core.reading import read_text
from harness.stack.book import AddressBook

FILE = "run.json"
SHOWN = 8
"""Differences that a message lists."""


class OtherTopology(ConfigError):
    """A run was started with another topology than the one that a client has."""


@dataclass(frozen=True)
class RunRecord:
    """A run, as its starter planned it; a file in the run's folder that only its owner can read.

    Attributes:
        version: of the harness that started it.
        runtime: where it runs.
        broker: the setting of that name.
        ports: by node and port name.
        tokens: by purpose.
        authority: the certificates of a run with mTLS, as PEM.
        launches: by node name.
    """

    version: str
    runtime: str
    broker: str
    ports: Mapping[str, Mapping[str, int]]
    tokens: Mapping[str, str]
    authority: Mapping[str, str]
    launches: Mapping[str, Mapping[str, Any]]

    @property
    def external(self) -> list[str]:
        """The apps that somebody starts by hand."""
        rows = self.launches.items()
        # What an existing cluster has is external, too, and no app.
        return [name for name, each in rows if each.get("external") and each.get("under_test")]

    @classmethod
    def read(cls, folder: Path) -> RunRecord:
        """The record of a run.

        Raises:
            ConfigError: there is none, or it is not one of this version.
        """
        file = folder / FILE
        try:
            return cls(**json.loads(read_text(file)))
        except (ConfigError, ValueError, TypeError, RecursionError) as error:
            raise ConfigError(
                f"{file} does not describe a run that this version can use",
                last=str(error),
                hint="`dapr-harness down`, then `dapr-harness up`",
            ) from None

    def write(self, folder: Path) -> None:
        """Write it for the other clients.

        Raises:
            Unavailable: the folder cannot be written.
        """
        with writing(folder / FILE):
            write_private(folder / FILE, json.dumps(asdict(self)))

    def differences(self, launches: Sequence[Launch]) -> Iterator[str]:
        """What these launches have that the run has not, and the other way round, in words.

        Values of variables and contents of files may be secret, so they are not shown.
        """
        planned = {each.name: described(each) for each in launches}
        for name in sorted({*planned} - {*self.launches}):
            yield f"{name} is not in the stack"
        for name in sorted({*self.launches} - {*planned}):
            yield f"{name} is only in the stack"
        for name in sorted({*planned} & {*self.launches}):
            for key, value in planned[name].items():
                there = self.launches[name].get(key)
                if there != value:
                    yield f"{name}: {_difference(key, value, there)}"

    def check_drift(self, launches: Sequence[Launch]) -> None:
        """Check that these launches are what runs.

        Raises:
            OtherTopology: they differ; the message lists how.
        """
        found = list(self.differences(launches))
        if found:
            more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
            raise OtherTopology(
                "the topology is not the one that the stack was started with",
                last="; ".join([*found[:SHOWN], *more]),
                hint="`dapr-harness down` and `up` again, or go on anyway with --dapr-force "
                "(pytest) or --force",
            )


@cache  # looking for it among the installed packages takes longer than reading the record
def this_version() -> str:
    """The version of the harness."""
    return version("dapr-harness")


def record_of(
    book: AddressBook, runtime: str, launches: Sequence[Launch], broker: str
) -> RunRecord:
    """What other clients need to know of a run that was started here.

    Args:
        book: what the stack knows.
        runtime: where it runs.
        launches: what was planned.
        broker: the setting of that name.
    """
    known, tokens, authority = book.known()
    ports: dict[str, dict[str, int]] = {}
    for (node, port), number in known.items():
        ports.setdefault(node, {})[port] = number
    return RunRecord(
        this_version(),
        runtime,
        broker,
        ports,
        tokens,
        asdict(authority) if authority else {},
        {each.name: described(each) for each in launches},
    )


def described(launch: Launch) -> dict[str, Any]:
    """A launch as JSON has it, in one level: ``container image``, ``process cwd``."""
    made: dict[str, Any] = json.loads(json.dumps(launch, default=_as_json))
    # Made of the rest, and of what other nodes export.
    made.pop("in_pod")
    for part in ("process", "container"):
        made |= {f"{part} {key}": value for key, value in made.pop(part).items()}
    return made


def _as_json(value: Any) -> object:
    """The fields of a dataclass, which `asdict` would copy first, all the way down."""
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value)}
    return str(value)


def _difference(key: str, value: object, there: object) -> str:
    if isinstance(value, dict) and isinstance(there, dict):
        names = sorted(n for n in {*value, *there} if value.get(n) != there.get(n))
        return f"{key} {', '.join(names)}"
    if key == "argv" and isinstance(value, list) and isinstance(there, list):
        ours = [word for word in value if word not in there]
        theirs = [word for word in there if word not in value]
        return f"the command has {' '.join(ours) or 'less'} instead of {' '.join(theirs) or 'more'}"
    return f"{key} is {value!r} instead of {there!r}"
