"""``--dapr-attach``: tests on a stack that is up, instead of one of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from harness.core.journal import Entry
    from harness.core.settings import Settings
    from harness.core.topology import Topology
    from harness.provision.progress import Progress
    from harness.stack.stack import Stack

OPTION = "--dapr-attach"
DEFAULT = "default"


def add_options(group: pytest.OptionGroup) -> None:
    """The options of this module."""
    group.addoption(
        OPTION,
        nargs="?",
        const=DEFAULT,
        default=None,
        metavar="NAME|FILE|kube:[CONTEXT[/NAMESPACE]]",
        help="do not start a stack: use one that `dapr-harness up` has started (the one called "
        "'default' if no name is given), or the one of a compose file; or start it in a cluster of "
        "your kubeconfig that has Dapr: kube: is the current context, and without a namespace, "
        "one is created and removed",
    )
    group.addoption(
        "--dapr-force",
        action="store_true",
        help="attach to a stack even if it was started with another topology",
    )


def name_the_default(arguments: list[str], folder: Path) -> None:
    """Keep argparse from taking a test for the name of a stack: ``--dapr-attach tests/test_a.py``.

    Args:
        arguments: of the command line; changed in place.
        folder: the base of relative paths.
    """
    for number, word in enumerate(arguments[:-1]):
        following = arguments[number + 1]
        if word == OPTION and _is_test(following, folder):
            arguments[number] = f"{OPTION}={DEFAULT}"


def _is_test(word: str, folder: Path) -> bool:
    place = folder / word.partition("::")[0]
    return "::" in word or place.suffix == ".py" or place.is_dir()


def attached(
    given: str,
    topology: Topology,
    settings: Settings,
    folder: Path,
    *,
    force: bool,
    watch: Callable[[Entry], None],
) -> Stack:
    """The stack that the option names.

    Args:
        given: the name of a stack, or a compose file.
        folder: the base of a relative path.

    Raises:
        ConfigError: there is neither, or it is not this topology.
        Unavailable: packages for a compose project are missing.
    """
    from harness.render.compose.given import compose_file, with_packages

    if file := compose_file(given, folder, subject=OPTION):
        with with_packages(OPTION):
            from harness.render.compose.attach import attached as of_compose
        return of_compose(topology, settings, file, watch=watch)
    from harness.stack.stack import Stack

    return Stack.attach(given, topology, settings, force=force, watch=watch)


def is_up(given: str | None) -> bool:
    """Whether the option names a stack that is up, and not a cluster for one of its own."""
    return bool(given) and not str(given).startswith("kube:")


def own_stack(
    given: str | None,
    topology: Topology,
    settings: Settings,
    progress: Progress,
    watch: Callable[[Entry], None],
) -> Stack:
    """A stack that is started for the tests: here, or in the cluster that the option names.

    Raises:
        HarnessError: see `harness.stack.run.running` and `harness.stack.given_cluster.in_cluster`.
    """
    if given:
        from harness.stack.given_cluster import started_in

        return started_in(given, topology, settings, progress=progress, watch=watch)
    from harness.stack.run import running

    return running(topology, settings, progress=progress, watch=watch)
