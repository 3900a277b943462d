"""Resources that a test changes: what it may give, what is refused, and that it is taken back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import App, AsyncWorld, ConfigError, Settings, Stack, Topology
from harness.core.deadline import Deadline
from harness.core.errors import InstanceDied
from harness.core.launch import Launch
from harness.dapr.given import Given, read_given
from harness.dapr.resources import DaprResource
from harness.runtime.fake import FakeRuntime
from harness.stack.planning.declared import Change
from harness.stack.reload.change import ResourceChange
from harness.stack.reload.difference import Difference, Planned, lenient
from harness.stack.reload.refusals import Refusals
from harness.stack.reload.sidecar import Reload
from tests.projects import IN_MEMORY
from tests.support import project
from tests.unit.test_secrets_file import Tools

STORE: dict[str, Any] = {
    "apiVersion": "dapr.io/v1alpha1",
    "kind": "Component",
    "metadata": {"name": "store"},
    "spec": {"type": "state.in-memory", "version": "v1"},
}
TEXT = """
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
spec: {type: state.in-memory, version: v1}
"""


def component(name: str = "store", **more: Any) -> dict[str, Any]:
    return STORE | {"metadata": {"name": name}} | more


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """Two apps whose sidecars have one pub/sub component; its runtime cannot change files."""
    project(tmp_path, r__c_yaml=IN_MEMORY)
    topology = Topology(App("shop", command="true"), App("cart", command="true"), resources="r")
    opened = Stack(topology, Settings.load(tmp_path, {}), Tools(), lambda: FakeRuntime(tmp_path))
    opened._runtime = FakeRuntime(tmp_path / "run")
    opened._start.prepare(opened._runtime, Tools())
    opened._start.instances |= {
        each.name: opened._runtime.start(each) for each in opened._start.launches
    }
    return opened


def names(given: list[DaprResource]) -> list[str]:
    return [each.name for each in given]


@pytest.mark.parametrize("given", ["r/store.yaml", "r", Path("r/store.yaml"), TEXT, STORE], ids=str)
def test_a_resource_can_be_a_file_a_folder_a_text_or_a_mapping(
    tmp_path: Path, given: Given
) -> None:
    project(tmp_path, r__store_yaml=TEXT)

    assert ["store"] == names(read_given([given], tmp_path))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "was given no resource"),
        (["\n---\n\n"], "was given no resource"),
        (["r/missing.yaml"], "missing.yaml"),
        (["kind: [\n"], r"<resource 1>:\d: not valid YAML"),
        ([STORE, "a: 1\nb: {\n"], r"<resource 2>:\d: not valid YAML"),
        (["kind: Deployment\napiVersion: apps/v1\n"], "no resource of kind 'Deployment'"),
        ([component(kind="Componnet")], "no resource of kind 'Componnet'"),
        ([component(spec={"type": object()})], "cannot be written as YAML"),
    ],
)
def test_what_is_no_resource_is_refused(tmp_path: Path, given: list[Given], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_given(given, tmp_path)


@pytest.mark.parametrize(
    ("given", "apps", "message"),
    [
        (STORE, ["shpo"], "no app 'shpo' has a sidecar"),
        (component(scopes=["cart"]), ["shop"], "no sidecar may load Component 'store'"),
        (component(spec={"type": "state.nothing", "version": "v1"}), [], "state.nothing"),
        (
            component(
                spec={
                    "type": "state.in-memory",
                    "version": "v1",
                    "metadata": [{"name": "x", "value": "${nowhere.url}"}],
                }
            ),
            [],
            "'nowhere', which is not a node",
        ),
        (STORE, ["shop"], "the resources of shop-daprd cannot be changed while it runs"),
    ],
    ids=["unknown app", "scopes", "unknown type", "placeholder", "runtime"],
)
def test_a_change_that_is_refused_leaves_nothing(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, given: Given, apps: list[str], message: str
) -> None:
    if "cannot be changed" not in message:
        monkeypatch.setattr("harness.stack.reload.change.require_changeable", lambda *_: None)
    change = ResourceChange(stack, [given], apps)

    with pytest.raises(ConfigError, match=message) as raised:
        change.apply()
    change.take_back_after(raised.value)

    assert [] == stack.book.changes
    assert not hasattr(raised.value, "__notes__")


def test_a_resource_that_no_sidecar_may_load_is_refused_beside_another_one(stack: Stack) -> None:
    other = component("other", scopes=["nobody"])

    with pytest.raises(ConfigError, match="no sidecar may load Component 'other'"):
        ResourceChange(stack, [STORE, other]).apply()


def loaded(stack: Stack, app: str) -> dict[str, str]:
    return {each.name: each.type for each in stack.book.resources(f"{app}-daprd")}


def test_a_change_concerns_its_apps_and_replaces_what_has_the_same_name(stack: Stack) -> None:
    kafka = component("pubsub", spec={"type": "pubsub.redis", "version": "v1"})
    ours = Change(read_given([STORE, kafka], stack.book.root), ["shop"])
    stack.book.changes.append(ours)

    assert {"pubsub": "pubsub.redis", "store": "state.in-memory"} == loaded(stack, "shop")
    assert {"pubsub": "pubsub.in-memory"} == loaded(stack, "cart")


def test_changes_end_in_any_order(stack: Stack) -> None:
    first, second = (
        Change(read_given([component("store", spec={"type": each, "version": "v1"})], Path()))
        for each in ("state.redis", "state.sqlite")
    )
    stack.book.changes.extend([first, second])
    assert "state.sqlite" == loaded(stack, "shop")["store"]

    stack.book.changes.remove(first)
    assert "state.sqlite" == loaded(stack, "shop")["store"]

    stack.book.changes.remove(second)
    assert "store" not in loaded(stack, "shop")


def planned(*bodies: Mapping[str, Any], argv: tuple[str, ...] = ("daprd",)) -> Planned:
    resources = read_given(bodies, Path()) if bodies else []
    files = {f"resources/{each.kind}-{each.name}.yaml": each.text for each in resources}
    return Planned(resources, Launch("shop-daprd", argv, files=files))


ON = ["HotReload"]
ACTORS = [{"name": "actorStateStore", "value": "true"}]


@pytest.mark.parametrize(
    ("body", "features", "reason"),
    [
        (STORE, ON, ""),
        (component(kind="Subscription"), ON, ""),
        (STORE, [], "HotReload off"),
        (component(kind="Resiliency"), ON, "starts again by itself to load a Resiliency"),
        (component(kind="HTTPEndpoint"), ON, "starts again by itself to load an HTTPEndpoint"),
        (component(kind="Configuration"), ON, "reads a Configuration only when it starts"),
        (component(kind="MCPServer"), ON, "does not show when a MCPServer is loaded"),
        (component(spec=STORE["spec"] | {"metadata": ACTORS}), ON, "state store of actors"),
    ],
    ids=[
        "Component",
        "Subscription",
        "no HotReload",
        "Resiliency",
        "HTTPEndpoint",
        "Configuration",
        "MCPServer",
        "actors",
    ],
)
def test_why_a_sidecar_is_restarted(
    body: Mapping[str, Any], features: list[str], reason: str
) -> None:
    """For what comes and for what goes."""
    for difference in (Difference(planned(), planned(body)), Difference(planned(body), planned())):
        said = difference.restarts(features)
        assert reason in said
        assert bool(reason) == bool(said)


def test_a_sidecar_whose_command_line_changes_is_restarted() -> None:
    difference = Difference(planned(STORE), planned(STORE, argv=("daprd", "--config=x")))

    assert difference
    assert "command line" in difference.restarts(ON)


def test_a_difference_of_equal_plans_is_none() -> None:
    assert not Difference(planned(STORE), planned(STORE))


def test_a_component_that_fails_would_end_daprd_unless_errors_are_ignored() -> None:
    assert "ignoreErrors: true" in lenient(TEXT)
    assert "ignoreErrors" not in lenient(TEXT.replace("Component", "Subscription"))


IGNORED = "Ignoring error processing component: process component"
FATAL = "Error processing component, daprd will exit gracefully: process component"
LINES = {
    "logfmt": f'time="1" level=error msg="{IGNORED} store error: no \\"db\\""',
    "json": f'{{"level":"error","msg":"{IGNORED} store error: no","a":"b"}}',
    "fatal": f'level=warning msg="{FATAL} store error: no"',
    "nameless": 'level=error msg="error closing old component: timeout"',
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_daprds_refusal_is_found_in_its_log(tmp_path: Path, line: str) -> None:
    log = tmp_path / "log"
    log.write_text(line + "\n")
    refusals = Refusals(log, Difference(planned(), planned(STORE)))
    assert not refusals.seen(), "it was there before the change"

    with log.open("a") as file:
        file.write(f"level=info msg=hello\n{line}\n")

    said = refusals.seen()
    assert said.startswith((f"{IGNORED} store", f"{FATAL} store", "error closing old"))
    assert refusals.is_fatal(said) == ("will exit" in line)


@pytest.mark.parametrize(
    "line",
    [
        f'level=error msg="{IGNORED} store2 error: no"',
        f'level=error msg="{IGNORED} my-store error: no"',
        'level=error msg="Error consuming [store]. Retrying..."',
        'level=info msg="Component loaded: store (state.x/v1)"',
        # What follows says whether daprd goes on.
        'level=error msg="Failed to init component store (state.x/v1): no"',
    ],
)
def test_what_is_said_of_other_resources_or_decides_nothing_is_no_refusal(
    tmp_path: Path, line: str
) -> None:
    log = tmp_path / "log"
    log.touch()
    refusals = Refusals(log, Difference(planned(), planned(STORE)))
    log.write_text(line + "\n")

    assert not refusals.seen()


def test_a_sidecar_that_is_about_to_exit_is_awaited(tmp_path: Path, stack: Stack) -> None:
    """It still answers; one that is changed back meanwhile would exit afterwards."""
    log = tmp_path / "log"
    log.touch()
    difference = Difference(planned(), planned(STORE))
    refusals = Refusals(log, difference)
    log.write_text(f'level=warning msg="{FATAL} store error: no"\n')
    looks: list[bool] = []

    def check_alive() -> None:
        looks.append(True)
        if len(looks) > 3:
            raise InstanceDied("shop-daprd exited")

    reload = object.__new__(Reload)
    vars(reload).update(
        _stack=SimpleNamespace(check_alive=check_alive), _deadline=Deadline(5), _name="shop-daprd",
        _difference=difference,
    )  # fmt: skip

    with pytest.raises(InstanceDied):
        reload._wait(None, lambda _: [], refusals)  # type: ignore[arg-type]  # it is not asked


class Recorded:
    """Takes the place of what changes sidecars, and records what it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()
        monkeypatch.setattr(ResourceChange, "_reload", self._reload)
        monkeypatch.setattr("harness.stack.reload.change.require_changeable", lambda *_: None)

    def _reload(self, sidecars: object, old: dict[str, Planned], new: dict[str, Planned]) -> Any:
        assert sidecars
        grows = len(new["shop-daprd"].resources) > len(old["shop-daprd"].resources)
        self.begun.set()
        assert self.may_end.wait(30)
        self.calls.append("applied" if grows else "taken back")
        return {}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    return Recorded(monkeypatch)


async def test_a_test_that_is_cancelled_while_a_change_is_applied_has_it_taken_back(
    stack: Stack, recorded: Recorded
) -> None:
    recorded.may_end.clear()

    async def use() -> None:
        async with AsyncWorld(stack).resources(STORE):
            pytest.fail("the block was entered")

    task = asyncio.create_task(use())
    await asyncio.to_thread(recorded.begun.wait, 30)
    task.cancel()
    recorded.may_end.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert ["applied", "taken back"] == recorded.calls
    assert [] == stack.book.changes


async def test_a_world_that_is_left_takes_back_what_was_not(
    stack: Stack, recorded: Recorded
) -> None:
    """Such as by a fixture that does not leave the block."""
    world = AsyncWorld(stack)
    await world.resources(STORE).__aenter__()

    await world.aclose()

    assert ["applied", "taken back"] == recorded.calls


async def test_a_failure_to_take_back_is_told_with_the_failure_of_the_test(
    stack: Stack, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: object) -> None:
        raise ConfigError("daprd has gone")

    async def use() -> None:
        async with AsyncWorld(stack).resources(STORE):
            monkeypatch.setattr(ResourceChange, "take_back", failing)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        await use()

    assert "could not be changed back: daprd has gone" in raised.value.__notes__[0]
