"""A record that is read while its recorder is replaced: a new pod has no data of the old one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from harness.core.deadline import Deadline, poll
from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.ports import free_port
from harness.probe import inbox_server
from harness.probe.records import RecordReader, size_of_record
from harness.ready.tcp import TcpCheck

pytestmark = pytest.mark.real


@contextmanager
def recorder(address: Endpoint, record: Path) -> Iterator[None]:
    program = Path(inbox_server.__file__).with_name("receiver_server.py")
    words = [sys.executable, str(program), str(address), "-", str(record)]
    with subprocess.Popen(words) as process:
        assert poll(TcpCheck(address).observe, Deadline(20)).ok
        try:
            yield
        finally:
            process.kill()


def read(reader: RecordReader[str]) -> list[str]:
    return list(reader.read())


@pytest.mark.parametrize("more", [1, 20])
def test_a_recorder_that_was_replaced_is_read_from_its_beginning(tmp_path: Path, more: int) -> None:
    """Whether its record is shorter than what was read before, or longer."""
    address = Endpoint(LOOPBACK, free_port())
    with recorder(address, tmp_path / "first"):
        for path in ("/earlier", "/one", "/two"):
            httpx.post(f"{address.http}{path}")
            if path == "/earlier":
                start = size_of_record(address)
        reader = RecordReader(address, start, lambda row: str(row["path"]))
        before = read(reader)

    with recorder(address, tmp_path / "second"):
        for number in range(more):
            httpx.post(f"{address.http}/new-{'x' * number}")
        after = read(reader)
        httpx.post(f"{address.http}/last")
        last = read(reader)

    assert ["/one", "/two"] == before
    assert [f"/new-{'x' * number}" for number in range(more)] == after
    assert ["/last"] == last
