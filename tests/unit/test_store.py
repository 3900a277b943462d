"""What lies in the cache is whole, whoever was killed while making it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from harness import Unavailable
from harness.provision.store import Store, require_disk
from harness.provision.versions import DAPR, DAPR_MODULE_HASHES, kafka_jars, parse


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


def test_one_of_many_builds(tmp_path: Path) -> None:
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


def test_too_little_disk_is_said_before_a_build(tmp_path: Path) -> None:
    """Also for a folder that does not exist yet."""
    with pytest.raises(Unavailable, match=r"not enough disk(.|\n)*GB free"):
        require_disk(tmp_path / "a" / "b", 1e18, "building")
    require_disk(tmp_path / "a" / "b", 1, "building")


def test_versions_compare_as_numbers() -> None:
    """1.9 is older than 1.18."""
    assert parse("go1.26.10") > parse("1.26.9") > parse("v1.9-rc.1")


def test_the_pinned_versions_have_their_hashes() -> None:
    """Every jar, and the dapr module."""
    assert DAPR in DAPR_MODULE_HASHES
    assert all(len(digest) == 64 for *_, digest in kafka_jars())
    assert len({artifact for _, artifact, _, _ in kafka_jars()}) == len(kafka_jars()) > 40


def _write(path: Path) -> None:
    path.write_text("x")
