"""The linter finds what is wrong with the YAML of the seed documents, each at its line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from harness.cli.commands import app
from tests.support import ROOT, project

MISTAKES = ROOT / "tests" / "unit" / "mistakes.yaml"


def run_lint(*arguments: str) -> tuple[int, list[dict[str, str]]]:
    """Exit code and findings."""
    done = CliRunner().invoke(app, ["lint", *arguments, "--json"])
    return done.exit_code, json.loads(done.stdout)


def test_lint_finds_each_mistake_at_its_line() -> None:
    """Every mistake of the seeds that concerns a resource, and nothing else."""
    marked = [
        (number, text)
        for number, line in enumerate(MISTAKES.read_text().splitlines(), start=1)
        for text in line.split("  # <- ")[1:]
    ]
    code, found = run_lint(str(MISTAKES))
    said = sorted((int(each["place"].rpartition(":")[2]), each["message"]) for each in found)

    assert [line for line, _ in marked] == [line for line, _ in said]
    for line, text in marked:
        assert any(text in message for at, message in said if at == line), (line, text)
    assert 2 == code


def test_lint_finds_nothing_in_the_reference_system() -> None:
    """The reference system's own, with its apps known."""
    assert (0, []) == run_lint()


@pytest.mark.parametrize("folder", ["mtls", "redis", "secrets-file", "stores", "tracing"])
def test_lint_finds_nothing_in_the_optional_components(folder: str) -> None:
    """Each on top of the rest, as a topology has it."""
    assert (0, []) == run_lint("components", f"components/{folder}")


def test_warnings_fail_when_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an option or a setting; errors always do."""
    text = (
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\n"
        "spec: {features: [{name: PubSub, enabled: true}]}\n"
    )
    project(tmp_path, c_yaml=text)

    assert 0 == run_lint(str(tmp_path))[0]
    assert 2 == run_lint(str(tmp_path), "--strict")[0]
    monkeypatch.setenv("DAPR_HARNESS_STRICT", "true")
    assert 2 == run_lint(str(tmp_path))[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Broken YAML is a finding with its line; what is not there is an error of its own."""
    project(tmp_path, broken_yaml="kind: Component\n  name: x\n# of dapr.io/v1alpha1\n")

    code, found = run_lint(str(tmp_path))
    missing = CliRunner().invoke(app, ["lint", str(tmp_path / "nothing")])

    assert 2 == code
    assert found[0]["place"].endswith("broken.yaml:2")
    assert "not valid YAML" in found[0]["message"]
    assert "does not exist" in str(missing.exception)


def test_a_resource_that_exists_twice_for_one_app(tmp_path: Path) -> None:
    """Unless their scopes keep them apart."""
    text = (
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\nspec: {}\n"
        "scopes: [one]\n"
    )
    project(tmp_path, a_yaml=text, b_yaml=text.replace("one", "two"))
    apart = run_lint(str(tmp_path))
    project(tmp_path, c_yaml=text)
    together = run_lint(str(tmp_path))

    assert (0, []) == apart
    assert "exists twice" in together[1][0]["message"]


SOURCE = "source: "
"""What needs a cluster or the Dapr CLI, neither of which is at hand: where it was read."""

CLAIMS = [
    row
    for rows in yaml.safe_load((ROOT / "docs" / "dapr-facts.yaml").read_text()).values()
    for row in rows
]


def test_the_document_is_rendered_from_its_table() -> None:
    """Neither is edited alone."""
    done = subprocess.run(
        [sys.executable, "-c", "import dapr_facts; print(dapr_facts.render(), end='')"],
        cwd=ROOT / "tools", capture_output=True, text=True,
    )  # fmt: skip

    assert (ROOT / "docs" / "dapr-facts.md").read_text() == done.stdout


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["where"])
def test_a_claim_names_a_test_that_is_there(claim: dict[str, str]) -> None:
    """And a verdict, and lines that the document has."""
    file, _, name = claim["shown"].partition("::")

    if not file.startswith(SOURCE):
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    assert claim["verdict"] in {"ok", "note", "alias", "wrong"}
    for place in claim["where"].split():
        assert re.fullmatch(r"S[0-4]:\d+", place)


def test_lint_searches_subfolders(tmp_path: Path) -> None:
    """Each on top of what was named; hidden ones, tools' and others' YAML are left out."""
    wrong = (
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: c}\n"
        "spec: {type: state.nothing, version: v1}\n"
    )
    project(
        tmp_path,
        a__resources__c_yaml=wrong,
        node_modules__c_yaml=wrong,
        hidden__c_yaml=wrong,
        dapr__resources__c_yaml=wrong,
        workflows__ci_yaml="on: push\n",
    )
    (tmp_path / "hidden").rename(tmp_path / ".hidden")
    (tmp_path / "dapr").rename(tmp_path / ".dapr")

    code, found = run_lint(str(tmp_path))

    places = [each["place"].removeprefix(f"{tmp_path}/") for each in found]
    assert 2 == code
    assert [".dapr/resources/c.yaml", "a/resources/c.yaml"] == [p.split(":")[0] for p in places]


def test_a_folder_without_any_resource_is_an_error(tmp_path: Path) -> None:
    """Otherwise a misspelled folder name would always pass."""
    project(tmp_path, workflows__ci_yaml="on: push\n")

    done = CliRunner().invoke(app, ["lint", str(tmp_path)])

    assert 0 != done.exit_code
    assert "no resource was found" in f"{done.output}{done.exception}"
