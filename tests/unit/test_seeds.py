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

SEEDS = ROOT.parent / "shared" / "seeds"

WRONG = [
    # document, line, what is found there
    (0, 39, "consumer group 'todo-service'"),
    (0, 39, "authType password without saslMechanism"),
    (0, 46, "no `auth.secretStore`"),
    (0, 136, "no `auth.secretStore`"),
    (0, 232, "works in a cluster only"),
    (1, 30, "consumer group 'todo-service-group'"),
    (1, 30, "authRequired is a legacy name"),
    (1, 37, "no `auth.secretStore`"),
    (1, 45, "saslMechanism does not take 'SCRAM-SHA-256'"),
    (1, 121, "no field 'concurrency'"),
    (1, 263, "no field 'namespace'"),
    (2, 121, "consumer group 'todo-service'"),
    (2, 218, "unknown type 'scheduler.kubernetes'"),
    (4, 295, "'ServiceInvocation' is no feature"),
    (4, 297, "'StateStore' is no feature"),
    (4, 299, "'PubSub' is no feature"),
    (4, 301, "'Bindings' is no feature"),
    (4, 303, "'Secrets' is no feature"),
    (4, 322, "authRequired is a legacy name"),
    (4, 374, "`scopes` inside `spec`"),
    (4, 392, "`scopes` inside `spec`"),
    (4, 404, "`scopes` inside `spec`"),
    (4, 633, "queryIndexes needs RediSearch"),
    (4, 956, "no field 'method'"),
    (4, 973, "no field 'method'"),
    (4, 996, "no `auth.secretStore`"),
    (4, 1176, "secrets.json of 'local-secrets' is not there"),
    (4, 1216, "works in a cluster only"),
    (4, 1307, "'pubsub' exists twice"),
    (4, 1314, "lacks the required field 'authType'"),
    (4, 1325, "`auth` inside `spec`"),
    (4, 1458, "no `auth.secretStore`"),
]


def run_lint(*arguments: str) -> tuple[int, list[dict[str, str]]]:
    """Exit code and findings."""
    done = CliRunner().invoke(app, ["lint", *arguments, "--json"])
    return done.exit_code, json.loads(done.stdout)


@pytest.fixture(scope="module")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each document, a file for each of its YAML blocks, lines as in the document."""
    if not SEEDS.is_dir():
        pytest.skip("the seed documents are not beside this repository")
    folder = tmp_path_factory.mktemp("seeds")
    for number, document in enumerate(sorted(SEEDS.glob("*.txt"))):
        (folder / str(number)).mkdir()
        text = document.read_text()
        for block in re.finditer(r"```yaml\n(.*?)```", text, re.DOTALL):
            before = text[: block.start(1)].count("\n")
            if "apiVersion: dapr.io/" in block.group(1):
                file = folder / str(number) / f"{before + 1:04}.yaml"
                file.write_text("\n" * before + block.group(1))
    return folder


@pytest.mark.parametrize(("document", "line", "message"), WRONG)
def test_what_is_wrong_is_found_at_its_line(
    blocks: Path, document: int, line: int, message: str
) -> None:
    """Every error of the seeds that concerns a resource."""
    code, found = run_lint(str(blocks / str(document)))

    there = [each["message"] for each in found if each["place"].endswith(f":{line}")]
    assert any(message in each for each in there), there
    # One document has nothing worse than a field that is ignored.
    assert code == (2 if any(each["severity"] == "error" for each in found) else 0)


def test_nothing_is_found_in_ours() -> None:
    """The reference system's own, with its apps known."""
    assert (0, []) == run_lint()


@pytest.mark.parametrize("folder", ["mtls", "redis", "secrets-file", "stores", "tracing"])
def test_nothing_is_found_in_what_one_may_choose(folder: str) -> None:
    """Each on top of the rest, as a topology has it."""
    assert (0, []) == run_lint("components", f"components/{folder}")


def test_warnings_fail_when_asked_to(tmp_path: Path) -> None:
    """And errors always do."""
    text = (
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\n"
        "spec: {features: [{name: PubSub, enabled: true}]}\n"
    )
    project(tmp_path, c_yaml=text)

    assert 0 == run_lint(str(tmp_path))[0]
    assert 2 == run_lint(str(tmp_path), "--strict")[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """Broken YAML is a finding with its line; what is not there is an error of its own."""
    project(tmp_path, broken_yaml="kind: Component\n  name: x\n")

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
    for rows in yaml.safe_load((ROOT / "docs" / "seeds.yaml").read_text()).values()
    for row in rows
]


def test_the_document_is_rendered_from_its_table() -> None:
    """Neither is edited alone."""
    done = subprocess.run(
        [sys.executable, "-c", "import seeds; print(seeds.render(), end='')"],
        cwd=ROOT / "tools", capture_output=True, text=True,
    )  # fmt: skip

    assert (ROOT / "docs" / "seeds.md").read_text() == done.stdout


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["where"])
def test_a_claim_names_a_test_that_is_there(claim: dict[str, str]) -> None:
    """And a verdict, and lines that the document has."""
    file, _, name = claim["shown"].partition("::")

    if not file.startswith(SOURCE):
        assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    assert claim["verdict"] in {"ok", "note", "alias", "wrong"}
    for place in claim["where"].split():
        assert re.fullmatch(r"S[0-4]:\d+", place)
