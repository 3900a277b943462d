"""What every runtime promises."""

from __future__ import annotations

import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.core.launch import InContainer, Launch
from harness.runtime.base import Killable, Pausable, Restartable, Runtime, State

SLEEPER = Launch("sleeper", ("sleep", "60"), container=InContainer("app"), grace=0.5)


def test_an_instance_goes_from_starting_to_running_to_exited(runtime: Runtime) -> None:
    """Running is what the ladder says; exited comes with a code."""
    instance = runtime.start(SLEEPER)
    states = [instance.state]
    instance.mark_running()
    states.append(instance.state)
    instance.stop()
    states.append(instance.state)

    assert [State.STARTING, State.RUNNING, State.EXITED] == states
    assert instance.exit_code is not None


def test_an_instance_can_be_stopped_twice(runtime: Runtime) -> None:
    """And so is stopping what was killed."""
    instance = runtime.start(SLEEPER)

    instance.stop()
    code = instance.exit_code
    instance.stop()

    assert code == instance.exit_code


def test_a_killed_instance_has_the_code_of_sigkill(runtime: Runtime) -> None:
    """As in subprocess."""
    instance = runtime.start(SLEEPER)
    assert isinstance(instance, Killable)

    instance.kill()

    assert -9 == instance.exit_code


def test_a_paused_instance_can_be_resumed_and_stopped(runtime: Runtime) -> None:
    """Also stopped while paused."""
    instance = runtime.start(SLEEPER)
    assert isinstance(instance, Pausable)

    instance.pause()
    instance.resume()
    instance.pause()
    instance.stop(grace=5)

    assert State.EXITED is instance.state


def test_a_restarted_instance_starts_over(runtime: Runtime) -> None:
    """Starting again, on the same log."""
    instance = runtime.start(SLEEPER)
    assert isinstance(instance, Restartable)
    instance.mark_running()

    instance.restart()

    assert (State.STARTING, None) == (instance.state, instance.exit_code)


def test_ports_are_different_and_the_wanted_one_is_given(runtime: Runtime) -> None:
    """Never the same twice."""
    ports = [runtime.reserve().port for _ in range(50)]
    wanted = runtime.reserve(9123).port

    assert len(set(ports)) == 50
    assert wanted == 9123


def test_closing_a_runtime_stops_everything_and_can_be_repeated(runtime: Runtime) -> None:
    """Nothing is left."""
    instance = runtime.start(SLEEPER)

    runtime.close()
    runtime.close()

    ended = poll(lambda: Observation(instance.state is State.EXITED), Deadline(5))
    assert ended.ok


@pytest.mark.real
def test_all_runtimes_have_the_same_surface() -> None:
    """The fake is beside the real one, not apart from it."""
    from harness.runtime.containers.instance import ContainerInstance
    from harness.runtime.containers.runtime import ContainerRuntime
    from harness.runtime.fake import FakeInstance, FakeRuntime
    from harness.runtime.instance import ProcessInstance
    from harness.runtime.processes import ProcessRuntime

    def surface(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    for instance, runtime in (
        (ProcessInstance, ProcessRuntime),
        (ContainerInstance, ContainerRuntime),
    ):
        assert surface(FakeInstance) - {"begun", "ended"} <= surface(instance)
        assert surface(FakeRuntime) - {"owner"} <= surface(runtime)
