"""The same tests on the versions of Dapr that the command line names."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.provision.versions import DAPR
from tests.plugin.conftest import Run
from tests.support import leftovers

pytestmark = pytest.mark.real

PLANS = """
    import pytest

    @pytest.fixture(scope="session")
    def planned(dapr_settings):
        return dapr_settings.runtime, dapr_settings.dapr_version

    def test_planned(planned):
        print("planned", *planned)

    @pytest.mark.dapr_min_version("1.18.1")
    def test_later(planned):
        print("later", *planned)

    def test_without_dapr():
        print("without")
"""
"""Tests that ask for what a stack would be made of, and start none."""


def test_each_test_runs_on_every_version_and_is_skipped_on_those_that_are_too_old(
    inner: Run,
) -> None:
    """Once for each pair of a runtime and a version; what needs no Dapr runs once."""
    result = inner(
        PLANS, "-v", "-s", "-rs", "--dapr-version=1.18.0,1.18.1",
        "--dapr-runtime=processes,containers",
    )  # fmt: skip

    result.assert_outcomes(passed=4 + 2 + 1, skipped=2)
    said = result.stdout.str()
    for runtime in ("processes", "containers"):
        assert f"planned {runtime} 1.18.0" in said
        assert f"planned {runtime} 1.18.1" in said
        assert f"later {runtime} 1.18.1" in said
        assert f"later {runtime} 1.18.0" not in said
    assert "needs Dapr 1.18.1 or later; this is 1.18.0" in said
    assert 1 == said.count("without\n")


def test_the_pinned_version_runs_what_was_asked_for(inner: Run, folder: Path) -> None:
    """By name on the command line; the sidecar says which version it is."""
    result = inner(
        """
        import pytest

        @pytest.mark.dapr_min_version("1.9.0")
        async def test_version(dapr, dapr_version):
            about = await dapr.sidecar("hello").metadata()
            assert dapr_version == about.runtime_version

        @pytest.mark.dapr_min_version("99.0.0")
        async def test_far_away(dapr):
            assert False
        """,
        f"--dapr-version={DAPR}",
    )

    result.assert_outcomes(passed=1, skipped=1)
    assert [] == leftovers(folder)


def test_the_least_version_is_compared_with_what_the_settings_ask_for(
    inner: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And without a setting with the pinned version."""
    test = """
        import pytest

        @pytest.mark.dapr_min_version("1.18.2")
        def test_it(): pass
    """
    inner(test).assert_outcomes(passed=1)
    monkeypatch.setenv("DAPR_HARNESS_DAPR_VERSION", "1.18.1")
    inner(test).assert_outcomes(skipped=1)


@pytest.mark.parametrize("word", ["latest", "v1.18.1", "1.18.1,"])
def test_an_invalid_version_is_rejected(inner: Run, word: str) -> None:
    """Before anything is collected."""
    result = inner("async def test_one(dapr): pass", f"--dapr-version={word}")

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["*is not a version of Dapr*"])


def test_a_marker_without_a_version_is_an_error_of_the_test(inner: Run) -> None:
    """Otherwise it would silently skip nothing."""
    result = inner("""
        import pytest

        @pytest.mark.dapr_min_version()
        def test_it(): pass
    """)

    assert 0 != result.ret
    result.stdout.fnmatch_lines(["*the marker dapr_min_version takes one version*"])


def test_dapr_attach_and_dapr_version_exclude_each_other(inner: Run) -> None:
    """--dapr-attach and --dapr-version exclude each other."""
    result = inner("def test_x(): pass", "--dapr-attach=compose.yaml", "--dapr-version=1.18.1")

    assert pytest.ExitCode.USAGE_ERROR == result.ret
    result.stderr.fnmatch_lines(["*leave out --dapr-version*"])
