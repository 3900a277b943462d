"""Events and jobs of a ledger as a bundle tells them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from harness.bundle.model import EventStory, JobStory
from harness.core.masking import cleaned
from harness.ledger.explain import conclusion, name_of, steps_of, steps_of_job
from harness.ledger.model import EventPath, JobPath

DATA = 4000
"""The number of characters of an event's data that are kept."""


def story_of(path: EventPath, world: str, clean: Callable[[str], str]) -> EventStory:
    """The path of an event, explained.

    Args:
        path: the event.
        world: the id of the test's world.
        clean: masks secrets.
    """
    data = clean(json.dumps(path.data, ensure_ascii=False, default=str))
    known = (path.id, path.subject, data)
    return EventStory(
        clean(name_of(path)),
        clean(conclusion(path)),
        [(time, clean(text)) for time, text in steps_of(path)],
        data[:DATA],
        bool(world) and any(world in each for each in known),
        cleaned(_facts(path), clean),
    )


def job_story_of(path: JobPath, clean: Callable[[str], str]) -> JobStory:
    """What happened to a job, explained."""
    steps = [(time, clean(text)) for time, text in steps_of_job(path)]
    return JobStory(path.app, clean(path.name), steps)


def _facts(path: EventPath) -> dict[str, Any]:
    return {
        "id": path.id,
        "type": path.type,
        "topics": list(path.topics),
        "expires": path.expires,
        "is_event": bool(path.id) or not path.records,
        "dead_letters": [str(each.position) for each in path.dead_letters],
        "published": [
            {"app": each.app, "topic": each.topic, "status": each.status}
            for each in path.publications
        ],
        "stored": [each.time for each in path.originals],
        "attempts": [
            {
                "app": each.app,
                "status": each.status,
                "outcome": each.outcome,
                "failed": each.failed,
                "dead_letter": each.dead_letter,
                "time": each.time,
            }
            for each in path.attempts
        ],
    }
