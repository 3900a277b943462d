"""Reads the archive of a failed test, which may have come by mail: within limits, and only data."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from harness.bundle.model import SCHEMA, Bundle
from harness.bundle.page import BUNDLE, RECORDING
from harness.bundle.recording import FORMAT, Given, Recording
from harness.core.errors import ConfigError
from harness.replay.values import made

LARGEST, LARGEST_FILE = 64 * 1024 * 1024, 128 * 1024 * 1024
"""Bytes of an archive, and of one of its files once it is unpacked."""

MOST = 10_000
"""The number of files of an archive, and of inputs of a recording."""

LONGEST = 24 * 3600 * 10**9
"""Nanoseconds that a recorded test may have taken."""

HINT = "use an archive as a failed test has left it: artefacts/<test>.zip"


@dataclass(frozen=True)
class Archive:
    """A bundle and its recording.

    Attributes:
        file: where it was read from.
        bundle: without the recording.
        recording: what a replay needs.
    """

    file: Path
    bundle: Bundle
    recording: Recording


def read_bundle(file: Path) -> Bundle:
    """The bundle of an archive, with its recording if it has one.

    Raises:
        ConfigError: it is not an archive of a failed test, is of another version, is damaged, was
            changed so that it makes no sense, or is too large.
    """
    found = _files(file)
    if BUNDLE not in found:
        raise ConfigError(f"{file} has no {BUNDLE}", expected="the archive of a failed test",
                          hint=HINT)  # fmt: skip
    raw = _json(found[BUNDLE], f"{file}: {BUNDLE}")
    _require_version(raw, "schema", SCHEMA, f"{file}: {BUNDLE}")
    bundle = made(Bundle, raw, f"{file}: {BUNDLE}")
    if RECORDING not in found:
        return bundle
    where = f"{file}: {RECORDING}"
    raw = _json(found[RECORDING], where)
    _require_version(raw, "format", FORMAT, where)
    recording = made(Recording, raw, where)
    _require_sense(recording, where)
    return replace(bundle, recording=recording)


def read_archive(file: Path) -> Archive:
    """An archive that can be replayed.

    Raises:
        ConfigError: see `read_bundle`; or it has no recording.
    """
    bundle = read_bundle(file)
    if bundle.recording is None:
        raise ConfigError(
            f"{file} cannot be replayed: it has no {RECORDING}",
            last="; ".join(bundle.missing) or "it was written by an earlier version",
            hint="run the test once more with this version of dapr-harness",
        )
    return Archive(file, bundle, bundle.recording)


def _files(file: Path) -> dict[str, bytes]:
    """The two files that are read; the others are for people."""
    try:
        size = file.stat().st_size
        if size > LARGEST:
            raise ConfigError(f"{file} has {size} bytes", expected=f"up to {LARGEST}", hint=HINT)
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _require_names(file, [each.filename for each in entries])
            return {
                each.filename: _read(archive, each, file)
                for each in entries
                if each.filename in (BUNDLE, RECORDING)
            }
    except (
        OSError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise ConfigError(
            f"{file} cannot be read as a ZIP archive",
            last=f"{type(error).__name__}: {error}",
            hint=HINT,
        ) from None


def _require_names(file: Path, names: list[str]) -> None:
    if len(names) > MOST:
        raise ConfigError(f"{file} has {len(names)} files", expected=f"up to {MOST}", hint=HINT)
    for name in names:
        parts = name.replace("\\", "/").split("/")
        if ".." in parts or name.startswith(("/", "\\")) or names.count(name) > 1:
            raise ConfigError(
                f"{file} has a file named {name!r}",
                expected="names below the archive, each once",
                hint=HINT,
            )


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: Path) -> bytes:
    # Its header says how large it is, and need not be right.
    with archive.open(entry) as opened:
        content = opened.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ConfigError(
            f"{file}: {entry.filename} has more than {LARGEST_FILE} bytes unpacked", hint=HINT
        )
    return content


def _json(content: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{where} is not JSON", last=f"{type(error).__name__}: {error}"[:200], hint=HINT
        ) from None
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is not a JSON object", last=repr(value)[:100], hint=HINT)
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not allowed in JSON")


def _require_version(raw: dict[str, Any], key: str, ours: int, where: str) -> None:
    if raw.get(key) != ours:
        raise ConfigError(
            f"{where} has the format {raw.get(key)!r}",
            expected=f"{ours}, that of this version of dapr-harness",
            hint="use the version of dapr-harness that has written it: see `versions` in it",
        )


def _require_sense(recording: Recording, where: str) -> None:
    if not 0 <= recording.ended - recording.began <= LONGEST:
        raise ConfigError(
            f"{where}: the test has taken {recording.ended - recording.began} nanoseconds",
            expected="up to a day",
            hint=HINT,
        )
    if len(recording.inputs) > MOST:
        raise ConfigError(
            f"{where} has {len(recording.inputs)} inputs", expected=f"up to {MOST}", hint=HINT
        )
    for number, each in enumerate(recording.inputs):
        _require_path(each, f"{where}.inputs[{number}]")


def _require_path(given: Given, where: str) -> None:
    """A path, and not the address of another machine."""
    if given.kind not in ("call", "request"):
        return
    path = given.given.get("path")
    if not isinstance(path, str) or not path.startswith("/") or path.startswith("//"):
        raise ConfigError(f"{where}.given.path is {path!r}", expected="a path such as /v1.0/...",
                          hint=HINT)  # fmt: skip
