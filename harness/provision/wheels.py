"""Programs from wheels, checked against pip's checksums."""

from __future__ import annotations

import base64
import hashlib
from importlib.metadata import PackageNotFoundError, PackagePath, files


def damage_of_wheel(name: str) -> list[str]:
    """Files of an installed package that differ from its RECORD; empty if not installed."""
    try:
        listed = files(name) or []
    except PackageNotFoundError:
        return []
    return [f"{each} {why}" for each in listed if (why := _judged(each))]


def _judged(file: PackagePath) -> str:
    """The problem with a file; "" if there is none."""
    if file.hash is None or file.hash.mode != "sha256":
        return ""  # RECORD itself, and files that were compiled at installation
    try:
        with open(file.locate(), "rb") as stream:  # noqa: PTH123 - no Path before Python 3.13
            digest = hashlib.file_digest(stream, "sha256").digest()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    seen = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return "" if seen == file.hash.value else "has other bytes than were installed"
