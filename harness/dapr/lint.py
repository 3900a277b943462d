"""Checks resources before a sidecar reads them, because daprd silently ignores unknown fields."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError, closest, did_you_mean
from harness.core.reading import read_text
from harness.dapr.finding import Finding, is_silenced
from harness.dapr.known import Known, pinned
from harness.dapr.resources import API_VERSIONS, KINDS, DaprResource, mapping, secrets_file
from harness.dapr.rules import check_rules, credentials_of
from harness.dapr.schedules import check_schedule
from harness.dapr.structure import check_structure
from harness.dapr.values import check_values

ALTERNATIVES = {
    # A field in the table may have another name or be given in parts (dapr.md 6.3 and 2.4).
    "connectionString": ("url", "host", "hostaddr"),
    "authType": ("authRequired",),
    "redisHost": ("sentinelMasterName",),
}

LENIENT = {"bindings.smtp": ("host", "port")}
"""Types whose metadata.yaml lists more required fields than the code requires: the others may be
given with each request."""

REFUSED_WITHOUT: Mapping[str, tuple[str, ...]] = {
    "bindings.cron": ("schedule",),
    "bindings.graphql": ("endpoint",),
    "bindings.kafka": ("brokers", "authType"),
    "bindings.localstorage": ("rootPath",),
    "bindings.postmark": ("accountToken", "serverToken"),
    "bindings.smtp": ("host", "port"),
    "configuration.postgresql": ("connectionString", "table"),
    "pubsub.kafka": ("brokers", "authType"),
    "pubsub.pulsar": ("host",),
    "secretstores.local.file": ("secretsFile",),
    "state.mysql": ("connectionString",),
    "state.postgresql": ("connectionString",),
    "state.sqlite": ("connectionString",),
}
"""Fields without which, or with an empty value, daprd exits. Some components do not require others
that a metadata.yaml lists as required, such as ``fileName`` of ``bindings.localstorage``."""

RETRY = tuple(
    f"backOff{part}"
    for part in ("Policy", "Duration", "InitialInterval", "RandomizationFactor", "Multiplier",
                 "MaxInterval", "MaxElapsedTime", "MaxRetries")
)  # fmt: skip
"""Fields that dapr/kit's retry package reads with its prefix; no metadata.yaml lists them."""

EVERY_COMPONENT = {
    "pubsub": ("consumerID", "publishingScopes", "subscriptionScopes", "allowedTopics",
               "protectedTopics", "concurrencyMode", *RETRY),
    "state": ("keyPrefix", "actorStateStore", "outboxPublishPubsub", "outboxPublishTopic",
              "outboxPubsub", "outboxDiscardWhenMissingState"),
    "bindings": ("direction", "route", *RETRY),
}  # fmt: skip
"""Fields that the runtime itself reads, for any component."""


def check_resources(
    resources: Sequence[DaprResource],
    app_ids: Iterable[str] | None,
    variables: Mapping[str, str] | None,
    folder: Path | None,
    known: Known | None = None,
) -> list[Finding]:
    """Every problem in the resources of one topology.

    Args:
        resources: all of them, placeholders filled or not.
        app_ids: the apps of the topology, to which scopes must refer; None if they are not known.
        variables: the environment of the sidecars, for ``secretstores.local.env``; None if it is
            not known.
        folder: the working folder of the sidecars; None if it is not known.
        known: the facts of the version of Dapr; None for the pinned version.
    """
    known = known or pinned()
    known_apps = None if app_ids is None else list(app_ids)
    findings: list[Finding] = []
    for each in resources:
        if not each.is_read:
            findings.append(_ignored(each))
            continue
        findings += _check_frame(each, known_apps)
        findings += check_rules(each, folder)
        findings += check_structure(each, known.schemas)
        if each.kind == "Component":
            findings += _check_component(each, known.types)
            findings += check_schedule(each)
            findings += _check_secrets(each, resources, variables, folder)
    return [each for each in findings if not is_silenced(each)]


def require_sound(findings: Sequence[Finding], *, strict: bool = False) -> None:
    """Raise if there are errors.

    Args:
        findings: the result of `check_resources`.
        strict: raise for warnings too.

    Raises:
        ConfigError: the first error; the message lists the others too.
    """
    errors = [each for each in findings if strict or each.severity == "error"]
    if errors:
        first, *rest = errors
        raise ConfigError(
            f"{first.place}: {first.message}",
            last="; ".join(str(each) for each in rest),
            hint=first.hint,
        )


def _ignored(each: DaprResource) -> Finding:
    """A document that daprd ignores: a Deployment in the same folder, or a misspelled kind."""
    version = str(each.body.get("apiVersion", ""))
    ours = version.startswith("dapr.io/")
    if each.kind in KINDS and (ours or not version):
        hint = f"use {API_VERSIONS.get(each.kind, ('dapr.io/v1alpha1',))[-1]}"
        message = f"{each.kind} of {version or 'no apiVersion'}; daprd ignores it"
        return Finding(each.at("apiVersion"), message, hint, "warning")
    if ours:
        message = f"unknown kind {each.kind!r}; daprd ignores it"
        return Finding(each.at("kind"), message, did_you_mean(each.kind, KINDS), "warning")
    what = f"{each.kind or 'a document'} of {version or 'no apiVersion'}"
    message = f"{what} is not a Dapr resource; daprd ignores it"
    return Finding(each.at("kind"), message, "move it to another folder", "warning")


def _check_frame(each: DaprResource, app_ids: Sequence[str] | None) -> Iterator[Finding]:
    if not each.name:
        yield Finding(each.at("metadata"), f"{each.kind} without metadata.name")
    for key in ("scopes", "auth"):
        if key in each.spec:
            yield Finding(
                each.at(f"spec.{key}"),
                f"`{key}` inside `spec` is ignored by daprd",
                "move it to the top level",
                "warning",
            )
    for index, scope in enumerate(each.scopes):
        if app_ids is not None and scope not in app_ids:
            hint = did_you_mean(scope, app_ids)
            place = each.at(f"scopes.{index}")
            yield Finding(
                place, f"the scope {scope!r} is not an app of this topology", hint, "warning"
            )


def _check_component(
    each: DaprResource, table: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> Iterator[Finding]:
    if each.type not in table:
        yield Finding(
            each.at("spec.type"),
            f"component {each.name!r} has the unknown type {each.type!r}",
            closest(each.type, list(table)),
        )
        return
    versions = table[each.type]
    version = str(each.spec.get("version", "v1"))
    if not versions:
        return
    if version not in versions:
        hint = "known: " + ", ".join(sorted(versions))
        yield Finding(each.at("spec.version"), f"{each.type} has no version {version!r}", hint)
        return
    if versions[version]:
        yield from _check_fields(each, versions[version])
        yield from check_values(each, versions[version])


def _check_fields(each: DaprResource, table: Mapping[str, Any]) -> Iterator[Finding]:
    given = {name.lower() for name, item in each.fields().items() if _has_value(item)}
    required = LENIENT.get(each.type, table["required"])
    for name in required:
        if not _given(name, given):
            yield _missing(each, name)
    profiles: list[list[str]] = [] if each.type in LENIENT else table["profiles"]
    if profiles and not any(all(_given(name, given) for name in row) for row in profiles):
        yield _missing(each, min(profiles, key=len)[0])
    category = each.type.partition(".")[0]
    known = [*table["fields"], *EVERY_COMPONENT.get(category, ())]
    lowered = {name.lower() for name in known}
    for index, name in enumerate(each.fields()):
        if name.lower() not in lowered and not _alternative(name):
            place = each.at(f"spec.metadata.{index}")
            message = f"{each.type} has no field {name!r}; daprd would ignore it"
            yield Finding(place, message, closest(name, known), "warning")


def _missing(each: DaprResource, name: str) -> Finding:
    return Finding(
        each.at("spec.metadata"),
        f"component {each.name!r} ({each.type}) lacks the required field {name!r}",
        f"add it to spec.metadata of {each.name}",
        _severity(each, name),
    )


def _severity(each: DaprResource, field: str) -> str:
    """The severity of a field without a value: depends on whether daprd requires it."""
    always = REFUSED_WITHOUT.get(each.type, ())
    asked = {name.lower() for name in (*always, *credentials_of(each))}
    return "error" if field.lower() in asked else "warning"


def _has_value(item: Mapping[str, Any]) -> bool:
    """Whether a field is more than a name: daprd reads null as an empty text."""
    return item.get("value") not in (None, "") or any(
        key in item for key in ("secretKeyRef", "envRef")
    )


def _given(name: str, given: set[str]) -> bool:
    return any(option.lower() in given for option in (name, *ALTERNATIVES.get(name, ())))


def _alternative(name: str) -> bool:
    return any(name in names for names in ALTERNATIVES.values())


def _check_secrets(
    each: DaprResource,
    resources: Sequence[DaprResource],
    variables: Mapping[str, str] | None,
    folder: Path | None,
) -> Iterator[Finding]:
    store_name = str(mapping(each.body.get("auth")).get("secretStore", ""))
    stores = {s.name: s for s in resources if s.type.startswith("secretstores.")}
    for index, (name, item) in enumerate(each.fields().items()):
        reference = mapping(item.get("secretKeyRef"))
        if not reference:
            continue
        place = each.at(f"spec.metadata.{index}")
        what = f"component {each.name!r}: the secret of field {name!r} cannot be resolved"
        # daprd continues with an empty value, which most fields may have.
        severity = _severity(each, name)
        if not store_name:
            hint = "name a store"
            yield Finding(place, f"{what}: no `auth.secretStore` at the top level", hint, severity)
        elif store_name not in stores:
            hint = did_you_mean(store_name, list(stores))
            yield Finding(place, f"{what}: there is no secret store {store_name!r}", hint)
        else:
            store = stores[store_name]
            yield from _resolve(
                place, what, reference, store, severity, variables=variables, folder=folder
            )


def _resolve(
    place: str,
    what: str,
    reference: Mapping[str, Any],
    store: DaprResource,
    severity: str,
    *,
    variables: Mapping[str, str] | None,
    folder: Path | None,
) -> Iterator[Finding]:
    name, key = str(reference.get("name", "")), str(reference.get("key", ""))
    known = variables is not None
    if store.type == "secretstores.local.env" and known and name not in (variables or {}):
        message = f"{what}: the sidecar has no variable {name!r}"
        yield Finding(place, message, "set it", severity)
    if store.type == "secretstores.local.file":
        secrets, problem = _secrets_of(store, folder)
        if problem:
            yield Finding(store.at("spec.metadata"), problem, "fix the secrets file")
        elif name not in secrets:
            hint = did_you_mean(name, sorted(secrets))
            yield Finding(place, f"{what}: {store.name} has no secret {name!r}", hint, severity)
        elif secrets[name] and key not in secrets[name]:
            hint = did_you_mean(key, sorted(secrets[name]))
            yield Finding(place, f"{what}: secret {name!r} has no key {key!r}", hint, severity)


def _secrets_of(store: DaprResource, folder: Path | None) -> tuple[dict[str, set[str]], str]:
    """Names and keys of a local.file store, flattened as daprd does; or the problem with it."""
    fields = store.fields()
    file = secrets_file(store, folder)
    try:
        raw = json.loads(read_text(file))
        if not isinstance(raw, dict):
            raise TypeError(f"it holds a {type(raw).__name__}, not a mapping")
    except (ConfigError, ValueError, TypeError, RecursionError) as error:
        told = " ".join(str(error).split())
        return {}, f"the secrets file {file} cannot be read: {told}"
    if str(fields.get("multiValued", {}).get("value", "")).lower() == "true":
        return {name: set(value) if isinstance(value, dict) else set()
                for name, value in raw.items()}, ""  # fmt: skip
    separator = str(fields.get("nestedSeparator", {}).get("value", ":"))
    return {name: {name} for name in _flat(raw, "", separator)}, ""


def _flat(value: Any, prefix: str, separator: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _flat(each, f"{prefix}{separator}{key}" if prefix else key, separator)
    else:
        yield prefix
