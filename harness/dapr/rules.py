"""Rules for single types and kinds beyond their fields; facts from Dapr 1.18's source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.core.errors import closest
from harness.dapr.finding import Finding
from harness.dapr.resources import DaprResource, mapping, secrets_file, sequence

FEATURES = (
    "ActorStateTTL",
    "HotReload",
    "WorkflowsClusteredDeployment",
    "WorkflowsRemoteActivityReminder",
    "WorkflowHistorySigning",
)
"""The names in pkg/config/configuration.go; others appear in the metadata and have no effect."""


def check_rules(each: DaprResource, folder: Path | None) -> Iterator[Finding]:
    """Everything that the rules of its type or kind find.

    Args:
        each: the resource.
        folder: daprd's working folder; None if it is not known.
    """
    if each.kind == "Configuration":
        yield from _features(each)
    if each.kind == "Subscription":
        yield from _subscription(each)
    rule = {
        "pubsub.kafka": _kafka,
        "bindings.kafka": _kafka,
        "state.redis": _redis,
        "secretstores.kubernetes": _kubernetes,
    }.get(each.type)
    if rule is not None:
        yield from rule(each)
    if each.type == "secretstores.local.file":
        yield from _local_file(each, folder)


def _features(each: DaprResource) -> Iterator[Finding]:
    for index, feature in enumerate(sequence(each.spec.get("features"))):
        name = str(mapping(feature).get("name", ""))
        if name not in FEATURES:
            place = each.at(f"spec.features.{index}")
            hint = closest(name, FEATURES) or "leave it out"
            yield Finding(
                place, f"{name!r} is not a feature of Dapr and has no effect", hint, "warning"
            )


def _subscription(each: DaprResource) -> Iterator[Finding]:
    spec = each.spec
    for key in ("pubsubname", "topic"):
        if not spec.get(key):
            yield Finding(each.at("spec"), f"subscription {each.name!r} lacks {key!r}")
    newer = str(each.body.get("apiVersion")) == "dapr.io/v2alpha1"
    wanted, other = ("routes", "route") if newer else ("route", "routes")
    if not spec.get(wanted):
        hint = f"v2alpha1 has `routes`, v1alpha1 has `route`; this one has {other!r}"
        yield Finding(
            each.at(f"spec.{other}"), f"subscription {each.name!r} lacks {wanted!r}", hint
        )


def _kafka(each: DaprResource) -> Iterator[Finding]:
    fields = each.fields()
    group = _value(fields, "consumerGroup")
    if group and "{" not in group and len(each.scopes) != 1:
        yield Finding(
            each.at("spec.metadata"),
            f"every app that loads {each.name!r} is in the consumer group {group!r}: each event "
            "goes to one of them only",
            "leave it out (then it is the app-id), use {appID}, or scope it to one app",
            "warning",
        )
    if "authRequired" in fields and "authType" not in fields:
        yield Finding(
            each.at("spec.metadata"), "authRequired is a legacy name", "use authType", "warning"
        )
    if _value(fields, "authType") == "password" and "saslMechanism" not in fields:
        yield Finding(
            each.at("spec.metadata"),
            "authType password without saslMechanism means SASL/PLAIN",
            "use SHA-256 or SHA-512 for SCRAM, or PLAINTEXT",
            "warning",
        )
    brokers = _value(fields, "brokers")
    if ", " in brokers:
        yield Finding(
            each.at("spec.metadata"),
            "daprd does not trim the addresses in brokers",
            "remove the spaces after the commas",
        )


def credentials_of(each: DaprResource) -> tuple[str, ...]:
    """The fields without which daprd rejects a component that has to authenticate."""
    fields = {name.lower(): item for name, item in each.fields().items()}
    if each.type in ("pubsub.kafka", "bindings.kafka"):
        password = _value(fields, "authtype").lower() == "password"
        return ("saslUsername", "saslPassword") if password else ()
    if each.type == "bindings.smtp" and {"user", "password"} & {*fields}:
        return ("user", "password")
    return ()


def _redis(each: DaprResource) -> Iterator[Finding]:
    if "queryIndexes" in each.fields():
        yield Finding(
            each.at("spec.metadata"),
            "queryIndexes needs RediSearch; on a plain Redis daprd exits at once",
            "leave it out, or use a Redis with search",
            "warning",
        )


def _kubernetes(each: DaprResource) -> Iterator[Finding]:
    yield Finding(
        each.at("spec.type"),
        "secretstores.kubernetes works only in a cluster; elsewhere daprd exits at once",
        "keep it out of the resources of this machine, and use secretstores.local.file here",
        "warning",
    )


def _local_file(each: DaprResource, folder: Path | None) -> Iterator[Finding]:
    name = _value(each.fields(), "secretsFile")
    if name and "${" not in name and not secrets_file(each, folder).is_file():
        beside = each.file.parent / name
        hint = f"a relative path starts at daprd's working folder, {folder or Path.cwd()}"
        if beside.is_file():
            hint += f"; there is {beside}"
        place = each.at("spec.metadata")
        yield Finding(place, f"the secrets file {name} of {each.name!r} does not exist", hint)


def _value(fields: dict[str, dict[str, Any]], name: str) -> str:
    return str(fields.get(name, {}).get("value", ""))
