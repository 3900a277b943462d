"""Configurable values: a default in plain manifests, a value in a chart."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

Object = dict[str, Any]

IF = "@@if"
"""The key under which an object of a chart carries the condition of its document."""

_FIELD = re.compile(
    r"^(?P<indent> *)(?P<key>[\w./-]+): '@@\?(?P<condition>[^?]+)\?(?P<expression>[^@]+)@@'$",
    re.MULTILINE,
)
_MARK = re.compile(r"'@@(?P<expression>[^@]+)@@'|@@(?P<inner>[^@]+)@@")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")


class Values:
    """Configurable values with defaults; plain manifests contain the defaults.

    Attributes:
        defaults: the values requested so far, in the structure of ``values.yaml``.
    """

    def __init__(self) -> None:
        self.defaults: Object = {}

    def get(self, *path: str, default: str | int) -> Any:
        """A value for use in an object.

        Args:
            path: its path in ``values.yaml``.
            default: its default.
        """
        return self._default(path, default)

    def text(self, *path: str, default: str | bool | int) -> Any:
        """A value for a place that takes only text, such as an annotation."""
        self._default(path, default)
        return str(default).lower() if isinstance(default, bool) else str(default)

    def data(self, *path: str, default: Mapping[str, Any] | Sequence[Any]) -> Any:
        """A mapping or a list for use in an object; an installation can configure all of it."""
        return self._default(path, json.loads(json.dumps(default)))

    def optional(self, *path: str) -> Any:
        """A text that is left out of its object unless an installation configures it."""
        self._default(path, "")
        return None

    def namespace(self, default: str) -> Any:
        """The namespace of an installation."""
        return default

    def expression(self, *path: str, default: str | int | bool) -> str:
        """How a condition of the chart refers to a value."""
        self._default(path, default)
        return _expression_of(path)

    def when(self, condition: str, holds: bool, body: Object) -> list[Object]:
        """An object that exists only under a condition.

        Args:
            condition: the condition as an expression of the chart.
            holds: whether it holds for the defaults.
            body: the object.
        """
        return [body] if holds else []

    def field_when(self, condition: str, holds: bool, value: Any) -> Any:
        """The value of a field that exists only under a condition; None for no field."""
        return value if holds else None

    def dump(self, objects: Sequence[Mapping[str, Any]]) -> str:
        """Objects as the documents of one file."""
        return "---\n".join(self._document(each) for each in objects)

    def _document(self, body: Mapping[str, Any]) -> str:
        # To JSON and back: YAML would otherwise use an anchor and an alias for a shared part.
        return str(yaml.safe_dump(json.loads(json.dumps(body)), sort_keys=False, width=1000))

    def _default(self, path: Sequence[str], default: Any) -> Any:
        here = self.defaults
        for name in path[:-1]:
            here = here.setdefault(name, {})
        here[path[-1]] = default
        return default


class ChartValues(Values):
    """The same values as expressions in a Helm template."""

    def get(self, *path: str, default: str | int) -> Any:
        """A placeholder that `dump` turns into an expression."""
        self._default(path, default)
        return _mark(_expression_of(path), "" if isinstance(default, int) else "quote")

    def text(self, *path: str, default: str | bool | int) -> Any:
        """A placeholder for a quoted expression."""
        self._default(path, default)
        return _mark(_expression_of(path), "quote")

    def data(self, *path: str, default: Mapping[str, Any] | Sequence[Any]) -> Any:
        """A placeholder for an expression in JSON, which is YAML on one line."""
        super().data(*path, default=default)
        return _mark(_expression_of(path), "toJson")

    def optional(self, *path: str) -> Any:
        """A placeholder that `dump` turns into a field under a condition."""
        # Not `with`: the value false is one that a user has set.
        condition = f'ne (toString {self.expression(*path, default="")}) ""'
        return f"@@?{condition}?{_expression_of(path)} | quote@@"

    def namespace(self, default: str) -> Any:
        """The namespace that Helm installs into."""
        return _mark(".Release.Namespace", "quote")

    def when(self, condition: str, holds: bool, body: Object) -> list[Object]:
        """The object with its condition, which `dump` puts around its document."""
        return [{IF: condition, **body}]

    def field_when(self, condition: str, holds: bool, value: Any) -> Any:
        """A placeholder that `dump` turns into a field under this condition."""
        return f"@@?{condition}?{str(value).strip('@')}@@"

    def _document(self, body: Mapping[str, Any]) -> str:
        """A document of a template: Helm itself quotes a value that stands alone."""
        text = super()._document({key: value for key, value in body.items() if key != IF})
        text = _MARK.sub(_expression, _FIELD.sub(_conditional_field, text))
        if condition := body.get(IF):
            return f"{{{{- if {condition} }}}}\n{text}{{{{- end }}}}\n"
        return text


def _expression_of(path: Sequence[str]) -> str:
    if all(_WORD.fullmatch(name) for name in path):
        return f".Values.{'.'.join(path)}"
    words = " ".join(f'"{name}"' for name in path)
    return f"(index .Values {words})"


def _mark(expression: str, function: str) -> str:
    return f"@@{expression}{f' | {function}' if function else ''}@@"


def _expression(match: re.Match[str]) -> str:
    if match["inner"]:
        # Inside a longer string, which already has quotes.
        return f"{{{{ {match['inner'].removesuffix(' | quote')} }}}}"
    return f"{{{{ {match['expression']} }}}}"


def _conditional_field(match: re.Match[str]) -> str:
    lines = (
        f"{{{{- if {match['condition']} }}}}",
        f"{match['key']}: {{{{ {match['expression']} }}}}",
        "{{- end }}",
    )
    return "\n".join(match["indent"] + line for line in lines)
