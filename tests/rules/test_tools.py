"""The scripts in tools/ that install what tests need: what they do, and what they leave alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT

APT = """\
#!/bin/sh
echo "apt-get $*" >> "$ROOT/log"
[ "$1" = install ] || exit 0
"$ROOT/usr/sbin/policy-rc.d" || echo "policy $?" >> "$ROOT/log"
exit {code}
"""
EARLIER = "#!/bin/sh\nexit 104\n"


def machine(root: Path, *, user: int = 0, apt: int = 0, running: bool = False) -> dict[str, str]:
    """A root folder, and the commands that the script would run as root.

    Args:
        root: an empty folder.
        user: who runs the script.
        apt: the exit code of an installation.
        running: whether the package's server has been started.

    Returns:
        The environment of the script.
    """
    (root / "usr/sbin").mkdir(parents=True)
    (root / "bin").mkdir()
    commands = {
        "id": f"#!/bin/sh\necho {user}\n",
        "apt-get": APT.format(code=apt),
        "update-rc.d": '#!/bin/sh\necho "update-rc.d $*" >> "$ROOT/log"\n',
        "pgrep": f"#!/bin/sh\nexit {0 if running else 1}\n",
    }
    for name, text in commands.items():
        program(root / "bin" / name, text)
    return {"ROOT": str(root), "PATH": f"{root / 'bin'}:/usr/bin:/bin"}


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def rabbitmq(env: dict[str, str], name: str = "rabbitmq") -> subprocess.CompletedProcess[str]:
    """Run the script, or another one."""
    script = str(ROOT / "tools" / name)
    return subprocess.run(["bash", script], env=env, capture_output=True, text=True)


@pytest.mark.parametrize("earlier", ["", EARLIER])
def test_rabbitmq_is_installed_while_no_service_may_start_and_is_not_enabled(
    tmp_path: Path, earlier: str
) -> None:
    """The machine's own policy is the same afterwards, or there is none."""
    env, policy = machine(tmp_path), tmp_path / "usr/sbin/policy-rc.d"
    if earlier:
        program(policy, earlier)

    done = rabbitmq(env)

    assert 0 == done.returncode, done.stderr
    _, install, refused, disabled = (tmp_path / "log").read_text().splitlines()
    assert install.endswith("rabbitmq-server")
    assert ("policy 101", "update-rc.d rabbitmq-server disable") == (refused, disabled)
    assert earlier == (policy.read_text() if policy.exists() else "")
    assert {"policy-rc.d"} >= {each.name for each in policy.parent.iterdir()}


def test_the_machines_policy_is_kept_if_the_installation_fails(tmp_path: Path) -> None:
    env, policy = machine(tmp_path, apt=100), tmp_path / "usr/sbin/policy-rc.d"
    program(policy, EARLIER)

    assert 100 == rabbitmq(env).returncode
    assert EARLIER == policy.read_text()


def test_a_server_that_the_package_has_started_is_an_error(tmp_path: Path) -> None:
    done = rabbitmq(machine(tmp_path, running=True))

    assert 1 == done.returncode
    assert "the server of the package is running" in done.stderr


def test_a_server_that_is_there_is_used(tmp_path: Path) -> None:
    """Nothing is run, whoever asks."""
    env = machine(tmp_path, user=1000)
    program(tmp_path / "usr/lib/rabbitmq/bin/rabbitmq-server", "")

    assert 0 == rabbitmq(env).returncode
    assert not (tmp_path / "log").exists()


def test_only_root_installs_rabbitmq(tmp_path: Path) -> None:
    """As tools/browser says it."""
    done = rabbitmq(machine(tmp_path, user=1000))

    assert 3 == done.returncode
    assert "only root on Debian can install it here" in done.stderr
    assert not (tmp_path / "log").exists()


def test_libfaketime_is_installed_by_root_unless_it_is_there(tmp_path: Path) -> None:
    """Others are told why it is missing."""
    root, other, there = (tmp_path / name for name in ("root", "other", "there"))
    for each in (root, other, there):
        each.mkdir()
    refused = rabbitmq(machine(other, user=1000), "faketime")
    done = rabbitmq(machine(root), "faketime")
    program(there / "usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "")
    unneeded = rabbitmq(machine(there, user=1000), "faketime")

    assert (0, 3, 0) == (done.returncode, refused.returncode, unneeded.returncode)
    assert "only root on Debian can install it here" in refused.stderr
    assert "install" in (root / "log").read_text()
    assert not (other / "log").exists()
    assert not (there / "log").exists()
