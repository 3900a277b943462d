"""Dapr resources that a test gives: as a file, a folder, a text or a mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import ConfigError
from harness.dapr.resources import DaprResource, read_documents, read_file, read_resources

Given = str | Path | Mapping[str, Any]
"""The path of a YAML file or of a folder, YAML documents, or one document."""


def read_given(given: Sequence[Given], root: Path) -> list[DaprResource]:
    """The resources that a test gives.

    Args:
        given: paths, texts and mappings. A text of several lines is YAML, another one a path.
        root: the folder in which relative paths start.

    Raises:
        ConfigError: nothing is given, a file is missing or not valid YAML, or daprd would ignore a
            document.
    """
    found = [each for number, one in enumerate(given, 1) for each in _read(one, number, root)]
    if not found:
        raise ConfigError(
            "resources(...) was given no resource",
            expected="the path of a file or folder, YAML documents, or mappings",
        )
    for each in found:
        if not each.is_read:
            version = each.body.get("apiVersion", "")
            raise ConfigError(
                f"{each.at()}: daprd reads no resource of kind {each.kind!r} and apiVersion "
                f"{version!r}",
                hint="a Component, for example, has apiVersion: dapr.io/v1alpha1",
            )
    return found


def _read(given: Given, number: int, root: Path) -> Iterator[DaprResource]:
    place = Path(f"<resource {number}>")
    if isinstance(given, Mapping):
        yield from read_documents(_text(given, place), place)
    elif isinstance(given, str) and ("\n" in given or given.startswith("{")):
        yield from read_documents(given, place)
    else:
        path = root / given
        yield from read_resources([path]) if path.is_dir() else read_file(path)


def _text(body: Mapping[str, Any], place: Path) -> str:
    try:
        return str(yaml.safe_dump(dict(body), sort_keys=False))
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{place}: the mapping cannot be written as YAML",
            expected="texts, numbers, lists and mappings",
            last=str(error),
        ) from None
