"""What a Python interpreter takes for the time when it follows a clock's file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.nodes.clock import HOOK
from harness.virtual_time.civil import SECOND, civil
from harness.virtual_time.flow import Flow
from harness.virtual_time.hook.dapr_harness_clock import (
    CONFIGURATION,
    FILE,
    RECORD,
    SIZE,
    moment_of,
    packed,
    reader,
)
from harness.virtual_time.published import Published, show_as_text, shown

NOW = civil((2027, 1, 31, 9, 0, 0)) + 123_456_789
TOLD = "2027-01-31T09:00:00.123456+00:00"
INTERPRETER = os.environ.get("HOOKED_PYTHON", sys.executable)
"""Another version of Python, to run these tests on by hand."""


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Published]:
    """A clock that stands still."""
    with closing(Published(tmp_path / "now")) as found:
        found.frozen(NOW)
        yield found


def started(
    folder: Path, program: str, *flags: str, path: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    """A program in an interpreter that follows the clock in a folder."""
    paths = ":".join(each for each in (str(HOOK), path) if each)
    environment = {"PATH": os.defpath, "TZ": "UTC", "PYTHONPATH": paths, **more}
    given = {FILE: str(folder / "now"), **environment}
    argv = [INTERPRETER, *flags, "-c", program]
    return subprocess.run(argv, env=given, capture_output=True, text=True, timeout=60)


def printed(folder: Path, program: str, **more: str) -> Any:
    """What a program prints as JSON."""
    done = started(folder, f"import json\n{program}", **more)
    assert "" == done.stderr
    return json.loads(done.stdout)


CALLS = {
    "time.time()": NOW / SECOND,
    "time.time_ns()": NOW,
    "time.clock_gettime(time.CLOCK_REALTIME)": NOW / SECOND,
    "time.clock_gettime_ns(time.CLOCK_REALTIME)": NOW,
    "time.strftime('%Y-%m-%d %H:%M')": "2027-01-31 09:00",
    "time.strftime('%Y', (1999, 1, 1, 0, 0, 0, 0, 1, 0))": "1999",
    "time.ctime()": "Sun Jan 31 09:00:00 2027",
    "time.asctime()": "Sun Jan 31 09:00:00 2027",
    "tuple(time.gmtime())[:6]": [2027, 1, 31, 9, 0, 0],
    "tuple(time.localtime())[:6]": [2027, 1, 31, 9, 0, 0],
    "tuple(time.localtime(0))[:6]": [1970, 1, 1, 0, 0, 0],
    "datetime.now().isoformat()": TOLD.removesuffix("+00:00"),
    "datetime.now(timezone.utc).isoformat()": TOLD,
    "datetime.now(tz=timezone.utc).isoformat()": TOLD,
    "datetime.today().isoformat()": TOLD.removesuffix("+00:00"),
    "date.today().isoformat()": "2027-01-31",
}


def test_every_call_for_the_time_of_day_follows(tmp_path: Path, published: Published) -> None:
    """With an argument, a call does as before."""
    head = "import time\nfrom datetime import date, datetime, timezone\n"

    seen = printed(tmp_path, f"{head}print(json.dumps([{', '.join(CALLS)}]))")

    assert CALLS == dict(zip(CALLS, seen, strict=True))


def test_utcnow_follows_and_keeps_its_warning(tmp_path: Path, published: Published) -> None:
    """It has no zone, and is deprecated from Python 3.12 on."""
    program = (
        "import sys, warnings\nfrom datetime import datetime\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n    at = datetime.utcnow()\n"
        "expected = int(sys.version_info >= (3, 12))\n"
        "print(json.dumps([at.isoformat(), len(caught) == expected, "
        "all(each.filename == '<string>' for each in caught)]))"
    )

    assert [TOLD.removesuffix("+00:00"), True, True] == printed(tmp_path, program)


def test_monotonic_clocks_and_waiting_stay_real(tmp_path: Path, published: Published) -> None:
    """While time stands still, threads and asyncio wake up all the same."""
    program = (
        "import asyncio, threading, time\n"
        "before = time.monotonic(), time.perf_counter(), time.time()\n"
        "threading.Event().wait(0.01)\n"
        "async def wait():\n"
        "    await asyncio.wait([asyncio.get_running_loop().create_future()], timeout=0.01)\n"
        "asyncio.run(wait())\n"
        "after = time.monotonic(), time.perf_counter(), time.time()\n"
        "print(json.dumps([after[0] > before[0], after[1] > before[1], after[2] == before[2]]))"
    )

    assert [True, True, True] == printed(tmp_path, program)


def test_classes_stay_what_they_are(tmp_path: Path, published: Published) -> None:
    """Instances, subclasses, pickles and annotations of other libraries have the same class."""
    program = (
        "import datetime as module, pickle\nfrom datetime import date, datetime, timezone\n"
        "class Own(datetime):\n    pass\n"
        "now, own = datetime.now(timezone.utc), Own.now(timezone.utc)\n"
        "print(json.dumps([\n"
        "    type(now) is datetime is module.datetime, type(own) is Own,\n"
        "    isinstance(datetime(2000, 1, 1), datetime), isinstance(now, date),\n"
        "    pickle.loads(pickle.dumps(now)) == now == own, type(date.today()) is date,\n"
        "    datetime.now.__doc__ != None, datetime.fromtimestamp(0, timezone.utc).year == 1970]))"
    )

    assert [True] * 8 == printed(tmp_path, program)


def test_pydantic_and_psycopg_take_and_make_the_same_class(
    tmp_path: Path, published: Published
) -> None:
    """Both have C or Rust code that makes instances of the class."""
    program = (
        "from datetime import datetime, timezone\n"
        "from pydantic import TypeAdapter\nfrom psycopg.adapt import PyFormat, Transformer\n"
        "now = datetime.now(timezone.utc)\n"
        "read = TypeAdapter(datetime).validate_python(now.isoformat())\n"
        "dumped = Transformer().get_dumper(now, PyFormat.TEXT).dump(now)\n"
        "print(json.dumps([read == now, type(read) is datetime, bytes(dumped).decode()[:4]]))"
    )

    assert [True, True, "2027"] == printed(tmp_path, program)


def test_the_clock_is_read_at_each_call(tmp_path: Path, published: Published) -> None:
    """By a function that is imported once, and it ends with what was published last."""
    read = reader(str(tmp_path / "now"))
    seen = [read()]
    for moment in (NOW + 1, NOW + SECOND, NOW):
        published.frozen(moment)
        seen.append(read())

    assert [NOW, NOW + 1, NOW + SECOND, NOW] == seen


def test_flowing_time_flows_without_the_writer(tmp_path: Path, published: Published) -> None:
    """At its speed, by the monotonic clock."""
    real = time.monotonic_ns()
    published.flowing(Flow(60.0, NOW, real))
    content = (tmp_path / "now").read_bytes()

    assert NOW + 60 * 5 * SECOND == moment_of(content, real + 5 * SECOND)
    assert NOW <= reader(str(tmp_path / "now"))()


class Late(Published):
    """A clock that apps read once more just before it stands still."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path
        self.seen: list[int] = []

    def frozen(self, moment: int) -> None:
        self.seen.append(shown(self.path))
        super().frozen(moment)


def test_time_stops_at_a_moment_that_nobody_has_seen_pass(tmp_path: Path) -> None:
    """However fast it flows, and however late the moment is written."""
    with closing(Late(tmp_path / "now")) as late:
        late.flowing(Flow(1e8, NOW, time.monotonic_ns()))

        stopped = late.stopped()

        assert NOW < max(late.seen) <= stopped == shown(late.path)


def test_a_record_that_was_not_written_to_its_end_is_not_read(
    tmp_path: Path, published: Published
) -> None:
    """The one before is, and the next one takes its place: a writer may be killed at any byte."""
    path = tmp_path / "now"
    whole = path.read_bytes()
    assert packed(1, NOW, 0, 0.0) == whole[RECORD.size :]
    fresh = packed(2, NOW + SECOND, 0, 0.0)
    for length in range(RECORD.size - 4):
        path.write_bytes(fresh[:length] + whole[length:])
        assert NOW == moment_of(path.read_bytes(), 0)

    with closing(Published(path)) as again:
        again.frozen(NOW + 2 * SECOND)
    assert NOW + 2 * SECOND == moment_of(path.read_bytes(), 0)


def test_libraries_that_time_themselves_out_by_the_time_of_day_keep_it(
    tmp_path: Path, published: Published
) -> None:
    """gRPC hands its deadlines to C code, which compares them with the real clock."""
    (tmp_path / "grpc.py").write_text("import time\ndef now(): return time.time()\n")
    (tmp_path / "grpcish.py").write_text("import time\ndef now(): return time.time()\n")

    program = "import grpc, grpcish\nprint(json.dumps([grpc.now(), grpcish.now()]))"
    real, moved = printed(tmp_path, program, path=str(tmp_path))

    assert abs(real - time.time()) < 3600
    assert NOW / SECOND == moved


def test_an_own_sitecustomize_still_runs(tmp_path: Path, published: Published) -> None:
    """It sees the clock already."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import time\nseen = time.time_ns()\n")

    program = "import sitecustomize\nprint(json.dumps(sitecustomize.seen))"

    assert NOW == printed(tmp_path, program, path=str(own))


def test_a_process_that_the_app_starts_follows_too(tmp_path: Path, published: Published) -> None:
    """As a server that reloads its code does."""
    program = (
        "import subprocess, sys\nshown = subprocess.check_output(\n"
        "    [sys.executable, '-c', 'import time; print(time.time_ns())'])\n"
        "print(json.dumps(int(shown)))"
    )

    assert NOW == printed(tmp_path, program)


@pytest.mark.parametrize("content", [None, b"", bytes(SIZE)])
def test_an_app_without_its_clock_does_not_start(tmp_path: Path, content: bytes | None) -> None:
    """It says which file was expected, instead of running on real time."""
    if content is not None:
        (tmp_path / "now").write_bytes(content)

    done = started(tmp_path, "print('started')")

    assert (CONFIGURATION, "") == (done.returncode, done.stdout)
    assert f"the clock in {tmp_path / 'now'} cannot be followed" in done.stderr


def test_without_the_variable_nothing_changes(tmp_path: Path) -> None:
    """The folder alone does nothing."""
    done = started(tmp_path, "import time; print(time.time.__class__)", **{FILE: ""})

    assert (0, "<class 'builtin_function_or_method'>") == (done.returncode, done.stdout.strip())


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOW, "1801386000.123456790\n"),
        (NOW // SECOND * SECOND, "1801386000\n"),
        (NOW // SECOND * SECOND + SECOND - 1, "1801386000.999999999\n"),
    ],
)
def test_the_text_for_libfaketime_does_not_lose_the_microsecond(
    tmp_path: Path, published: Published, moment: int, text: str
) -> None:
    """From the moment on at which somebody has asked for it."""
    assert not (tmp_path / "now.txt").exists()
    show_as_text(tmp_path / "now")
    published.frozen(moment)

    assert text == (tmp_path / "now.txt").read_text()
    assert 0o644 == (tmp_path / "now.txt").stat().st_mode & 0o777
