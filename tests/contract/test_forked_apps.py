"""Apps that are forked of a process with their imports are as those that are executed."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.core.launch import InProcess, Launch
from harness.runtime.instance import ProcessInstance
from harness.runtime.proc import wait_gone
from harness.runtime.processes import ProcessRuntime

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers"),
]

TELL = """
import json, os, sys
from pathlib import Path
{imports}
print(json.dumps({{
    "name": __name__, "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path,
    "cwd": os.getcwd(), "environment": dict(os.environ), "input": sys.stdin.read(),
    "command": Path("/proc/self/cmdline").read_bytes().rstrip(b"\\0").decode().split("\\0"),
    "parent": os.getppid(), "leads": os.getsid(0) == os.getpid(),
    "files": sorted(os.listdir("/proc/self/fd")), "harness": "harness" in sys.modules, {more}
}}), flush=True)
"""


@dataclass
class Room:
    """A folder with apps, a folder with a library on their path, and a runtime."""

    runtime: ProcessRuntime
    folder: Path
    library: Path
    journal: list[Mapping[str, Any]] = field(default_factory=list)

    def launch(self, name: str, env: Mapping[str, str] | None = None, cwd: str = "") -> Launch:
        return Launch(
            name,
            (sys.executable, "-m", name, "a word", "é"),
            env=env or {},
            process=InProcess(self.folder / cwd, imports=name),
        )

    def start(self, *launches: Launch) -> list[ProcessInstance]:
        self.runtime.prepare(launches)
        return [self.runtime.start(each) for each in launches]

    def app(self, name: str, text: str) -> None:
        (self.folder / f"{name}.py").write_text(text)

    def refusals(self) -> dict[str, str]:
        kind = "process.not_forked"
        return {each["node"]: each["reason"] for each in self.journal if each["kind"] == kind}


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    folder, library = tmp_path / "apps", tmp_path / "library"
    folder.mkdir()
    library.mkdir()
    journal: list[Mapping[str, Any]] = []
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(library)}
    with ProcessRuntime(environment, heard=journal.append) as runtime:
        yield Room(runtime, folder, library, journal)


def end_of(instance: ProcessInstance) -> str:
    """Its log, once it has exited."""
    assert poll(lambda: Observation(instance.exit_code is not None), Deadline(30)).ok
    return instance.log.read_text()


def told(instances: Sequence[ProcessInstance]) -> list[dict[str, Any]]:
    return [json.loads(end_of(each).splitlines()[-1]) for each in instances]


def test_a_forked_app_sees_what_an_executed_one_sees(room: Room) -> None:
    for name in ("one", "two"):
        room.app(name, TELL.format(imports="", more=""))
    env = {"OWN": "1"}

    forked, other = told(room.start(room.launch("one", env), room.launch("two")))
    with ProcessRuntime({"PATH": os.environ["PATH"], "PYTHONPATH": str(room.library)}) as alone:
        (executed,) = told([alone.start(room.launch("one", env))])
        owner = alone.owner

    assert ({}, room.runtime.owner, owner) == (
        room.refusals(),
        forked.pop("parent"),
        executed.pop("parent"),
    )
    assert executed == forked
    assert ("1", None) == (forked["environment"]["OWN"], other["environment"].get("OWN"))


def test_an_app_has_its_own_memory_of_what_it_shares(room: Room) -> None:
    (room.library / "shared.py").write_text("import os\nmade_by, held = os.getpid(), []\n")
    text = TELL.format(
        imports="import shared; shared.held.append(__file__)",
        more='"made_by": shared.made_by, "held": shared.held, "pid": os.getpid()',
    )
    for name in ("one", "two"):
        room.app(name, text)

    one, two = told(room.start(room.launch("one"), room.launch("two")))

    assert one["made_by"] == two["made_by"] not in (one["pid"], two["pid"])
    assert [[str(room.folder / "one.py")], [str(room.folder / "two.py")]] == [
        one["held"],
        two["held"],
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [("import sys; sys.exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", -9)],
)
def test_the_exit_of_a_forked_app_is_known_with_its_code(room: Room, text: str, code: int) -> None:
    for name in ("one", "two"):
        room.app(name, text)

    for each in room.start(room.launch("one"), room.launch("two")):
        end_of(each)
        assert code == each.exit_code
    assert {} == room.refusals()


def test_an_uncaught_error_is_in_the_log_without_frames_of_the_harness(room: Room) -> None:
    for name in ("one", "two"):
        room.app(name, "1 / 0")

    log = end_of(room.start(room.launch("one"), room.launch("two"))[0])

    assert ["Traceback (most recent call last):", "ZeroDivisionError: division by zero"] == [
        log.splitlines()[0],
        log.splitlines()[-1],
    ]
    assert (True, False) == (str(room.folder / "one.py") in log, "preload" in log)


def test_what_the_imports_write_is_in_the_log_of_each_app(room: Room) -> None:
    (room.library / "loud.py").write_text("print('loud is imported')\n")
    for name in ("one", "two"):
        room.app(name, "import loud; print('then', __file__)")

    logs = [end_of(each) for each in room.start(room.launch("one"), room.launch("two"))]

    assert [f"loud is imported\nthen {room.folder / name}.py\n" for name in ("one", "two")] == logs
    assert {} == room.refusals()


REFUSED = {
    "reads.py": (
        "import os; VALUE = os.environ.get('SHOP')",
        "SHOP was read during the imports and has another value",
    ),
    "threads.py": (
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "the imports have started threads (1)",
    ),
    "files.py": ("opened = open('/dev/null')", "the imports have opened files"),
    "gevent.py": ("", "it imports gevent, which changes modules imported later"),
    "traced.py": ("import sys; sys.setprofile(lambda *_: None)", "its interpreter is traced"),
}


@pytest.mark.parametrize("library", REFUSED)
def test_apps_are_executed_where_a_fork_would_differ(room: Room, library: str) -> None:
    text, reason = REFUSED[library]
    (room.library / library).write_text(text)
    for name in ("one", "two"):
        more = '"value": getattr(shared, "VALUE", None)'
        room.app(name, TELL.format(imports=f"import {library[:-3]} as shared", more=more))

    both = room.start(room.launch("one", {"SHOP": "one"}), room.launch("two", {"SHOP": "two"}))
    values = [each["value"] for each in told(both)]

    assert {"one": reason, "two": reason} == room.refusals()
    assert ["one", "two"] if library == "reads.py" else [None, None] == values


def test_a_module_of_the_apps_folder_hides_one_of_the_same_name(room: Room) -> None:
    """An interpreter that starts in the folder finds it first."""
    (room.folder / "own").mkdir()
    (room.folder / "own" / "colorsys.py").write_text("HIDDEN = True\n")
    text = "import colorsys; print(hasattr(colorsys, 'HIDDEN'))"
    for name in ("one", "own/two", "three"):
        room.app(name, text)

    launches = room.launch("one"), room.launch("two", cwd="own"), room.launch("three")
    logs = [end_of(each) for each in room.start(*launches)]

    assert ["False\n", "True\n", "False\n"] == logs
    assert {"two": f"{room.folder / 'own'} has a module named colorsys"} == room.refusals()


def test_a_restarted_app_has_what_its_files_contain_by_then(room: Room) -> None:
    """Its own and, if a library was changed, that one too."""
    library = room.library / "shared.py"
    library.write_text("VALUE = 1\n")
    for name in ("one", "two"):
        room.app(name, "import shared; print('first', shared.VALUE)")
    one, _ = room.start(room.launch("one"), room.launch("two"))
    assert "first 1\n" == end_of(one)

    room.app("one", "import shared; print('second', shared.VALUE)")
    one.restart()
    assert "first 1\nsecond 1\n" == end_of(one)
    assert {} == room.refusals()

    library.write_text("VALUE = 'changed'\n")
    one.restart()

    assert "first 1\nsecond 1\nsecond changed\n" == end_of(one)
    assert {"one": "an imported file has changed"} == room.refusals()


def test_kill_9_of_the_supervisor_ends_forked_apps(room: Room) -> None:
    for name in ("one", "two"):
        room.app(name, "import signal; signal.pause()")
    both = room.start(room.launch("one"), room.launch("two"))
    assert {} == room.refusals()

    os.kill(room.runtime.owner, signal.SIGKILL)

    left = [each.pid for each in both if not wait_gone(each.pid, 5)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert [] == left


def test_apps_are_executed_when_the_process_with_the_imports_was_killed(room: Room) -> None:
    for name in ("one", "two"):
        room.app(name, TELL.format(imports="", more=""))
    launches = [room.launch("one"), room.launch("two")]
    room.runtime.prepare(launches)
    one = room.runtime.start(launches[0])
    end_of(one)
    (source,) = children_of(room.runtime.owner)

    os.kill(source, signal.SIGKILL)
    assert wait_gone(source, 5)

    assert room.runtime.owner == told([room.runtime.start(launches[1])])[0]["parent"]
    assert {"two": "the process with the imports has ended"} == room.refusals()


def children_of(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
