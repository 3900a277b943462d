"""Shared memory of a dead PostgreSQL is removed, and no other."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.runtime.segments import IPC_RMID, TABLE, release_segments

MAKER = """
import ctypes, sys
libc = ctypes.CDLL(None)
number = libc.shmget(0x6461, 4096, 0o1600)
if len(sys.argv) > 1:
    libc.shmat.restype = ctypes.c_void_p
    libc.shmat(number, None, 0)
print(number, flush=True)
sys.stdin.read()
"""
"""Makes a segment as a server does, attaches to it when it is given a word, and waits."""


@dataclass
class Server:
    """What looks like a server of a run from outside."""

    process: subprocess.Popen[str]
    segment: int
    run: Path

    def note(self, *, pid: int = 0, key: int = 0) -> Path:
        """Write its ``postmaster.pid``, with something else than the truth if given."""
        folder = self.run / "nodes" / "pg" / "data"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [pid or self.process.pid, folder, 1, 1, "", "127.0.0.1"]
        text = "\n".join(map(str, lines)) + f"\n{key or self.key:9} {self.segment:9}\nready\n"
        (folder / "postmaster.pid").write_text(text)
        return self.run

    @property
    def key(self) -> int:
        (row,) = (row for row in rows() if row[1] == str(self.segment))
        return int(row[0])

    def die(self) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def there(self) -> bool:
        return any(row[1] == str(self.segment) for row in rows())


def rows() -> list[list[str]]:
    return [row.split() for row in TABLE.read_text().splitlines()[1:]]


@pytest.fixture(params=[""])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """One that has a segment of a key of its own; with a parameter one that is attached to it."""
    # IPC_PRIVATE would have the key 0; a key must only not be in use.
    used = {int(row[0]) for row in rows()}
    key = next(key for key in range(0x6461, 0x7000) if key not in used)
    words = [sys.executable, "-c", MAKER.replace("0x6461", str(key)), *request.param.split()]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        found = Server(process, int(process.stdout.readline()), tmp_path)
        yield found
        process.kill()
    ctypes.CDLL(None).shmctl(found.segment, IPC_RMID, None)


def test_the_segment_of_a_dead_server_is_removed(server: Server) -> None:
    """Nothing else would remove it."""
    run = server.note()
    server.die()

    assert [] == release_segments(run)
    assert not server.there


@pytest.mark.parametrize("server", ["attached"], indirect=True)
def test_the_segment_of_a_running_server_is_kept_and_reported(server: Server) -> None:
    """Its processes may take a moment to notice that the first of them was killed."""
    run = server.note()

    assert [f"shared memory {server.segment} of pg is in use"] == release_segments(run)
    assert server.there


@pytest.mark.parametrize("wrong", [{"pid": 1}, {"key": 1}], ids=["pid", "key"])
def test_a_segment_of_another_creator_is_kept(server: Server, wrong: dict[str, int]) -> None:
    """Numbers are given again; a file from long ago may name another one's."""
    run = server.note(**wrong)
    server.die()

    assert [] == release_segments(run)
    assert server.there


@pytest.mark.parametrize("text", ["", "12\n/data\n", "1\n2\n3\n4\n5\n6\nx y\n"])
def test_an_incomplete_pid_file_removes_no_segment(server: Server, text: str) -> None:
    """A server that was killed while it started had written only a part."""
    (server.note() / "nodes" / "pg" / "data" / "postmaster.pid").write_text(text)
    server.die()

    assert [] == release_segments(server.run)
    assert server.there
