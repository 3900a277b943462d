"""Causes in what a sidecar has loaded, and in whom it lets in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.bundle.causes.evidence import messages, own_events, sidecars_of
from harness.bundle.model import Bundle, Cause

_NOT_LOADED = re.compile(
    r"[Ff]ailed to init component|[Ee]rror initializing component|INIT_COMPONENT_FAILURE"
    r"|[Ee]rror processing component|couldn't find (?:state store|pubsub|message bus)"
)
_FORBIDDEN = re.compile(r"ERR_PUBSUB_FORBIDDEN|topic \S+ is not allowed", re.IGNORECASE)
_NOT_FOUND = re.compile(
    r"ERR_PUBSUB_NOT_FOUND|ERR_PUBSUB_NOT_CONFIGURED|ERR_STATE_STORE_NOT_FOUND|"
    r"ERR_STATE_STORE_NOT_CONFIGURED|ERR_STATE_STORES_NOT_CONFIGURED"
)
_INVOKE = re.compile(r"ERR_DIRECT_INVOKE[^\n]*")


def component_not_loaded(bundle: Bundle) -> Iterator[Cause]:
    """A sidecar does not have a component that is declared for it."""
    for sidecar, app_id in sidecars_of(bundle).items():
        told = [each for each in messages(bundle, sidecar) if _NOT_LOADED.search(each)]
        metadata = bundle.sidecars.get(sidecar)
        if metadata is None:
            if told:
                yield _not_loaded(sidecar, told[-1], told)
            continue
        loaded = {str(each.get("name")) for each in metadata.get("components") or ()}
        for each in bundle.resources:
            mine = not each.scopes or app_id in each.scopes
            if each.kind == "Component" and mine and each.name not in loaded:
                why = next((one for one in told if each.name in one), "")
                yield Cause(
                    "component_not_loaded",
                    f"the sidecar {sidecar} has not loaded the component {each.name!r} "
                    f"({each.type})" + (f": {why}" if why else ""),
                    [f"declared at {each.at}", *told[-3:]],
                    "`dapr-harness lint` checks the file; the sidecar's log has daprd's reason",
                )


def component_unknown(bundle: Bundle) -> Iterator[Cause]:
    """A call has named a component that the app does not have."""
    if found := _NOT_FOUND.search(bundle.error):
        yield Cause(
            "component_unknown",
            f"the component that the call named does not exist for this app ({found[0]})",
            [
                f"{each.kind} {each.name!r} with scopes {list(each.scopes)} at {each.at}"
                for each in bundle.resources
                if each.kind == "Component"
            ],
            "compare the name with the components of the sidecar, and check their scopes",
        )


def events_forbidden(bundle: Bundle) -> Iterator[Cause]:
    """The app may not publish to the topic."""
    if found := _FORBIDDEN.search(bundle.error):
        yield Cause(
            "events_forbidden",
            f"the app may not publish to this topic ({found[0]})",
            hint="see publishingScopes and allowedTopics of the pub/sub component",
        )


def token_refused(bundle: Bundle) -> Iterator[Cause]:
    """An app or a sidecar has refused a request because of its token."""
    for event in own_events(bundle):
        for each in event.facts["attempts"]:
            if each["status"] in (401, 403) and not each["failed"]:
                yield Cause(
                    "token_refused",
                    f"{each['app']} refuses deliveries of its own sidecar with status "
                    f"{each['status']}",
                    [event.title],
                    "the app must compare `dapr-api-token` with APP_API_TOKEN",
                    event.title,
                )
                return
    for step in bundle.timeline:
        if step.source == "call" and step.what.endswith("-> 401"):
            yield Cause(
                "token_refused",
                f"the sidecar of {step.node} refuses a call of its app: the token is missing "
                "or wrong",
                [step.what],
                "the app must send DAPR_API_TOKEN in the header `dapr-api-token`",
            )
            return


def invoked_app_unknown(bundle: Bundle) -> Iterator[Cause]:
    """An app was invoked that does not run, or has another app-id."""
    if found := _INVOKE.search(bundle.error):
        known = sorted({each.app_id for each in bundle.nodes if each.app_id})
        yield Cause(
            "invoked_app_unknown",
            "an invocation found no app with the app-id, or could not connect to it",
            [found[0], f"app-ids of the stack: {', '.join(known)}"],
            "compare the app-id; `dapr-harness status` shows whether the app runs",
        )


def _not_loaded(sidecar: str, why: str, told: list[str]) -> Cause:
    return Cause(
        "component_not_loaded",
        f"the sidecar {sidecar} could not load a component: {why}",
        told[-3:],
        "`dapr-harness lint` checks the files",
    )
