"""How the runner of foreign run files judges their results."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compat.corpus import judged, read_replacements, run_files
from tests.support import project

UP = "2 apps are up after 1.20 s; Ctrl-C stops all\n"


@pytest.mark.parametrize(
    ("code", "said", "changed", "verdict", "why"),
    [
        (0, UP, False, "unmodified", ""),
        (130, f"hello\n{UP}== APP == done\n", False, "unmodified", ""),
        (-15, f"{UP}shop has exited with code 0\n", False, "unmodified", ""),
        (0, UP, True, "addresses changed", ""),
        (
            0,
            "1 of 2 apps are up after 1.20 s\n",
            False,
            "not up in time",
            "1 of 2 apps are up after",
        ),
        (130, "starting\nwaiting\n", False, "not up in time", "waiting"),
        (
            1,
            f"{UP}shop exited with code 3 while\n",
            False,
            "an app failed",
            "shop exited with code 3 while",
        ),
        (
            0,
            f"{UP}shop was killed by signal 9\n",
            False,
            "an app failed",
            "shop was killed by signal 9",
        ),
        (0, f"{UP}shop exited with code 0\n", False, "unmodified", ""),
        (2, "error: a.yaml:3: is no port\n", False, "refused", "error: a.yaml:3: is no port"),
        (4, "nothing\nError: broken\n", False, "an app failed", "Error: broken"),
    ],
)
def test_a_run_is_judged_by_its_end_and_by_what_it_said(
    code: int, said: str, changed: bool, verdict: str, why: str
) -> None:
    """The exit code first, then apps that ended badly, then those that were not up."""
    row = judged("a.yaml", code, said, changed=changed)

    assert (verdict, why) == (row.verdict, row.why)


def test_run_files_are_known_by_their_list_of_apps(tmp_path: Path) -> None:
    """Other YAML, files that are broken and what dependencies bring along are left out."""
    project(
        tmp_path,
        a__dapr_yaml="version: 1\napps:\n- appID: a\n",
        b__run_yml="version: 1\napps: []\n",
        c__component_yaml="kind: Component\n",
        d__broken_yaml="a: [\n",
        node_modules__x__dapr_yaml="version: 1\napps: []\n",
    )

    assert ["a/dapr.yaml", "b/run.yml"] == [
        str(path.relative_to(tmp_path)) for path in run_files(tmp_path)
    ]


def test_replacements_are_read_from_toml(tmp_path: Path) -> None:
    """Text by text; none without a file."""
    project(tmp_path, r_toml='[replace]\n"localhost:6379" = "127.0.0.1:7000"\n')

    assert {"localhost:6379": "127.0.0.1:7000"} == read_replacements(tmp_path / "r.toml")
    assert {} == read_replacements(None)
