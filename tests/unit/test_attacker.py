"""Who carries out a plan: what is away stays away, and what ended otherwise is started again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from harness import Stack
from harness.core.deadline import Deadline, Observation, poll
from tests.faults.inflict import Attacker, wait_until
from tests.faults.plan import Fault


class Part:
    """An instance that writes down what is done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.exit_code: int | None = None
        self.pid = 1

    def kill(self) -> None:
        self.done.append("kill")
        self.exit_code = -9

    def restart(self) -> None:
        self.done.append("restart")
        self.exit_code = None
        self.pid += 1

    def pause(self) -> None:
        self.done.append("pause")

    def resume(self) -> None:
        self.done.append("resume")


def attacker(**parts: Part) -> Attacker:
    """One whose stack has only these parts."""
    return Attacker(cast("Stack", SimpleNamespace(instances=parts)))


def carry_out(attack: Attacker, *faults: Fault) -> None:
    """With the keeper at work."""
    with attack.keeping():
        attack.carry_out(faults, Deadline(60))


def test_a_killed_node_stays_down_for_the_planned_time_and_starts_once() -> None:
    """The keeper, which looks each half second, does not start it meanwhile."""
    part = Part()
    clock = Deadline(60)
    attack = attacker(app=part)
    with attack.keeping():
        attack.carry_out([Fault(0.1, "app", "kill", 1.2)], clock)

    assert ["kill", "restart"] == part.done
    assert clock.budget - clock.remaining >= 1.3


def test_a_stopped_process_is_continued() -> None:
    """Afterwards."""
    part = Part()

    carry_out(attacker(app=part), Fault(0, "app", "stop", 0.1))

    assert ["pause", "resume"] == part.done


def test_what_was_killed_while_it_was_stopped_is_not_continued() -> None:
    """The stopped process is gone, and its pid may belong to another one."""

    class Killed(Part):
        def pause(self) -> None:
            super().pause()
            self.kill()
            self.restart()

    part = Killed()

    carry_out(attacker(app=part), Fault(0, "app", "stop", 0.1))

    assert ["pause", "kill", "restart"] == part.done


def test_a_node_that_exits_by_itself_is_restarted() -> None:
    """As an orchestrator would."""
    part = Part()
    with attacker(app=part).keeping():
        part.exit_code = 1
        seen = poll(lambda: Observation(part.done == ["restart"]), Deadline(30))

    assert seen.ok


def test_the_receiver_is_never_attacked() -> None:
    """The receiver counts what was sent; who attacks it attacks the evidence."""
    receiver, app = Part(), Part()
    receiver.exit_code = app.exit_code = 1
    with attacker(receiver=receiver, app=app).keeping():
        poll(lambda: Observation(app.done == ["restart"]), Deadline(30))

    assert [] == receiver.done


def test_faults_are_carried_out_at_their_times_and_recorded() -> None:
    """Each at its time, those of several parts side by side."""
    parts: dict[str, Any] = {"one": Part(), "two": Part()}
    attack, faults = attacker(**parts), [Fault(0.1, "one"), Fault(0, "two", "kill", 0.3)]

    carry_out(attack, *faults)

    assert set(faults) == set(attack.done)
    assert [["kill", "restart"]] * 2 == [part.done for part in parts.values()]


def test_a_past_time_is_not_waited_for() -> None:
    """A clock counts down from the beginning."""
    clock = Deadline(0)

    wait_until(0, clock)

    assert clock.passed
