"""Finds the topology that the settings name."""

from __future__ import annotations

import contextlib
import importlib
import sys
import traceback
from types import ModuleType

from harness.core.errors import ConfigError, did_you_mean
from harness.core.settings import Settings
from harness.core.topology import Topology


def load_topology(settings: Settings) -> Topology:
    """Import ``module:attribute`` with the project's root on the path.

    Output of the module goes to standard error, because standard output belongs to the command.

    Raises:
        ConfigError: it cannot be imported, or is not a topology.
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
    # pkgutil.resolve_name would reject a module with a dash in its name, and its AttributeError may
    # come from inside the module or be about the attribute.
    module = _imported(module_name, settings)
    found = getattr(module, attribute, None)
    if not isinstance(found, Topology):
        names = [name for name, value in vars(module).items() if isinstance(value, Topology)]
        raise ConfigError(
            f"{settings.topology} is not a Topology",
            last=repr(found)[:100],
            hint=did_you_mean(attribute, names),
        )
    return found


def _imported(name: str, settings: Settings) -> ModuleType:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(name)
    except SystemExit as error:
        if type(error) is not SystemExit:  # from a signal, and not from sys.exit() in the module
            raise
        raise _broken(name, settings, error) from None
    except Exception as error:
        raise _broken(name, settings, error) from error


def _broken(name: str, settings: Settings, error: BaseException) -> ConfigError:
    # The frames of the import itself are not helpful; a syntax error contains its own location.
    own = [each for each in traceback.extract_tb(error.__traceback__) if "importlib" not in
           each.filename and each.filename != __file__]  # fmt: skip
    place = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    return ConfigError(
        f"the topology module {name!r} cannot be imported from {settings.root}",
        last=f"{type(error).__name__}: {error}{place}",
        hint="python3 -c 'import " + name + "' in that folder shows all of it",
    )
