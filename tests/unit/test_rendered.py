"""Rendering into a folder touches what it made, and nothing else."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from harness import App, ConfigError, Postgres, Settings, Topology
from harness.core.ports import FLOOR
from harness.core.rendered import LIST, Rendered
from harness.render.compose.book import PORTS, secret_name
from harness.render.compose.project import SECRETS, Project, read_env
from tests.projects import COMPONENT
from tests.support import project


class Texts(Rendered):
    """Files that are given."""

    def __init__(self, folder: Path, **files: str) -> None:
        self.files = {f"{name}.yaml".replace("__", "/"): text for name, text in files.items()}
        super().__init__(folder, "render again")

    def rendered(self) -> dict[str, str]:
        """As given."""
        return self.files


def everything(folder: Path) -> dict[str, bytes]:
    """Every file by name, but the list of what was rendered."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != LIST)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_files_that_are_no_longer_rendered_are_removed(tmp_path: Path) -> None:
    """With the folders that it leaves empty."""
    Texts(tmp_path, a="1", old__b="2", old__c="3").write()
    (tmp_path / "old" / "mine.txt").write_text("mine")

    kept = Texts(tmp_path, a="1", old__b="2").write().kept
    first = everything(tmp_path)
    (tmp_path / "old" / "mine.txt").unlink()
    Texts(tmp_path, a="1").write()

    assert [] == list(kept)
    assert {"a.yaml", "old/b.yaml", "old/mine.txt"} == set(first)
    assert ["a.yaml"] == [p.name for p in tmp_path.iterdir() if p.name != LIST]


def test_files_changed_by_hand_are_reported_and_kept(tmp_path: Path) -> None:
    """Neither with force: only what was rendered goes."""
    Texts(tmp_path, a="1", b="2").write()
    (tmp_path / "b.yaml").write_text("my work")

    written = Texts(tmp_path, a="1").write(force=True)

    assert [tmp_path / "b.yaml"] == list(written.kept)
    assert b"my work" == everything(tmp_path)["b.yaml"]


@pytest.mark.parametrize("rendered_before", [True, False], ids=["changed", "foreign"])
def test_files_that_were_not_rendered_are_not_overwritten_without_force(
    tmp_path: Path, rendered_before: bool
) -> None:
    """A file of the user's own, or one he has changed: nothing is written, unless by force."""
    if rendered_before:
        Texts(tmp_path, a="1", b="2").write()
    (tmp_path / "b.yaml").write_text("my work")
    before = everything(tmp_path)

    with pytest.raises(ConfigError, match=r"(?s)1 files of .*last seen: b\.yaml.*--force"):
        Texts(tmp_path, a="new", b="new").write()
    after = everything(tmp_path)
    Texts(tmp_path, a="new", b="new").write(force=True)

    assert before == after
    assert {"a.yaml": b"new", "b.yaml": b"new"} == everything(tmp_path)


def test_files_that_already_match_count_as_rendered(tmp_path: Path) -> None:
    """A rendering that was interrupted before its list was written is just repeated."""
    Texts(tmp_path, a="1").write()
    (tmp_path / "a.yaml").write_text("2")

    Texts(tmp_path, a="2").write()
    Texts(tmp_path, a="3").write()

    assert {"a.yaml": b"3"} == everything(tmp_path)


def test_links_do_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    """Links of files or folders, and entries of a forged list."""
    folder, outside = tmp_path / "in", tmp_path / "out"
    project(outside, a_yaml="theirs", sub__a_yaml="theirs")
    folder.mkdir()
    (folder / "a.yaml").symlink_to(outside / "a.yaml")
    with pytest.raises(ConfigError, match="were not rendered"):
        Texts(folder, a="1").write()
    (folder / "sub").symlink_to(outside / "sub")
    with pytest.raises(ConfigError, match="lies outside of"):
        Texts(folder, sub__a="1").write(force=True)
    digest = hashlib.sha256(b"theirs").hexdigest()
    for name in ("../out/a.yaml", str(outside / "a.yaml"), "sub/a.yaml"):
        (folder / LIST).write_text(f"{digest}  {name}\n")
        with pytest.raises(ConfigError, match="lies outside of"):
            Texts(folder).write(force=True)

    assert {"a.yaml": b"theirs", "sub/a.yaml": b"theirs"} == everything(outside)


def test_sha256sum_reads_the_list(tmp_path: Path) -> None:
    """So that a person can see what was changed."""
    Texts(tmp_path, a="grüße", sub__b="2").write()

    done = subprocess.run(["sha256sum", "-c", LIST], cwd=tmp_path, capture_output=True, text=True)

    assert (0, "a.yaml: OK\nsub/b.yaml: OK\n") == (done.returncode, done.stdout)


CONNECTED = COMPONENT[: COMPONENT.index("  type:")] + (
    "  type: state.postgresql\n  version: v2\n  metadata:\n"
    "  - {name: connectionString, value: '${postgres.dsn}'}\n"
)


@pytest.fixture
def composed(tmp_path: Path) -> Project:
    """A compose project of a topology whose component has a password in its own text."""
    root = project(tmp_path, requirements_txt="", c__state_yaml=CONNECTED, pyproject_toml="")
    topology = Topology(
        App("shop", asgi="m:a", requirements="requirements.txt", inbox=False),
        Postgres(), resources="c",
    )  # fmt: skip
    return Project(topology, Settings.load(root), root / "compose")


def test_a_compose_project_leaves_what_others_have_in_its_folder(composed: Project) -> None:
    """Servers, databases, a neighbour's sidecar, whatever they are called."""
    theirs = {
        "shop/mcp_server_py": "print()",
        "db/setup_sql": "create table mine ();",
        "other-daprd/resources/mine_yaml": COMPONENT,
        "notes_txt": "mine",
    }
    project(composed.folder, **{name.replace("/", "__"): text for name, text in theirs.items()})
    before = everything(composed.folder)

    composed.write()
    composed.write()

    assert before.items() <= everything(composed.folder).items()
    assert len(before) == len(theirs)


def test_a_foreign_file_that_a_sidecar_would_load_is_drift(composed: Project) -> None:
    """Folders are mounted as a whole; other files in the folder are ignored."""
    composed.write()
    project(composed.folder, shop__mine_yaml="x", mine_txt="x")
    composed.check_drift()
    (composed.folder / "shop-daprd" / "resources" / "more.yaml").write_text(COMPONENT)

    with pytest.raises(ConfigError, match=r"resources/more\.yaml \(not rendered\)"):
        composed.check_drift()


def test_no_secret_is_rendered_in_clear(composed: Project) -> None:
    """A password inside a component comes from the sidecar's environment, there as a variable."""
    written = composed.write().files
    password = read_env(composed.write_secrets())["POSTGRES_PASSWORD"]
    texts = {path.name: path.read_text() for path in written}

    (state,) = [text for text in texts.values() if "state.postgresql" in text]
    assert "envRef: PUBSUB_CONNECTIONSTRING" in state
    assert "value" not in state
    assert "PUBSUB_CONNECTIONSTRING: postgresql://" in texts["compose.yaml"]
    assert "${POSTGRES_PASSWORD:?see .env.example}" in texts["compose.yaml"]
    assert len(password) > 20
    assert not [name for name, text in texts.items() if "@@" in text or password in text]


def test_secrets_can_be_written_before_the_project(composed: Project) -> None:
    """Nothing is in its folder yet, which does not exist."""
    assert not composed.folder.exists()

    assert read_env(composed.write_secrets())["POSTGRES_PASSWORD"]


def test_secrets_leave_what_others_have_in_the_file(composed: Project) -> None:
    """Other lines of a project's .env are kept; the file is readable only by its owner."""
    composed.write()
    path = composed.folder / SECRETS
    path.write_text("# mine\nMINE=1\nexport OTHER=2\nPOSTGRES_PASSWORD=kept\n")
    path.chmod(0o644)

    composed.write_secrets()
    first = path.read_text()
    composed.write_secrets()

    assert first == path.read_text()
    assert first.startswith("# mine\nMINE=1\nexport OTHER=2\n")
    assert "kept" == read_env(path)["POSTGRES_PASSWORD"]
    assert read_env(path)["DAPR_API_TOKEN"]
    assert 0o600 == path.stat().st_mode & 0o777


def test_secrets_are_read_as_compose_reads_them(composed: Project) -> None:
    """In quotes, after `export`, before a comment; such lines stay as they are."""
    composed.write()
    path = composed.folder / SECRETS
    text = """POSTGRES_PASSWORD="a b # c"  # mine\n  export DAPR_API_TOKEN='kept'\n"""
    path.write_text(text)

    composed.write_secrets()

    found = read_env(path)
    assert ("a b # c", "kept") == (found["POSTGRES_PASSWORD"], found["DAPR_API_TOKEN"])
    assert path.read_text().startswith(text)


def test_an_empty_secret_and_an_image_that_is_not_used_are_replaced(composed: Project) -> None:
    """A line without an end is not joined to the next one."""
    composed.write()
    path = composed.folder / SECRETS
    path.write_text("POSTGRES_PASSWORD=\nOLD_IMAGE=dapr-harness/old:1\nMINE=1")

    composed.write_secrets()

    lines = path.read_text().splitlines()
    assert "MINE=1" == lines[0]
    assert len(read_env(path)["POSTGRES_PASSWORD"]) > 20
    assert "OLD_IMAGE" not in path.read_text()


@pytest.mark.parametrize(
    ("purpose", "name"),
    [
        ("dapr-api", "DAPR_API_TOKEN"),
        ("postgres", "POSTGRES_PASSWORD"),
        ("better-auth-secret", "BETTER_AUTH_SECRET"),
    ],
)
def test_a_secret_is_a_variable_that_says_what_it_is(purpose: str, name: str) -> None:
    """Those of nodes, and those that a topology refers to by `${secret.key}`."""
    assert name == secret_name(purpose)


def test_nothing_else_can_have_a_port_of_a_compose_project() -> None:
    """Neither a stack that is up, nor an outgoing connection: all lie below the ports of both.

    An app shares its network with its sidecar, and may connect before the sidecar listens.
    """
    ephemeral, nodes = 32768, 100

    assert [] == [name for name, port in PORTS.items() if port + nodes > min(FLOOR, ephemeral)]
