"""Settings come from pyproject.toml, the environment and the caller, in rising order."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import ConfigError, Settings
from harness.core.settings import dapr_versions
from tests.support import ROOT, project


def test_the_caller_wins_over_the_environment_and_that_over_pyproject(tmp_path: Path) -> None:
    """Each level is seen where the one above is silent."""
    project(
        tmp_path,
        pyproject_toml='[tool.dapr-harness]\ntopology = "a:b"\nready-timeout = 3\nruntime = "auto"',
    )
    environ = {"DAPR_HARNESS_READY_TIMEOUT": "4", "DAPR_HARNESS_RUNTIME": "auto"}

    settings = Settings.load(tmp_path, environ, runtime="processes", offline=None)

    assert ("a:b", 4.0, "processes", False) == (
        settings.topology,
        settings.ready_timeout,
        settings.runtime,
        settings.offline,
    )


def test_the_root_is_the_nearest_project(tmp_path: Path) -> None:
    """Relative paths start there, also from a folder below."""
    project(tmp_path, pyproject_toml='[tool.dapr-harness]\ncache_dir = "cache"')
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)

    settings = Settings.load(below, {})

    assert (tmp_path, tmp_path / "cache") == (settings.root, settings.cache_dir)


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"DAPR_HARNESS_OFLINE": "1"}, "DAPR_HARNESS_OFLINE is not a setting\n.*'offline'"),
        ({"DAPR_HARNESS_OFFLINE": "maybe"}, "expected: true or false"),
        ({"DAPR_HARNESS_READY_TIMEOUT": "soon"}, "expected: a number of seconds"),
        ({"DAPR_HARNESS_RUNTIME": "cloud"}, "runtime 'cloud' is not known"),
        ({"DAPR_HARNESS_OTLP": "localhost:4318"}, "otlp is 'localhost:4318'\n.*http://127.0.0.1"),
        ({"DAPR_HARNESS_OTLP": "http://[::1"}, r"otlp is 'http://\[::1'"),
        ({"DAPR_HARNESS_DAPR_VERSION": "v1.18.2"}, "'v1.18.2' is not a version of Dapr"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, environ: dict[str, str], message: str) -> None:
    """With what was expected or meant."""
    with pytest.raises(ConfigError, match=message):
        Settings.load(tmp_path, environ)


def test_wrong_toml_is_named(tmp_path: Path) -> None:
    """The file, and what the parser saw."""
    project(tmp_path, pyproject_toml="[tool")

    with pytest.raises(ConfigError, match=r"pyproject.toml is not valid TOML"):
        Settings.load(tmp_path, {})


def test_a_hermetic_process_inherits_only_a_few_variables(tmp_path: Path) -> None:
    """A hidden input would make runs differ."""
    settings = Settings.load(tmp_path, {"PATH": "/bin", "SECRET": "x", "DAPR_API_TOKEN": "y"})

    assert settings.inherited == {"PATH": "/bin"}


def test_every_setting_is_documented() -> None:
    """One row each in docs/settings.md."""
    text = (ROOT / "docs" / "settings.md").read_text()
    names = set(Settings.__dataclass_fields__) - {"root", "environment"}

    assert [] == [name for name in sorted(names) if f"DAPR_HARNESS_{name.upper()}" not in text]


def test_versions_are_read_from_a_list() -> None:
    """Each once, in the given order; an invalid version is named."""
    assert ["1.18.1", "1.19.0-rc.1"] == dapr_versions("1.18.1, 1.19.0-rc.1,1.18.1")

    for wrong in ("1.18", "latest", "1.18.1,", "1.18.1/../x"):
        with pytest.raises(ConfigError, match=r"is not a version of Dapr\n.*such as 1\.18\.2"):
            dapr_versions(wrong)
