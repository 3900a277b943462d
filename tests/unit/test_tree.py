"""Process trees, read in two ways."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.runtime import tree

TREE = """
import os, subprocess, sys, threading
wait = [sys.executable, "-S", "-c", "import sys; print(1, flush=True); sys.stdin.read()"]
def start():
    child = subprocess.Popen(wait, stdin=sys.stdin, stdout=subprocess.PIPE)
    child.stdout.readline()
    children.append(child)
    # In one piece: what print writes of two threads was "oneone" once.
    os.write(1, b"one\\n")
    sys.stdin.read()
children = []
threading.Thread(target=start).start()
start()
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    """A process with two children, one of them started by another thread."""
    command = [sys.executable, "-c", TREE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as found:
        assert found.stdout
        assert ["one\n", "one\n"] == [found.stdout.readline(), found.stdout.readline()]
        yield found
        found.communicate()


def test_both_ways_find_children_of_every_thread(parent: subprocess.Popen[str]) -> None:
    """And what is below them."""
    exact, quick = tree.descendants(os.getpid()), tree.quick_descendants(os.getpid())

    assert {*exact} == {*quick}
    assert 2 == len(tree.quick_descendants(parent.pid))
    assert {parent.pid, *tree.quick_descendants(parent.pid)} <= {*quick}


def test_a_process_that_is_gone_has_no_descendants() -> None:
    """It is not an error."""
    with subprocess.Popen([sys.executable, "-S", "-c", ""]) as gone:
        pass

    assert [] == tree.quick_descendants(gone.pid)


def test_where_the_kernel_does_not_list_children_every_process_is_looked_at(
    parent: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same result."""
    monkeypatch.setattr(tree, "_lists_children", lambda: False)
    monkeypatch.setattr(tree, "_children_of", lambda _: [])

    seen = poll(lambda: Observation(2 == len(tree.quick_descendants(parent.pid))), Deadline(10))

    assert seen.ok
