"""What a user class declares about its requests: names, where they arrive, comparisons."""

from __future__ import annotations

from dataclasses import dataclass

RECORD = "/received"
"""Where an app shows its own record of arrivals, unless a user class says otherwise."""

Pair = tuple[str, str]
"""Two names that are compared."""


@dataclass(frozen=True)
class Outcome:
    """Where the acknowledged requests of a user class arrive; declared by the user class.

    Attributes:
        name: the name of the time until then, in reports.
        kind: ``event`` (at a subscriber), ``job`` (at the app), or ``row`` (in a table).
        app: the app that receives it; "" for an event: every app that subscribes to the topic.
        pubsub: for an event, the component.
        topic: for an event, the topic.
        record: the path of the app's own record of arrivals, which is read if it has no inbox.
        query: for a row, SQL for the id of each request and when its row was created (epoch
            seconds).
        database: for a row, the node with the table, or ``NODE/DATABASE``; "": the first database
            of the only node that has any.
    """

    name: str
    kind: str
    app: str = ""
    pubsub: str = ""
    topic: str = ""
    record: str = RECORD
    query: str = ""
    database: str = ""


@dataclass(frozen=True)
class Declared:
    """What a user class declares, whether or not a run uses it.

    Attributes:
        names: the names of its requests.
        outcome: where its acknowledged requests arrive; None: nowhere that can be observed.
        pairs: what its requests are compared with, besides the references and the floor.
    """

    names: tuple[str, ...]
    outcome: Outcome | None = None
    pairs: tuple[Pair, ...] = ()
