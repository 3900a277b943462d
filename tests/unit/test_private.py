"""What lies at names that others can guess is this user's own, or refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from harness import Unavailable
from harness.core.private import open_private, private_folder
from harness.provision import postgres
from harness.runtime.folder import (
    clear_run_folder,
    dead_run_folders,
    make_run_folder,
    new_run_folder,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def a_link(path: Path) -> None:
    path.with_name("target").mkdir()
    path.symlink_to(path.with_name("target"))


def a_file(path: Path) -> None:
    path.touch()


def open_to_others(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def open_to_the_group(path: Path) -> None:
    path.mkdir()
    path.chmod(0o770)


@pytest.fixture(params=[a_link, a_file, open_to_others, open_to_the_group])
def squatted(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A place where something was made first."""
    request.param(tmp_path / "x")
    return tmp_path / "x"


def test_a_path_that_is_not_a_private_folder_of_this_user_is_rejected(squatted: Path) -> None:
    """The error says what was found."""
    with pytest.raises(Unavailable, match=rf"{squatted} cannot be trusted(.|\n)*uid {os.getuid()}"):
        private_folder(squatted)


def test_a_folder_of_another_account_is_refused(tmp_path: Path) -> None:
    """Root gets a folder of the user `nobody`; other users get one of root."""
    path = tmp_path / "x" if os.geteuid() == 0 else Path("/usr")
    if os.geteuid() == 0:
        path.mkdir(mode=0o700)
        os.chown(path, 65534, 65534)

    with pytest.raises(Unavailable, match=r"a folder of (nobody|root)"):
        private_folder(path)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_are_what_was_asked_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Of a new folder, of one that was ours before, and of a file."""
    (tmp_path / "before").mkdir(mode=0o755)
    old = os.umask(umask)
    try:
        private_folder(tmp_path / "new")
        private_folder(tmp_path / "before", 0o711)
        open_private(tmp_path / "file", "w").close()
    finally:
        os.umask(old)

    found = [mode(tmp_path / name) for name in ("new", "before", "file")]
    assert [0o700, 0o711, 0o600] == found


def test_a_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    """Not even made."""
    (tmp_path / "link").symlink_to(tmp_path / "target")

    with pytest.raises(OSError, match="symbolic links"):
        open_private(tmp_path / "link", "a")
    assert not (tmp_path / "target").exists()


def made() -> Path:
    """The folder of a run that belongs to this process."""
    folder = new_run_folder()
    make_run_folder(folder, os.getpid())
    return folder


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of this user's runs (and of root's PostgreSQL), taken by a link to this folder."""
    target = tmp_path / "target"
    target.mkdir()
    for uid in {0, os.getuid()}:
        (tmp_path / f"dapr-harness-{uid}").symlink_to(target)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return target


def test_no_run_folder_is_created_through_a_symbolic_link(planted: Path) -> None:
    """Nor is anything else."""
    with pytest.raises(Unavailable, match=f"dapr-harness-{os.getuid()} cannot be trusted"):
        new_run_folder()
    assert [] == list(planted.iterdir())


def test_postgresql_is_not_copied_through_a_symbolic_link(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy is executed, so its owner matters."""
    closed = tmp_path / "install"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    with pytest.raises(Unavailable, match="dapr-harness-0 cannot be trusted"):
        postgres._reachable(closed, "18")
    assert [] == list(planted.iterdir())


def test_a_run_folder_lets_an_unprivileged_node_pass_and_nobody_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only root has such nodes."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    passable = 0o711 if os.geteuid() == 0 else 0o700

    folder = made()

    assert {folder.parent: passable, folder: passable, folder / "nodes": passable} == {
        each: mode(each) for each in (folder.parent, folder, folder / "nodes")
    }
    assert (0o700, 0o600) == (mode(folder / "logs"), mode(folder / "owner"))


def test_a_folder_that_never_got_an_owner_is_dead_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its maker was killed between the two; a new one is being made."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    living, old, new = (made() for _ in range(3))
    for each in (old, new):
        (each / "owner").unlink()
    os.utime(old, (0, 0))

    assert [old] == dead_run_folders()
    assert "" == clear_run_folder(old)
    assert [living, new] == sorted(old.parent.iterdir(), key=[living, new].index)
