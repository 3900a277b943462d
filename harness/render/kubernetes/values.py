"""Configurable values: a default in plain manifests, a value in a chart."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

_MARK = re.compile(r"'@@(?P<expression>[^@]+)@@'|@@(?P<inner>[^@]+)@@")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")


class Values:
    """Configurable values with defaults; plain manifests contain the defaults.

    Attributes:
        defaults: the values requested so far, in the structure of ``values.yaml``.
    """

    def __init__(self) -> None:
        self.defaults: dict[str, Any] = {}

    def get(self, *path: str, default: str | int) -> Any:
        """A value for use in an object.

        Args:
            path: its path in ``values.yaml``.
            default: its default.
        """
        here = self.defaults
        for name in path[:-1]:
            here = here.setdefault(name, {})
        here[path[-1]] = default
        return default

    def dump(self, objects: Sequence[Mapping[str, Any]]) -> str:
        """Objects as the documents of one file."""
        # To JSON and back: YAML would otherwise use an anchor and an alias for a shared part.
        bodies = [json.loads(json.dumps(each)) for each in objects]
        texts = [yaml.safe_dump(each, sort_keys=False, width=1000) for each in bodies]
        return "---\n".join(texts)


class ChartValues(Values):
    """The same values as expressions in a Helm template."""

    def get(self, *path: str, default: str | int) -> Any:
        """A placeholder that `dump` turns into an expression."""
        super().get(*path, default=default)
        if all(_WORD.fullmatch(name) for name in path):
            expression = f".Values.{'.'.join(path)}"
        else:
            words = " ".join(f'"{name}"' for name in path[1:])
            expression = f"index .Values.{path[0]} {words}"
        return f"@@{expression}{'' if isinstance(default, int) else ' | quote'}@@"

    def dump(self, objects: Sequence[Mapping[str, Any]]) -> str:
        """Objects as a template: Helm itself quotes a value that stands alone."""
        return _MARK.sub(_expression, super().dump(objects))


def _expression(match: re.Match[str]) -> str:
    if match["inner"]:
        # Inside a longer string, which already has quotes.
        return f"{{{{ {match['inner'].removesuffix(' | quote')} }}}}"
    return f"{{{{ {match['expression']} }}}}"
