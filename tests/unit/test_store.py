"""Tools in the cache are complete, even if an installer was killed."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import Unavailable
from harness.provision.holder import Holder, holder_of, sign
from harness.provision.seal import SEAL
from harness.provision.store import Store, require_disk
from harness.provision.versions import DAPR, DAPR_MODULE_HASHES, kafka_jars, parse
from harness.provision.wheels import damage_of_wheel
from tests.support import ROOT, project


def test_a_failed_build_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    """Neither at the final place nor aside."""
    store = Store(tmp_path)

    def fail(target: Path) -> None:
        (target / "half").write_text("x")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.make("tool", fail)

    assert store.find("tool") is None
    assert [] == list(tmp_path.glob(".tool-*"))
    assert (store.make("tool", lambda t: _write(t / "a")) / "a").is_file()


def test_leftovers_of_a_killed_builder_are_removed(tmp_path: Path) -> None:
    """They can be gigabytes."""
    (tmp_path / ".tool-dead").mkdir()

    Store(tmp_path).make("tool", lambda target: _write(target / "a"))

    assert not (tmp_path / ".tool-dead").exists()


def test_only_one_of_many_processes_builds_a_tool(tmp_path: Path) -> None:
    """The others wait for it and use what it made."""
    built: list[int] = []

    def build(target: Path) -> None:
        built.append(1)
        _write(target / "a")

    threads = [
        threading.Thread(target=Store(tmp_path).make, args=("tool", build)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert built == [1]


class Said:
    """The reported progress of provisioning."""

    def __init__(self) -> None:
        self.facts: list[str] = []

    def begin(self, what: str) -> None:
        """Nothing slow happens here."""

    def advance(self, what: str, fact: str) -> None:
        """Nothing slow happens here."""

    def end(self, what: str, fact: str) -> None:
        self.facts.append(f"{what}: {fact}")


def _tool(target: Path) -> None:
    project(target, bin__daprd_txt="12345", bin__other_txt="x")
    (target / "link").symlink_to("bin")


def _other_bytes(folder: Path) -> None:
    """The same size and time, as a failing disk would have it."""
    file = folder / "bin" / "daprd.txt"
    state = file.stat()
    file.write_text("54321")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (
        lambda folder: (folder / "bin/daprd.txt").write_text("123"),
        "tool/bin/daprd.txt has 3 bytes, not 5",
    ),
    "missing": (
        lambda folder: (folder / "bin/other.txt").unlink(), "tool/bin/other.txt is missing",
    ),
    "changed": (
        lambda folder: (folder / "bin/daprd.txt").write_text("54321"),
        "tool/bin/daprd.txt has other bytes than were installed",
    ),
    "link": (
        lambda folder: (folder / "bin/other.txt").replace(folder / "link"),
        "tool/bin/other.txt is missing; tool/link cannot be read: Invalid argument",
    ),
    "seal": (
        lambda folder: (folder / SEAL).write_text("{"), f"tool/{SEAL} cannot be read",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "why"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_tool_is_reinstalled_and_reported(
    tmp_path: Path, damage: Callable[[Path], object], why: str
) -> None:
    """A truncated daprd would end by a signal, a jar with a trace of Java."""
    damage(Store(tmp_path).make("tool", _tool))
    said = Said()
    store = Store(tmp_path, said)

    lost, reason = store.find("tool"), store.lack("tool")
    made = store.make("tool", _tool)

    assert lost is None
    assert why in reason
    assert ["tool is damaged and will be installed again"] == [
        each.partition(":")[0] for each in said.facts
    ]
    assert why in said.facts[0]
    assert "12345" == (made / "bin/daprd.txt").read_text()
    assert made == store.find("tool") == Store(tmp_path).find("tool")
    assert ["tool"] == [each.name for each in tmp_path.iterdir() if each.is_dir()]


def test_a_failed_repair_keeps_the_installed_tool(tmp_path: Path) -> None:
    """Without a network nothing gets better by removing it."""
    folder = Store(tmp_path).make("tool", _tool)
    (folder / "bin/other.txt").unlink()

    def fail(target: Path) -> None:
        raise Unavailable("no network")

    with pytest.raises(Unavailable, match="no network"):
        Store(tmp_path).make("tool", fail)

    assert "12345" == (folder / "bin/daprd.txt").read_text()
    assert "is damaged" in Store(tmp_path).lack("tool")


def test_checksums_are_read_only_on_demand(tmp_path: Path) -> None:
    """A start looks at sizes and times only: reading half a gigabyte takes a second."""
    _other_bytes(Store(tmp_path).make("tool", _tool))

    assert Store(tmp_path).find("tool")
    assert None is Store(tmp_path, thorough=True).find("tool")
    assert "has other bytes" in Store(tmp_path, thorough=True).lack("tool")


def test_changed_times_and_added_files_are_not_damage(tmp_path: Path) -> None:
    """A copy with times of its own, files that were added, a folder without checksums."""
    folder = Store(tmp_path).make("tool", _tool)
    (folder / "more").write_text("x")
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile, symlinks=True)
    project(tmp_path, old__a_txt="x")

    for store in (Store(tmp_path), Store(tmp_path, thorough=True)):
        assert all(store.find(name) for name in ("tool", "copy", "old"))


def test_a_removed_tool_is_installed_again(tmp_path: Path) -> None:
    """It is made anew."""
    store = Store(tmp_path)
    (store.make("tool", _tool) / "mark").write_text("x")

    store.remove("tool")
    store.remove("never-made")

    assert not (store.make("tool", _tool) / "mark").exists()


HOLDER = """
import pathlib, sys
from harness.provision.store import Store

def build(target):
    print("building", flush=True)
    sys.stdin.read()

Store(pathlib.Path(sys.argv[1])).make("tool", build)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is making the tool until its input is closed."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert "building\n" == process.stdout.readline()
        yield process
        process.send_signal(signal.SIGCONT)
        process.kill()


def test_waiting_for_another_installer_names_it_and_is_limited(
    tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By pid and command, as it runs; then the way to wait longer."""
    monkeypatch.setattr("harness.provision.store.QUIET_WAIT", 0.0)
    said = Said()

    with pytest.raises(Unavailable, match=r"(?s)is being installed by.*LOCK_TIMEOUT") as raised:
        Store(tmp_path, said, patience=0.5).make("tool", _tool)

    who = rf"pid {holder.pid} \(.*python.* -c .*\), which runs"
    assert re.search(who, str(raised.value))
    assert re.search(rf"waiting for tool: {who} is installing it", said.facts[0])
    assert 1 == len(said.facts)


def test_waiting_for_a_stopped_installer_is_limited(
    tmp_path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named with the command that lets it go on; when it has, its work is used."""
    monkeypatch.setattr("harness.provision.store.STOPPED_WAIT", 0.2)
    holder.send_signal(signal.SIGSTOP)

    with pytest.raises(Unavailable, match=rf"(?s)pid {holder.pid} .*stopped.*kill -CONT"):
        Store(tmp_path).make("tool", _tool)
    holder.send_signal(signal.SIGCONT)
    holder.communicate()
    made = Store(tmp_path).make("tool", _tool)

    assert [SEAL] == [each.name for each in made.iterdir()]


def test_a_process_that_has_the_pid_of_the_holder_is_not_taken_for_it(tmp_path: Path) -> None:
    """Pids are reused: the start time decides, and a file of anything else names nobody."""
    sign(tmp_path / "owner")
    pid, since = (tmp_path / "owner").read_text().split()

    assert os.getpid() == holder_of(tmp_path / "owner").pid
    for text in (f"{pid} {float(since) - 60}", f"{pid}", f"{2**22 + 1} {since}", ""):
        (tmp_path / "owner").write_text(text)
        assert Holder() == holder_of(tmp_path / "owner")


def test_an_unusable_cache_folder_is_reported_with_its_setting(tmp_path: Path) -> None:
    """A prerequisite, with the variable that names another one."""
    project(tmp_path, cache_txt="x")

    for folder in (tmp_path / "cache.txt", Path("/proc/nowhere/cache")):
        with pytest.raises(Unavailable, match=r"(?s)cannot be written.*DAPR_HARNESS_CACHE_DIR"):
            Store(folder).make("tool", _tool)


def test_a_wheel_is_checked_against_pips_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changed and missing files; a package that is not installed has none."""
    content = b"server"
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    rows = [f"a/{name},sha256={digest},6" for name in ("sound", "changed", "missing")]
    record = "\n".join([*rows, "a-1.dist-info/RECORD,,", ""])
    (tmp_path / "a").mkdir()
    for name in ("sound", "changed"):
        (tmp_path / "a" / name).write_bytes(content)
    (tmp_path / "a" / "changed").write_bytes(b"SERVER")
    about = tmp_path / "a-1.dist-info"
    about.mkdir()
    (about / "RECORD").write_text(record)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: a\nVersion: 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert ["a/changed has other bytes than were installed", "a/missing is missing"] == (
        damage_of_wheel("a")
    )
    assert [] == damage_of_wheel("not-installed-anywhere")


def test_too_little_disk_space_is_reported_before_a_build(tmp_path: Path) -> None:
    """Also for a folder that does not exist yet."""
    with pytest.raises(Unavailable, match=r"not enough disk(.|\n)*GB free"):
        require_disk(tmp_path / "a" / "b", 1e18, "building")
    require_disk(tmp_path / "a" / "b", 1, "building")


def test_versions_are_compared_as_numbers() -> None:
    """1.9 is older than 1.18."""
    assert parse("go1.26.10") > parse("1.26.9") > parse("v1.9-rc.1")
    assert parse("1.19.0-rc.1") == parse("1.19.0") == parse("Redis server v=1.19 sha=0")
    assert parse("edge") == parse("0")


def test_the_pinned_versions_have_their_hashes() -> None:
    """Every jar, and the dapr module."""
    assert DAPR in DAPR_MODULE_HASHES
    assert all(len(digest) == 64 for *_, digest in kafka_jars())
    assert len({artifact for _, artifact, _, _ in kafka_jars()}) == len(kafka_jars()) > 40


def _write(path: Path) -> None:
    path.write_text("x")
