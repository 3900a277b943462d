"""A stack starts in order, ends completely, and reports the failure that explains the others."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from harness import (
    App,
    AppFailed,
    ConfigError,
    InstanceDied,
    LaunchError,
    NotReady,
    PortTaken,
    Settings,
    Stack,
    TeardownError,
    Topology,
)
from harness.core.endpoint import Endpoint
from harness.core.launch import Launch
from harness.core.node import Node, Scope
from harness.runtime.fake import FakeRuntime, Script
from harness.stack.book import AddressBook
from harness.stack.world import World
from tests.projects import IN_MEMORY
from tests.support import Fake, ScriptedCheck, project
from tests.unit.test_secrets_file import Tools

NEVER = (ScriptedCheck("never", after=None),)


class NoTools:
    """Nothing is installed, and nothing is asked for."""

    def provide(self, nodes: Sequence[Node], root: Path) -> None:
        """Fakes are made of nothing."""

    def version(self, tool: str) -> str:
        return ""

    def path(self, tool: str) -> Path:
        raise AssertionError(tool)

    def daprd(self, types: object) -> Path:
        raise AssertionError(types)


def stack_of(
    folder: Path, *nodes: Node, scripts: Mapping[str, Script] | None = None, **given: Any
) -> tuple[Stack, list[FakeRuntime]]:
    """A stack on fake runtimes, and the runtimes that it makes."""
    made: list[FakeRuntime] = []

    def runtime() -> FakeRuntime:
        made.append(FakeRuntime(folder / str(len(made)), scripts))
        return made[-1]

    settings = Settings.load(folder, {}, **given)
    return Stack(Topology(*nodes), settings, NoTools(), runtime), made


def test_a_strict_start_refuses_what_lint_warns_of(tmp_path: Path) -> None:
    """Before anything runs."""
    project(tmp_path, r__c_yaml=IN_MEMORY + "scopes: [nobody]\n")
    settings = Settings.load(tmp_path, {}, strict=True)
    topology = Topology(App("a", command="true"), resources="r")
    stack = Stack(topology, settings, Tools(), lambda: FakeRuntime(tmp_path / "run"))

    with pytest.raises(ConfigError, match="the scope 'nobody' is not an app of this topology"):
        stack.start()


def test_a_node_starts_after_what_it_needs(tmp_path: Path) -> None:
    """Needs come from the node and from its placeholders."""
    stack, made = stack_of(
        tmp_path,
        Fake("c", text="${b.url}"),
        Fake("b", needs=("a",), values={"url": "x"}),
        Fake("a", scripted=(ScriptedCheck(after=3),)),
    )

    with stack:
        assert made[0].events == ["started a", "started b", "started c"]


def test_journal_entries_reach_the_run_while_it_is_up(tmp_path: Path) -> None:
    """For the other clients of a stack that is up."""
    stack, made = stack_of(tmp_path, Fake("a"))

    with stack:
        kinds = [(each.kind, each.node) for each in made[0].journal]

    assert ("node.ready", "a") in kinds
    assert stack.took > 0


@dataclass(frozen=True)
class Concluding(Fake):
    """It is told of the end."""

    told: Callable[[str], None] = print

    def before_stop(self, scope: Scope) -> None:
        self.told("before")

    def conclude(self, scope: Scope) -> str:
        self.told("conclude")
        return "3 spans could not be sent"


def test_a_node_can_conclude_when_dependents_have_stopped_and_its_warning_is_noted(
    tmp_path: Path,
) -> None:
    """It still runs then, and everything runs at its first call."""
    seen: list[tuple[str, list[str]]] = []

    def told(what: str) -> None:
        seen.append((what, made[0].events[2:]))

    stack, made = stack_of(tmp_path, Concluding("a", told=told), Fake("b", needs=("a",)))

    with stack:
        assert [] == seen

    assert [("before", []), ("conclude", ["stopped b"])] == seen
    warned = [(each.node, each.facts) for each in stack.journal if each.kind == "node.warned"]
    assert [("a", {"warning": "3 spans could not be sent"})] == warned


def test_closing_a_stack_stops_dependents_first(tmp_path: Path) -> None:
    """What needs something else goes before it."""
    stack, made = stack_of(tmp_path, Fake("a"), Fake("b", needs=("a",)))

    with stack:
        pass
    stack.close()

    assert made[0].events[2:] == ["stopped b", "killed a", "closed"]


def test_a_failure_during_the_start_stops_what_was_started(tmp_path: Path) -> None:
    """And the ones that wait for it never start."""
    stack, made = stack_of(
        tmp_path,
        Fake("a"),
        Fake("b", needs=("a",)),
        Fake("c", needs=("b",)),
        scripts={"b": Script(refuse="no such file")},
    )

    with pytest.raises(LaunchError, match="no such file"):
        stack.start()

    assert made[0].events == ["started a", "killed a", "closed"]


def test_an_exit_is_reported_instead_of_the_timeouts_it_causes(tmp_path: Path) -> None:
    """The dead node is reported, at once, with its code and its last lines."""
    stack, _ = stack_of(
        tmp_path,
        Fake("waits", scripted=NEVER),
        Fake("dead", scripted=NEVER),
        scripts={"dead": Script(exit_code=7, output="boom\n")},
    )

    with pytest.raises(InstanceDied, match=r"dead exited with code 7(.|\n)*boom") as caught:
        stack.start()

    assert caught.value.logs == {"waits": "", "dead": "boom"}  # type: ignore[attr-defined]


def test_the_exit_of_an_app_is_a_system_failure(tmp_path: Path) -> None:
    """An AssertionError, so that pytest says FAILED."""
    stack, _ = stack_of(
        tmp_path,
        Fake("app", under_test=True, scripted=NEVER),
        scripts={"app": Script(exit_code=1, output="Traceback ...\nImportError: x\n")},
    )

    with pytest.raises(AppFailed, match="ImportError: x"):
        stack.start()


def test_a_failed_readiness_check_is_named_with_the_last_fact(tmp_path: Path) -> None:
    """Node, check, fact, budget and next step."""
    stack, _ = stack_of(tmp_path, Fake("a", scripted=NEVER), ready_timeout=0.05)

    with pytest.raises(NotReady, match=r"a did not pass the readiness check 'never'") as caught:
        stack.start()

    assert caught.value.budget == 0.05
    assert caught.value.last.startswith("look ")


def test_a_node_that_is_not_ready_is_blamed_for_what_waits_for_it(tmp_path: Path) -> None:
    """The app's budget begins anew with the start of "late", so its sidecar's ends first."""
    stack, _ = stack_of(
        tmp_path,
        Fake("other", scripted=(ScriptedCheck(after=30),)),
        Fake("late", needs=("other",)),
        Fake(
            "app",
            needs=("other",),
            under_test=True,
            scripted=(ScriptedCheck("health", after=None, waits_for="late"),),
        ),
        Fake("app-daprd", scripted=(ScriptedCheck("app", after=None, waits_for="app"),)),
        scripts={"app": Script(output="still compiling\n")},
        ready_timeout=1,
    )

    with pytest.raises(AppFailed, match=r"app did not pass the readiness check 'health'") as caught:
        stack.start()

    assert "still compiling" in caught.value.last


def test_a_taken_port_repeats_the_start_with_other_ports(tmp_path: Path) -> None:
    """Three attempts, each on a runtime of its own."""
    script = {"a": Script(exit_code=1, output="bind: address already in use\n")}
    stack, made = stack_of(tmp_path, Fake("a", scripted=NEVER), scripts=script)

    with pytest.raises(PortTaken):
        stack.start()

    assert [runtime.events[-1] for runtime in made] == ["closed"] * 3


def test_an_external_node_is_waited_for_and_left_alone(tmp_path: Path) -> None:
    """Somebody else starts and stops it."""
    stack, made = stack_of(
        tmp_path,
        Fake("a", external=True, scripted=(ScriptedCheck(after=3),)),
        Fake("b", needs=("a",)),
    )

    with stack:
        kinds = [each.kind for each in stack.journal if each.node == "a"]
        with pytest.raises(ConfigError, match="a is external: the stack has not started it"):
            stack.restart("a")

    assert ["node.awaited", "check.passed", "node.ready"] == kinds
    assert ["left a", "started b", "stopped b", "closed"] == made[0].events


def test_an_external_node_that_does_not_come_is_named_with_the_next_step(tmp_path: Path) -> None:
    """It has no log to look at."""
    stack, _ = stack_of(tmp_path, Fake("a", external=True, scripted=NEVER), ready_timeout=0.2)

    with pytest.raises(NotReady, match="a did not pass the readiness check 'never'") as caught:
        stack.start()

    assert caught.value.hint.startswith("start it with the environment that was printed")


@pytest.mark.parametrize("port", ["main", "http"])
def test_a_taken_port_that_the_topology_specifies_is_an_error_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, port: str
) -> None:
    """Of an app or of a sidecar: no other number can take its place."""
    stack, made = stack_of(tmp_path, Fake("a-daprd", fixed_ports={port: 8000}))

    def taken(_runtime: FakeRuntime, wanted: int | None = None) -> Endpoint:
        raise PortTaken("somebody has it", port=wanted or 0)

    monkeypatch.setattr(FakeRuntime, "reserve", taken)

    with pytest.raises(PortTaken):
        stack.start()

    assert [["closed"]] == [runtime.events for runtime in made]


def test_a_cycle_of_placeholders_starts_nothing(tmp_path: Path) -> None:
    """It is found when everything is planned."""
    stack, made = stack_of(
        tmp_path,
        Fake("a", text="${b.x}", values={"x": "1"}),
        Fake("b", text="${a.x}", values={"x": "1"}),
    )

    with pytest.raises(ConfigError, match="cycle"):
        stack.start()

    assert made[0].events == ["closed"]


def test_a_restart_repeats_all_readiness_checks(tmp_path: Path) -> None:
    """The same checks, once more."""
    check = ScriptedCheck()
    stack, made = stack_of(tmp_path, Fake("a", scripted=(check,)))

    with stack:
        stack.restart("a")
        assert made[0].events == ["started a", "stopped a", "started a"]

    assert len(check.looks) == 2


def test_what_a_world_shows_of_logs_has_no_secrets(tmp_path: Path) -> None:
    """Only what came since it began, each token and password that was given out masked."""
    stack, made = stack_of(tmp_path, Fake("a"))
    with stack:
        known = [stack.book.token("dapr-api"), stack.book.token("postgres")]
        log = made[0].folder / "logs" / "a.log"
        log.write_text(f"before: {known[0]}\n")
        with World(stack) as world:
            with log.open("a") as file:
                file.write(f"asked with {known[0]}, then {known[1]} and {known[0]}\n")
            shown = world.logs()

    assert {"a": "asked with ***, then *** and ***\n"} == shown


class Holder(Fake):
    """A node that is given a token."""

    def plan(self, scope: Scope) -> Launch:
        return Launch(self.name, ("true", scope.token("dapr-api")))


@pytest.mark.parametrize("code", [None, 3], ids=["not-ready", "exited"])
def test_the_error_of_a_start_has_no_secrets(
    tmp_path: Path, code: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in quoted logs and command lines, nor in the logs attached for the report."""
    monkeypatch.setattr("secrets.token_urlsafe", lambda _: "the-token")
    script = {"a": Script(exit_code=code, output="asked with the-token\n")}
    stack, _ = stack_of(tmp_path, Holder("a", scripted=NEVER), scripts=script, ready_timeout=1)

    with pytest.raises((InstanceDied, NotReady)) as caught:
        stack.start()

    assert "asked with ***" in caught.value.last
    assert "the-token" not in str(caught.value)
    assert {"a": "asked with ***"} == caught.value.logs  # type: ignore[attr-defined]  # for a report


def exits(stack: Stack, name: str, code: int) -> None:
    """End a fake node as if it had ended by itself."""
    stack.instances[name]._exit_code = code  # type: ignore[attr-defined]  # a fake's own


def test_a_node_that_ends_by_itself_is_found_and_one_that_was_ended_is_not(tmp_path: Path) -> None:
    """Stopped, killed, or announced: that is what the test wanted."""
    stack, _ = stack_of(tmp_path, *(Fake(name) for name in "abcd"))

    with stack:
        stack.instances["a"].stop()
        stack.instances["b"].kill()  # type: ignore[attr-defined]  # a fake can be killed
        stack.instances["c"].expect_exit()
        exits(stack, "c", 0)
        stack.check_alive()

        exits(stack, "d", 3)
        with pytest.raises(InstanceDied, match="d exited with code 3"):
            stack.check_alive()


def test_what_was_ended_is_needed_again_once_it_is_restarted(tmp_path: Path) -> None:
    """Its next exit is a death; and others may be restarted while it is away."""
    stack, _ = stack_of(tmp_path, Fake("a"), Fake("b"))

    with stack:
        stack.instances["a"].stop()
        stack.restart("b")
        stack.restart("a")
        stack.check_alive()

        exits(stack, "a", 0)
        with pytest.raises(InstanceDied, match="a exited with code 0"):
            stack.check_alive()


def test_a_node_that_was_stopped_does_not_become_ready(tmp_path: Path) -> None:
    """Waiting for it ends at once."""
    stack, _ = stack_of(tmp_path, Fake("a", scripted=(ScriptedCheck(),)), ready_timeout=600)

    with stack:
        stack.instances["a"].stop()
        with pytest.raises(InstanceDied, match="a exited with code 0"):
            stack.await_ready("a")


def test_a_stop_that_fails_is_told_when_everything_is_closed(tmp_path: Path) -> None:
    """The others are stopped all the same, and the runtime is closed."""
    stack, made = stack_of(
        tmp_path, Fake("a"), *(Fake(name, needs=("a",)) for name in ("b", "c", "d"))
    )
    stack.start()
    for name in ("b", "c"):
        stack.instances[name].stop = partial(_raise, name)  # type: ignore[method-assign]

    with pytest.raises(TeardownError) as caught:
        stack.close()

    # They are stopped side by side: either can be the first.
    (also,) = caught.value.__notes__
    assert {"b survived", "c survived"} == {
        str(caught.value), also.removeprefix("and also: TeardownError: ")
    }  # fmt: skip
    assert {"stopped d", "closed"} <= set(made[0].events)


def test_what_fails_while_a_failed_start_is_closed_does_not_hide_its_cause(tmp_path: Path) -> None:
    """It becomes a note."""

    class Stuck(FakeRuntime):
        def close(self) -> None:
            raise TeardownError("the folder stays")

    settings = Settings.load(tmp_path, {}, ready_timeout=0.05)
    stack = Stack(Topology(Fake("a", scripted=NEVER)), settings, NoTools(), lambda: Stuck(tmp_path))

    with pytest.raises(NotReady, match="readiness check 'never'") as caught:
        stack.start()

    assert ["and then: the folder stays"] == caught.value.__notes__


def _raise(name: str, grace: float | None = None) -> None:
    raise TeardownError(f"{name} survived")


def test_a_node_that_may_end_releases_what_waits_for_it(tmp_path: Path) -> None:
    """It has done its work before it was ready: no failure, and its sidecar waits no longer."""
    stack, made = stack_of(
        tmp_path,
        Fake("job", scripted=NEVER, exit_ok=True, under_test=True),
        Fake("job-daprd", scripted=(ScriptedCheck("app", after=None, waits_for="job"),)),
        Fake("after", needs=("job-daprd",)),
        scripts={"job": Script(exit_code=0)},
    )

    with stack:
        stack.check_alive()
        assert "started after" in made[0].events


def test_a_node_that_may_end_must_end_well(tmp_path: Path) -> None:
    """Another code than 0 is a failure."""
    job = Fake("job", scripted=NEVER, exit_ok=True, under_test=True)
    stack, _ = stack_of(tmp_path, job, scripts={"job": Script(exit_code=3)})

    with pytest.raises(AppFailed, match="job exited with code 3"):
        stack.start()


@pytest.mark.parametrize(
    ("script", "warnings"),
    [
        (Script(exit_code=3), 0),
        (Script(refuse="no such file"), 1),
        (Script(), 1),
    ],
    ids=["it ends", "it cannot be started", "it is never ready"],
)
def test_other_nodes_continue_without_an_optional_one(
    tmp_path: Path, script: Script, warnings: int
) -> None:
    """Nor does its sidecar fail the start; nodes that wait for both start, with one warning."""
    stack, made = stack_of(
        tmp_path,
        Fake("app", scripted=NEVER, required=False, under_test=True),
        Fake("app-daprd", scripted=(ScriptedCheck("app", after=None, waits_for="app"), *NEVER)),
        Fake("after", needs=("app-daprd",)),
        scripts={"app": script},
        ready_timeout=0.2,
    )

    with stack:
        stack.check_alive()
        told = [entry.node for entry in stack.journal if entry.kind == "node.warned"]

    assert "started after" in made[0].events
    assert ["app"] * warnings == told


def test_a_sidecars_timeout_caused_by_its_app_is_not_reported(tmp_path: Path) -> None:
    """The app is started later than the sidecar, so its time ends later: it is the reason."""
    stack, _ = stack_of(
        tmp_path,
        Fake("late", scripted=(ScriptedCheck(after=6),)),
        Fake("app", needs=("late",), scripted=NEVER, required=False, under_test=True),
        Fake("app-daprd", scripted=(ScriptedCheck("app", after=None, waits_for="app"),)),
        ready_timeout=0.4,
    )

    with stack:
        told = [entry.node for entry in stack.journal if entry.kind == "node.warned"]

    assert ["app"] == told


def test_a_sidecar_must_reach_what_it_can_reach_without_its_app(tmp_path: Path) -> None:
    """A check before that of the app is its own, whatever the app is."""
    stack, _ = stack_of(
        tmp_path,
        Fake("app", required=False, under_test=True),
        Fake("app-daprd", scripted=(*NEVER, ScriptedCheck("app", waits_for="app"))),
        ready_timeout=0.2,
    )

    with pytest.raises(NotReady, match="app-daprd did not pass the readiness check 'never'"):
        stack.start()


def test_the_death_of_a_sidecar_is_a_failure_also_without_its_app(tmp_path: Path) -> None:
    """Only the app is not required."""
    stack, _ = stack_of(
        tmp_path,
        Fake("app", scripted=NEVER, required=False, under_test=True),
        Fake("app-daprd", scripted=(ScriptedCheck("app", after=None, waits_for="app"),)),
        scripts={"app-daprd": Script(exit_code=1, output="component refused\n")},
    )

    with pytest.raises(InstanceDied, match=r"app-daprd exited with code 1(.|\n)*component refused"):
        stack.start()


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing of earlier tests ends meanwhile: what its end raises reaches nobody."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_an_interrupt_at_any_call_of_a_start_is_raised_and_stops_what_was_started(
    tmp_path: Path,
) -> None:
    """Every call of a function of ours in the starting thread is interrupted once."""
    reached, number = "", 0
    while number == 0 or reached:
        stack, made = stack_of(tmp_path / str(number), Fake("a"), Fake("b", needs=("a",)))
        reached = interrupted_at(number, stack.start)
        started = [each for each in made if "started b" in each.events]
        assert not reached or all("closed" in each.events for each in started), reached
        number += 1
    stack.close()
    assert number > 50


def interrupted_at(number: int, step: Callable[[], None]) -> str:
    """Which function of ours was called as that number and interrupted; "" if there were fewer."""
    found: list[str] = []
    calls = count()

    def look(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and "/harness/" in code.co_filename and next(calls) == number:
            found.append(f"call {number}: {code.co_filename}:{code.co_qualname}")
            raise KeyboardInterrupt

    sys.setprofile(look)
    try:
        step()
    except KeyboardInterrupt:
        assert found
    finally:
        sys.setprofile(None)
    return "".join(found)


def test_a_stack_whose_book_cannot_be_made_says_why_and_closes_its_runtime(tmp_path: Path) -> None:
    """Nothing was planned then, so there is no log to show and no node to tell of the end."""
    made = FakeRuntime(tmp_path / "run")

    def book(*_: Any) -> AddressBook:
        raise ConfigError("no book")

    settings = Settings.load(tmp_path, {})
    stack = Stack(Topology(Fake("a")), settings, NoTools(), lambda: made, book=book)

    with pytest.raises(ConfigError, match="no book"):
        stack.start()
    assert ["closed"] == made.events
