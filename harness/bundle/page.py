"""Writes a bundle: a page that opens offline, and an archive with what a replay needs."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import asdict
from hashlib import sha256
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

from harness.bundle.model import Bundle
from harness.core.errors import Unavailable
from harness.core.files import write_private

TEMPLATE = "bundle.html"
"""The page, next to this module; one line of it becomes the bundle's JSON."""

DATA = "/*BUNDLE*/null"
"""What the page has in place of the JSON."""

_PLAIN = re.compile(r"[\w.:]+(\[\w+([.-]\w+)*\])?")
"""The part of a test's id behind its file in which only ``::`` and ``[]`` are replaced."""

BUNDLE, RECORDING = "bundle.json", "replay.json"
"""The files of an archive that have the bundle, and what a replay needs."""

LARGEST = 20 * 1024 * 1024
"""The number of bytes of a page, at most: one that a mail server still accepts."""


def page_of(bundle: Bundle) -> str:
    """The page: one file, which loads nothing from elsewhere.

    Every text of the bundle reaches the page as a JSON string and is shown as text, so what an
    event or a log contains is never HTML.
    """
    template = (files(__package__) / TEMPLATE).read_text("utf-8")
    return template.replace(DATA, _in_script(_shortened(bundle.as_json())), 1)


def archive_of(bundle: Bundle) -> bytes:
    """A ZIP archive: the bundle and its recording as JSON, the logs and the resource files."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(BUNDLE, json.dumps(bundle.as_json(), indent=1))
        if bundle.recording is not None:
            archive.writestr(RECORDING, json.dumps(asdict(bundle.recording), indent=1))
        for name, text in bundle.logs.items():
            archive.writestr(f"logs/{name}.log", text)
        for number, each in enumerate(bundle.resources, 1):
            archive.writestr(f"resources/{number:02}-{file_name(each.name)}.yaml", each.text)
    return buffer.getvalue()


def write(
    bundle: Bundle, folder: Path, *, name: str = "", option: str = "--dapr-artefacts"
) -> Path:
    """Write the archive and the page; returns the page's path.

    Both are complete or absent: a full disk leaves no half of one.

    Args:
        bundle: what to write.
        folder: where; created if it does not exist.
        name: of both files; by default, that of the test.
        option: the one that names the folder, for the message.

    Raises:
        Unavailable: they cannot be written.
    """
    name = file_name(name) if name else unique_name(bundle.test)
    page = folder / f"{name}.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_private(folder / f"{name}.zip", archive_of(bundle))
        write_private(page, page_of(bundle))
    except OSError as error:
        raise Unavailable(
            f"the bundle of {bundle.test} cannot be written",
            last=str(error),
            hint=f"free some space, or choose another folder than {folder} with {option}",
        ) from error
    return page


def file_name(text: str) -> str:
    """A name for a file: letters, digits, dots and dashes of a text, at most 120 of them."""
    kept = "".join(each if each.isalnum() or each in "._-" else "-" for each in text)
    return kept.strip("-.")[-120:] or "bundle"


def unique_name(test: str) -> str:
    """A file name that only this test has, whoever writes the bundles of the others.

    Its name is in it. A digest follows where another test could have the same characters.
    """
    name = file_name(test)
    path, colons, rest = test.partition("::")
    is_plain = colons and "-" not in path and _PLAIN.fullmatch(rest) and len(test) < 100
    return name if is_plain else f"{name}-{sha256(test.encode()).hexdigest()[:8]}"


def _in_script(value: Any) -> str:
    """JSON that ends no ``<script>`` and begins no comment."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _shortened(value: dict[str, Any]) -> dict[str, Any]:
    """The bundle without the first halves of its logs, as often as the page is too large."""
    while sum(len(text) for text in value["logs"].values()) > LARGEST // 2:
        value["logs"] = {name: text[len(text) // 2 :] for name, text in value["logs"].items()}
    return value
