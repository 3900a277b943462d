"""Images come from a registry that can be reached: a stack's, the command's, and the tests'."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from harness.core.errors import HarnessError, Unavailable
from harness.core.settings import Settings
from harness.provision.images import variable
from harness.provision.progress import Quiet
from harness.stack.images import Images
from tests.engine import NEEDED, engine_obstacle
from tests.provision import REQUIRED_IMAGES, pull_images
from tests.registry import registry
from tests.support import ROOT, cli, environment

pytestmark = pytest.mark.real

NOWHERE = "127.0.0.1:9/no"
USES_IMAGES = "tests/contract/test_engine.py::test_an_image_that_is_missing_offline"
"""A short test with the fixture `images`."""


class Registry:
    """A registry that has every image, and what the engine got from it."""

    def __init__(self, images: Images, address: str, asked: list[str], mark: str) -> None:
        self._images, self._address, self.asked, self._mark = images, address, asked, mark
        self._named: set[str] = set()

    def image(self, name: str) -> str:
        """The reference of an image; removed from the engine after the test."""
        self._named.add(reference := f"{self._address}/{name}:1")
        return reference

    def pulled(self) -> set[str]:
        """The references that the engine now has, with the mark of this registry's image."""
        return {
            each
            for each in self._named
            if self._images.engine.labels(each).get("mark") == self._mark
        }

    def close(self) -> None:
        """Remove what was pulled."""
        if pulled := self.pulled():
            subprocess.run(["docker", "rmi", *pulled], capture_output=True, check=True)


@pytest.fixture
def reachable(images: Images) -> Iterator[Registry]:
    """A registry of this test's own."""
    mark = uuid4().hex
    with registry(images.engine.platform, {"mark": mark}) as (address, asked):
        made = Registry(images, address, asked, mark)
        yield made
        made.close()


def chosen(references: dict[str, str]) -> dict[str, str]:
    """The environment that chooses these images."""
    return {variable(name): reference for name, reference in references.items()}


def suite(folder: Path, ci: str, references: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A test of this suite that uses images, in a pytest of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-v", USES_IMAGES], cwd=ROOT,
        env=environment(folder, CI=ci, **chosen(references)), capture_output=True, text=True,
    )  # fmt: skip


def test_a_missing_image_is_pulled_from_its_registry(images: Images, reachable: Registry) -> None:
    """By its name, with its labels and for this processor; a second time, nobody is asked."""
    wanted = reachable.image("kafka")
    settings = Settings.load(images={"kafka": wanted})

    first = Images(settings, engine=images.engine).reference("kafka")
    asked = list(reachable.asked)
    again = Images(settings, engine=images.engine).reference("kafka")

    assert first == again == wanted
    assert {wanted} == reachable.pulled()
    assert {"kafka"} == set(asked)
    assert asked == reachable.asked


def test_what_the_tests_need_is_pulled_before_the_first(
    tmp_path: Path, reachable: Registry
) -> None:
    """Every image that the engine lacks, so that no test is skipped where a registry answers."""
    references = {name: reachable.image(name) for name in NEEDED}

    done = suite(tmp_path, "true", references)

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    before_the_test = done.stdout.partition(USES_IMAGES)[0]
    assert [] == [each for each in references.values() if f"pull {each}:" not in before_the_test]
    assert set(references.values()) == reachable.pulled()


def test_an_image_that_no_registry_has_skips_the_tests_with_one_line(
    tmp_path: Path, images: Images, reachable: Registry
) -> None:
    """Which ones are missing and what to run; those that one of them has are pulled."""
    references = {name: reachable.image(name) for name in NEEDED}

    done = suite(tmp_path, "", {**references, "kafka": f"{NOWHERE}/kafka:1"})

    assert 0 == done.returncode, done.stdout + done.stderr
    (line,) = [each for each in done.stdout.splitlines() if each.startswith("SKIPPED")]
    assert "images are missing: kafka; no registry has them; run `dapr-harness images " in line
    assert set(references.values()) - {references["kafka"]} == reachable.pulled()


def test_without_an_engine_nothing_is_pulled_and_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests are skipped with that reason."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'nowhere.sock'}")

    pull_images(Settings.load(), Quiet(), NEEDED)

    assert "no container engine answers" in engine_obstacle()


def test_without_an_engine_a_required_image_is_an_error_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Required is what a variable names, and only for tests that need it."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'nowhere.sock'}")
    monkeypatch.setenv(REQUIRED_IMAGES, "redpanda postgres")

    pull_images(Settings.load(), Quiet(), {"kafka"})

    with pytest.raises(Unavailable, match="no container engine answers"):
        pull_images(Settings.load(), Quiet(), {"kafka", "redpanda"})


def of_redpanda(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The tests that speak to Redpanda, on CI, with an image that no registry has."""
    test = "tests/contract/test_redpanda.py::test_the_scenarios_pass_on_redpanda"
    chosen_image = chosen({"redpanda": f"{NOWHERE}/redpanda:1"})
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", test], cwd=ROOT,
        env=environment(folder, CI="true", **chosen_image, **variables),
        capture_output=True, text=True,
    )  # fmt: skip


def test_without_an_engine_a_job_that_requires_redpanda_fails(tmp_path: Path) -> None:
    """Before the first test, with the reason."""
    nowhere = f"unix://{tmp_path / 'nowhere.sock'}"

    done = of_redpanda(tmp_path, DOCKER_HOST=nowhere, REQUIRED_IMAGES="redpanda")

    assert 3 == done.returncode, done.stdout + done.stderr
    assert "what the tests need cannot be installed: no container engine answers" in (
        done.stdout + done.stderr
    )


@pytest.mark.usefixtures("images")
def test_redpandas_tests_are_skipped_without_its_image_unless_it_is_required(
    tmp_path: Path,
) -> None:
    """On CI too; where it is required, the error names the image and the registry's reason."""
    skipped = of_redpanda(tmp_path)
    failed = of_redpanda(tmp_path, REQUIRED_IMAGES="redpanda")

    assert (0, True) == (skipped.returncode, "1 skipped" in skipped.stdout), skipped.stdout
    assert failed.returncode not in (0, 5), failed.stdout
    assert f"{NOWHERE}/redpanda:1" in failed.stdout + failed.stderr
    assert "skipped" not in failed.stdout


@pytest.mark.usefixtures("images")
def test_one_required_image_that_cannot_be_pulled_is_an_error_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error is the one of its own pull."""
    for name in ("kafka", "redpanda"):
        monkeypatch.setenv(variable(name), f"{NOWHERE}/{name}:1")

    pull_images(Settings.load(), Quiet(), {"kafka", "redpanda"})
    monkeypatch.setenv(REQUIRED_IMAGES, "redpanda")

    with pytest.raises(HarnessError, match="redpanda:1"):
        pull_images(Settings.load(), Quiet(), {"kafka", "redpanda"})


def test_images_are_pulled_or_else_built(tmp_path: Path, reachable: Registry) -> None:
    """`images build --pull`: nothing is built that was pulled, and the rest is tried."""
    references = {"kafka": reachable.image("kafka"), "redpanda": f"{NOWHERE}/redpanda:1"}

    done = cli(tmp_path, "images", "build", "--pull", *references, env=chosen(references))

    refused, not_built = done.stdout.splitlines()
    assert {references["kafka"]} == reachable.pulled()
    assert refused.startswith(f"redpanda   could not be pulled: the image {NOWHERE}/redpanda:1")
    assert "redpanda   could not be built: the image redpanda cannot be built here" == not_built
    assert 3 == done.returncode
