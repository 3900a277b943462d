"""The reference system in a real cluster, installed by Helm and by kubectl, and used."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from harness.nodes.dapr_cluster import DaprClusterNode
from tests.kubernetes.clusters import obstacle, run
from tests.kubernetes.rolling import roll
from tests.kubernetes.system import (
    CHART,
    MANIFESTS,
    SYSTEM,
    TOKEN,
    OnNode,
    install,
    secrets,
    system,
)
from tests.support import environment

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

REFUSED = "No route to host"
SOON = 30_000
"""Milliseconds that the page may take to show something."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnNode]:
    """A cluster with Dapr, a broker and a database; skips the tests where none runs."""
    if reason := obstacle(DaprClusterNode):
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("reference")
    with system(environment(folder), "reference", folder) as made:
        yield made


@pytest.fixture
def installed(node: OnNode, helm: Path) -> Iterator[None]:
    """Our chart, installed by Helm itself."""
    values = {f"secrets.{key}": value for key, value in secrets()[SYSTEM].items()}
    values |= {"secrets.daprApiToken": TOKEN, "secrets.appApiToken": TOKEN}
    words = [word for each in values.items() for word in ("--set-string", "=".join(each))]
    ask = [str(helm), "-n", SYSTEM, "--kubeconfig", str(node.kubeconfig)]
    subprocess.run([*ask, "install", SYSTEM, str(CHART), *words], check=True)
    node.wait()
    yield
    subprocess.run([*ask, "uninstall", SYSTEM], check=True)
    # A node that is full of pods that end has no room for others.
    node.kubectl("wait", "--for=delete", "pods", "-l", f"app.kubernetes.io/part-of={SYSTEM}")


@pytest.fixture(scope="module")
def applied(node: OnNode) -> None:
    """Our manifests, as they are committed."""
    install(node)


@contextmanager
def page(node: OnNode) -> Iterator[Page]:
    """A user's page in Chromium, open and live; its scripts must not cause errors."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed; tools/browser installs Debian's")
    errors: list[str] = []
    with node.forwarded("service/frontend", ":80") as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        opened = browser.new_page()
        opened.set_default_timeout(SOON)
        opened.on("pageerror", lambda error: errors.append(str(error)))
        opened.goto(f"http://{address}")
        opened.locator("#sign-in").get_by_label("Name").fill("ada")
        opened.get_by_role("button", name="Sign in").click()
        expect(opened.locator("#live")).to_have_text("live", timeout=SOON)
        yield opened
        browser.close()
    assert [] == errors


def use(opened: Page) -> None:
    """A task of a series is added and done, and the next one appears; all of it is notified."""
    form, task = opened.locator("#new-task"), opened.locator("#tasks li")
    form.get_by_label("Repeats").select_option("daily")
    form.get_by_label("Title").fill("Water the plants")
    form.get_by_label("Due").fill("2030-01-31T09:00")
    form.get_by_role("button", name="Add").click()
    expect(task).to_contain_text("Jan 31, 2030", timeout=SOON)
    opened.get_by_role("button", name="Done: Water the plants").click()
    expect(task).to_contain_text("Feb 1, 2030", timeout=SOON)
    created, completed = "Task created: Water the plants", "Task completed: Water the plants"
    news = opened.locator("#news li")
    expect(news).to_have_text([created, completed, created], timeout=SOON)


def remind(opened: Page) -> None:
    """A reminder that is due in two seconds is shown."""
    soon = datetime.now(UTC) + timedelta(seconds=2)
    local = soon - timedelta(minutes=opened.evaluate("new Date().getTimezoneOffset()"))
    form = opened.locator("#new-task")
    form.get_by_label("Title").fill("Call Ada")
    form.get_by_label("Remind").fill(f"{local:%Y-%m-%dT%H:%M:%S}")
    form.get_by_role("button", name="Add").click()
    expect(opened.locator("#news")).to_contain_text("Reminder: Call Ada", timeout=SOON)


def test_what_helm_installs_is_used_by_its_page(node: OnNode, installed: None) -> None:
    """Helm itself, on the chart as it is committed; a task passes through all four apps."""
    with page(node) as opened:
        use(opened)


def test_applied_manifests_are_used_by_their_page(node: OnNode, applied: None) -> None:
    """As they are committed; a reminder passes through Dapr's jobs or a cron binding, too."""
    with page(node) as opened:
        remind(opened)


@pytest.mark.parametrize(
    ("who", "whom", "told"),
    [
        ("notification-service", ("postgres", 5432), "connected"),
        ("recurring-task-service", ("postgres", 5432), REFUSED),
        ("recurring-task-service", ("broker", 9092), "connected"),
        ("recurring-task-service", ("backend-service", 80), REFUSED),
        ("frontend", ("notification-service", 80), REFUSED),
    ],
)
def test_apps_of_the_system_reach_only_what_they_use(
    node: OnNode, applied: None, who: str, whom: tuple[str, int], told: str
) -> None:
    """By the policies as they are rendered, in force: the page was used with them, too."""
    ask = f"import socket; socket.create_connection({whom!r}, 9); print('connected')"
    try_it = f"try: {ask!s}\nexcept OSError as error: print(error)"
    words = ("exec", f"deployment/{who}", "-c", "app", "--", "python3", "-c", try_it)

    assert told in node.kubectl(*words)


def test_no_event_is_lost_while_pods_are_replaced(node: OnNode, applied: None) -> None:
    """Of the app that handles all of them; `make rolling` replaces those of each app."""
    seen = roll(node, events=20, requests=1, apps=["notification-service"])

    assert seen.published
    assert seen.completed
    assert [] == seen.lost


def test_a_cluster_with_dapr_validates_the_manifests_and_injects_sidecars(
    node: OnNode, applied: None, tmp_path: Path
) -> None:
    """A pod of each app is accepted with its sidecar; none of them is created."""
    shown = validated(node, tmp_path)

    assert 4 == shown.count("-validated\n")
    assert "refused" not in shown
    assert "-validated" not in node.kubectl("get", "pods", "-o", "name")


def test_a_cluster_with_another_version_of_dapr_is_told(
    node: OnNode, applied: None, tmp_path: Path
) -> None:
    """By the sidecar that its injector adds."""
    told = validated(node, tmp_path, code=3, DAPR_HARNESS_DAPR_VERSION="1.17.4")

    assert "error: the cluster of context 'mine' has Dapr 1.18.2" in told
    assert "expected: Dapr 1.17" in told


def test_an_account_without_permission_is_told(node: OnNode, applied: None, tmp_path: Path) -> None:
    """At the first object, with what it lacks."""
    user = {"token": node.kubectl("create", "token", "frontend").strip()}

    told = validated(node, tmp_path, user=user, code=3)

    assert "error: context 'mine' has no permission to patch" in told


def test_a_client_certificate_is_accepted(node: OnNode, applied: None, tmp_path: Path) -> None:
    names = {"client-certificate": "client.crt", "client-key": "client.key"}
    user = {key: str(node.kubeconfig.with_name(name)) for key, name in names.items()}

    assert "refused" not in validated(node, tmp_path, user=user)


def validated(
    node: OnNode, folder: Path, *, user: dict[str, str] | None = None, code: int = 0, **more: str
) -> str:
    """What is said of the manifests by the cluster, as a user of it asks."""
    body = json.loads(node.kubeconfig.read_text())
    body["contexts"][0]["name"] = "mine"
    body["users"][0]["user"] = user or body["users"][0]["user"]
    (folder / "config").write_text(json.dumps(body))
    place = {**node.place, "KUBECONFIG": str(folder / "config"), **more}
    done = run(place, "validate", "k8s", str(MANIFESTS), "--context", "mine", code=code)
    return done.stdout if not code else " ".join(done.stderr.split())
