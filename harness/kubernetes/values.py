"""What an installation chooses: a default in plain manifests, a value in a chart."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

_MARK = re.compile(r"'@@(?P<expression>[^@]+)@@'|@@(?P<inner>[^@]+)@@")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")


class Values:
    """What an installation chooses, with defaults; in plain manifests the defaults themselves.

    Attributes:
        defaults: what was asked for so far, as ``values.yaml`` has it.
    """

    def __init__(self) -> None:
        self.defaults: dict[str, Any] = {}

    def get(self, *path: str, default: str | int) -> Any:
        """A value to put into an object.

        Args:
            path: where it stands in ``values.yaml``.
            default: what it is unless the user says otherwise.
        """
        here = self.defaults
        for name in path[:-1]:
            here = here.setdefault(name, {})
        here[path[-1]] = default
        return default

    def dump(self, objects: Sequence[Mapping[str, Any]]) -> str:
        """Objects as the documents of one file."""
        # As JSON and back: the same part at two places would be an anchor and an alias.
        bodies = [json.loads(json.dumps(each)) for each in objects]
        texts = [yaml.safe_dump(each, sort_keys=False, width=1000) for each in bodies]
        return "---\n".join(texts)


class ChartValues(Values):
    """The same, as expressions of a Helm template."""

    def get(self, *path: str, default: str | int) -> Any:
        """A mark that `dump` turns into an expression."""
        super().get(*path, default=default)
        if all(_WORD.fullmatch(name) for name in path):
            expression = f".Values.{'.'.join(path)}"
        else:
            words = " ".join(f'"{name}"' for name in path[1:])
            expression = f"index .Values.{path[0]} {words}"
        return f"@@{expression}{'' if isinstance(default, int) else ' | quote'}@@"

    def dump(self, objects: Sequence[Mapping[str, Any]]) -> str:
        """Objects as a template: a value that stands alone is quoted by Helm itself."""
        return _MARK.sub(_expression, super().dump(objects))


def _expression(match: re.Match[str]) -> str:
    if match["inner"]:
        # Inside a longer text, which has its quotes already.
        return f"{{{{ {match['inner'].removesuffix(' | quote')} }}}}"
    return f"{{{{ {match['expression']} }}}}"
