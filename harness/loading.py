"""Finding the topology that the settings name."""

from __future__ import annotations

import importlib
import sys

from harness.errors import ConfigError, did_you_mean
from harness.settings import Settings
from harness.topology import Topology

_IMPORT_ERRORS = (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError)


def load_topology(settings: Settings) -> Topology:
    """Import ``module:attribute`` with the project's root on the path.

    Raises:
        ConfigError: it cannot be imported, or is no topology.
    """
    module_name, _, attribute = settings.topology.partition(":")
    if not module_name or not attribute:
        raise ConfigError(
            f"the topology setting is {settings.topology!r}",
            expected="module:attribute, such as scenarios.topology:reference",
            hint='set `topology = "..."` in [tool.dapr-harness] of pyproject.toml, or pass one',
        )
    if str(settings.root) not in sys.path:
        sys.path.insert(0, str(settings.root))
    try:
        module = importlib.import_module(module_name)
    except _IMPORT_ERRORS as error:
        raise ConfigError(
            f"the topology module {module_name!r} cannot be imported from {settings.root}",
            last=f"{type(error).__name__}: {error}",
        ) from error
    found = getattr(module, attribute, None)
    if not isinstance(found, Topology):
        names = [name for name, value in vars(module).items() if isinstance(value, Topology)]
        raise ConfigError(
            f"{settings.topology} is no Topology",
            last=repr(found)[:100],
            hint=did_you_mean(attribute, names),
        )
    return found
