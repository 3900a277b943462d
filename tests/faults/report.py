"""What the result of an attack is told as, and what of it is wrong."""

from __future__ import annotations

from services.common import relay
from tests.faults.attack import Result
from tests.faults.counts import by_kind, in_flight
from tests.faults.plan import SESSION

DATABASE = ("postgres", SESSION)
PUBLISHING = ("backend-service", "backend-service-daprd", "broker", *DATABASE)
SENDING = ("notification-service", "notification-service-daprd", "receiver", *DATABASE)
SLOTS = {
    "events": relay.SLOTS["event"],
    "webhooks": relay.SLOTS["webhook"],
    "mails": relay.SLOTS["mail"],
}
"""Calls that a relay makes at one time."""


def allowed_twice(result: Result) -> dict[str, int]:
    """How many may have come twice: calls that failed may have been made, and those in flight."""
    ways = {"events": PUBLISHING, "webhooks": SENDING, "mails": SENDING}
    return {
        kind: result.failed[kind] + in_flight(result.faults, SLOTS[kind], ways[kind])
        for kind in ways
    }


def rows(result: Result) -> dict[str, str]:
    """The column of a table."""
    counts, ledger = result.counts, result.ledger
    twice = allowed_twice(result)
    lateness = {f"late, p{n}, s": f"{counts.lateness(n):.1f}" for n in (50, 90, 99)}
    return {
        "faults": by_kind(result.faults),
        "acknowledged writes": str(counts.writes),
        "not acknowledged": ", ".join(f"{n} {why}" for why, n in ledger.refused.items()),
        "lost writes": str(len(counts.lost_writes)),
        "lost events": str(len(counts.lost_events)),
        "lost occurrences of series": str(len(counts.lost_followers)),
        "lost notifications": str(len(counts.lost_notifications)),
        "lost webhooks": str(len(counts.lost_webhooks)),
        "reminders": str(counts.reminders),
        "never": str(len(counts.never)),
        "early": str(len(counts.early)),
        "cancelled and sent": str(len(counts.void)),
        "events twice": f"{counts.events_twice} (in flight or failed: {twice['events']})",
        "webhooks twice": f"{counts.webhooks_twice} (in flight or failed: {twice['webhooks']})",
        "mails twice": f"{counts.mails_twice} (in flight or failed: {twice['mails']})",
        **lateness,
        "late, longest, s": f"{max(counts.late, default=0.0):.1f}",
        "quiet after, s": f"{result.quiet:.0f}",
        "still in an outbox": str(result.waiting),
    }


def wrong(result: Result) -> list[str]:
    """What must not have happened, in sentences; nothing when the promises held."""
    counts, twice = result.counts, allowed_twice(result)
    lists = {
        "lost writes": counts.lost_writes,
        "lost events": counts.lost_events,
        "lost occurrences": counts.lost_followers,
        "lost notifications": counts.lost_notifications,
        "lost webhooks": counts.lost_webhooks,
        "reminders that never came": counts.never,
        "early reminders": counts.early,
        "cancelled reminders that came": counts.void,
    }
    found = [f"{len(each)} {name}: {', '.join(each[:5])}" for name, each in lists.items() if each]
    doubled = {"events": counts.events_twice, "webhooks": counts.webhooks_twice}
    for name, number in {**doubled, "mails": counts.mails_twice}.items():
        if number > twice[name]:
            found.append(f"{number} {name} twice, and {twice[name]} can have been in flight")
    return found
