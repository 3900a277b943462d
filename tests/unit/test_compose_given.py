"""What is taken for a compose file where the name of a stack can be given, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import ConfigError, Unavailable
from harness.render.compose.given import compose_file, with_packages


@pytest.mark.parametrize("given", ["compose.yaml", "compose/compose.yml", "other/project.txt"])
def test_a_file_that_exists_is_a_compose_file(given: str, tmp_path: Path) -> None:
    (tmp_path / given).parent.mkdir(exist_ok=True)
    (tmp_path / given).touch()

    assert tmp_path / given == compose_file(given, tmp_path)


def test_the_name_of_a_stack_is_one_although_a_file_has_it(tmp_path: Path) -> None:
    (tmp_path / "default").touch()

    assert compose_file("default", tmp_path) is None


@pytest.mark.parametrize("given", ["none.yaml", "compose/none.yml"])
def test_a_missing_file_is_named_with_the_command_that_writes_one(
    given: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"{given} does not exist") as refused:
        compose_file(given, tmp_path)

    assert "render compose" in refused.value.hint


def test_packages_that_are_missing_are_named_with_their_extra() -> None:
    with pytest.raises(Unavailable, match="for a compose file") as refused, with_packages("x"):
        raise ImportError("No module named 'docker'")

    assert "dapr-harness[containers]" in refused.value.hint
