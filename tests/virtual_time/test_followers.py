"""How programs are made to follow the clock, and which ones are refused."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from harness import App, ConfigError, Postgres, Unavailable, VirtualScheduler
from harness.core.launch import Launch
from harness.core.node import Node
from harness.nodes import clock
from harness.nodes.clock import HOOK, MOUNTED
from harness.nodes.programs import Kind, kind_of
from harness.provision.faketime import faketime_library
from harness.runtime.segments import release_preloaded
from harness.stack.planning.addresses import HOST
from harness.virtual_time.hook.dapr_harness_clock import FILE
from tests.unit.test_environment import book_of

VIRTUAL = VirtualScheduler(start="2027-01-15T12:00:00Z")


def elf(*kinds: int, bits: int = 64, order: str = "<") -> bytes:
    """A program of Linux with these kinds of program headers."""
    wide = bits == 64
    own, step = (64, 56) if wide else (52, 32)
    head = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    layout = f"{order}HHI{'QQQ' if wide else 'III'}IHHHHHH"
    head += struct.pack(layout, 2, 62, 1, 0, own, 0, 0, own, step, len(kinds), 0, 0, 0)
    return head + b"".join(struct.pack(f"{order}I", each) + bytes(step - 4) for each in kinds)


def program(path: Path, content: bytes) -> str:
    """An executable file."""
    path.write_bytes(content)
    path.chmod(0o755)
    return str(path)


LOAD, INTERP = 1, 3


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
def test_a_program_without_a_dynamic_linker_is_static(
    tmp_path: Path, bits: int, order: str
) -> None:
    """On processors of any size and byte order."""
    dynamic = elf(LOAD, INTERP, bits=bits, order=order)
    static = elf(LOAD, LOAD, bits=bits, order=order)

    assert Kind.DYNAMIC is kind_of(program(tmp_path / "dynamic", dynamic))
    assert Kind.STATIC is kind_of(program(tmp_path / "static", static))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"#!{folder}/python3.11\n", Kind.PYTHON),
        (b"#!/usr/bin/env -S python3 -u\n", Kind.PYTHON),
        (b"#!/usr/bin/env NODE_ENV=x dynamic\n", Kind.DYNAMIC),
        (b"#!{folder}/dynamic -x\n", Kind.DYNAMIC),
        (b"#!{folder}/static\n", Kind.STATIC),
        (b"#!{folder}/script\n", Kind.PYTHON),
        (b"echo no first line\n", Kind.PYTHON),
    ],
)
def test_a_script_is_what_its_interpreter_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, kind: Kind
) -> None:
    """Found as a kernel and ``env`` find it; one that names itself ends somewhere."""
    monkeypatch.setenv("PATH", str(tmp_path))
    program(tmp_path / "python3.11", elf(LOAD, INTERP))
    program(tmp_path / "python3", elf(LOAD, INTERP))
    program(tmp_path / "dynamic", elf(LOAD, INTERP))
    program(tmp_path / "static", elf(LOAD))
    text = content.replace(b"{folder}", bytes(tmp_path))

    assert kind is kind_of(program(tmp_path / "script", text))


def planned(folder: Path, node: Node, *, gateway: str = "", time: bool = True) -> Launch:
    """The launch of a node beside a clock."""
    nodes = (VIRTUAL, node) if time else (node,)
    book = book_of(folder, *nodes, gateway=gateway)
    return node.plan(book.scope(node.name))


def test_python_follows_by_a_module_that_it_imports(tmp_path: Path) -> None:
    """And by nothing else; it waits for the clock."""
    app = App("shop", command="python x {port}", follow_clock=True)
    book = book_of(tmp_path, VIRTUAL, app)
    scope = book.scope("shop")

    launch = app.plan(scope)

    assert {"PYTHONPATH": str(HOOK)} == launch.prepended
    assert str(tmp_path / "nodes/scheduler-clock/now") == launch.env[FILE]
    assert "FAKETIME_FMT" not in launch.env
    assert "scheduler" in scope.needs


def test_with_real_time_there_is_nothing_to_follow(tmp_path: Path) -> None:
    """An app and PostgreSQL are started as without the option; only passwords are random."""
    for node in (App("shop", command="node x {port}"), Postgres()):
        following = replace(node, follow_clock=True)
        without, launch = (planned(tmp_path, each, time=False) for each in (node, following))

        assert set(without.env) == set(launch.env)
        assert replace(without, env={}) == replace(launch, env={})


def test_whether_an_app_follows_is_a_check_of_its_readiness(tmp_path: Path) -> None:
    """Where it can be seen, and only if it is to follow."""
    app = App("shop", command="python x {port}", follow_clock=True)

    def names(node: App, *others: Node, gateway: str = "") -> list[str]:
        book = book_of(tmp_path, *others, node, gateway=gateway)
        return [each.name for each in node.checks(book.scope("shop", HOST))]

    assert ["port", "clock"] == names(app, VIRTUAL)
    assert ["port"] == names(replace(app, follow_clock=False), VIRTUAL)
    assert ["port"] == names(app)
    assert ["port"] == names(app, VIRTUAL, gateway="172.17.0.1")


def test_only_who_asks_for_it_follows(tmp_path: Path) -> None:
    """The option is off."""
    launch = planned(tmp_path, App("shop", command="python x {port}"))

    assert {} == launch.prepended
    assert FILE not in launch.env


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], str]:
    """Where libfaketime would be, whether it is installed or not."""

    def found(*, threads: bool) -> Path:
        return Path("/lib") / ("many.so" if threads else "one.so")

    monkeypatch.setattr(clock, "faketime_library", found)
    return lambda threads: str(found(threads=threads))


def test_another_program_follows_by_libfaketime(
    tmp_path: Path, library: Callable[[bool], str]
) -> None:
    """Which reads the time at each call; Python that it starts has the module."""
    path = program(tmp_path / "dynamic", elf(LOAD, INTERP))
    launch = planned(tmp_path, App("shop", command=[path], listens=False, follow_clock=True))

    assert {"PYTHONPATH": str(HOOK), "LD_PRELOAD": library(True)} == launch.prepended
    assert f"{launch.env[FILE]}.txt" == launch.env["FAKETIME_TIMESTAMP_FILE"]
    expected = {"FMT": "%s", "NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"}
    assert expected == {name: launch.env[f"FAKETIME_{name}"] for name in expected}


def test_postgresql_gets_the_library_for_one_thread(
    tmp_path: Path, library: Callable[[bool], str]
) -> None:
    """Its signal handlers ask for the time: a lock would be taken twice."""
    launch = planned(tmp_path, Postgres(follow_clock=True))

    assert {"LD_PRELOAD": library(False)} == launch.prepended


def test_a_static_program_is_refused(tmp_path: Path) -> None:
    """Nothing can be put in front of its system calls."""
    path = program(tmp_path / "static", elf(LOAD))
    app = App("shop", command=[path], listens=False, follow_clock=True)

    with pytest.raises(ConfigError, match=r"'shop' cannot follow the clock: .* linked statically"):
        planned(tmp_path, app)
    assert planned(tmp_path, app, time=False)


def test_libfaketime_is_asked_for_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs it."""
    with pytest.raises(Unavailable, match="apt-get install libfaketime"):
        faketime_library(threads=True, root=tmp_path)
    folder = tmp_path / "usr/lib/x86_64-linux-gnu/faketime"
    folder.mkdir(parents=True)
    (folder / "libfaketimeMT.so.1").touch()

    assert folder / "libfaketimeMT.so.1" == faketime_library(threads=True, root=tmp_path)
    with pytest.raises(Unavailable):
        faketime_library(threads=False, root=tmp_path)


def test_an_app_in_a_container_reads_the_clock_of_the_machine(tmp_path: Path) -> None:
    """Module and file are there; the folder is mounted, and only to be read."""
    app = App("shop", asgi="shop:app", follow_clock=True)

    launch = planned(tmp_path, app, gateway="172.17.0.1")

    assert {str(tmp_path / "nodes/scheduler-clock"): MOUNTED} == launch.container.mounts
    assert {"clock": HOOK} == launch.container.folders
    assert (f"{MOUNTED}/now", "/harness/clock") == (
        launch.env[FILE],
        launch.environment({})["PYTHONPATH"],
    )


def test_postgresql_in_a_container_is_refused(tmp_path: Path) -> None:
    """With real time it is not."""
    server = Postgres(follow_clock=True)

    with pytest.raises(ConfigError, match="'postgres' cannot follow the clock in a container"):
        planned(tmp_path, server, gateway="172.17.0.1")
    assert planned(tmp_path, server, gateway="172.17.0.1", time=False)


@pytest.mark.parametrize(
    ("inherited", "joined"),
    [({}, "/hook"), ({"PATHS": ""}, "/hook"), ({"PATHS": "/a:/b"}, "/hook:/a:/b")],
)
def test_a_prepended_path_comes_before_what_is_there(
    inherited: Mapping[str, str], joined: str
) -> None:
    """Nothing of it is lost, and there is no empty path, which would mean the working folder."""
    launch = Launch("a", ("x",), prepended={"PATHS": "/hook"})

    assert joined == launch.environment(inherited)["PATHS"]
    own = Launch("a", ("x",), env={"PATHS": "/own"}, prepended={"PATHS": "/hook"})
    assert "/hook:/own" == own.environment(inherited)["PATHS"]


def test_shared_memory_of_dead_processes_is_removed(tmp_path: Path) -> None:
    """That of living ones, and other files, stay."""
    dead = 2**22 + 1  # above the largest process id
    names = [f"faketime_shm_{dead}", f"sem.faketime_sem_{dead}"]
    kept = {f"faketime_shm_{os.getpid()}", f"other_{dead}"}
    for name in (*names, *kept):
        (tmp_path / name).touch()

    release_preloaded(tmp_path)

    assert kept == {each.name for each in tmp_path.iterdir()}
