"""Claims about fields of components, asked of a daprd without an app."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import DaprError
from harness.dapr.client import DaprClient
from harness.dapr.health import HealthCheck
from harness.runtime.base import State
from harness.runtime.processes import ProcessRuntime
from tests.claims.alone import LONG, alive, outcome, start
from tests.claims.listening import SASL_HANDSHAKE, TLS_HELLO, Listener, listeners
from tests.claims.serving import Mailbox, mail_server, verb_server
from tests.support import project

pytestmark = pytest.mark.real


def component(kind: str, name: str, *, more: str = "", **fields: Any) -> str:
    """A component after whose failure daprd goes on; a dict is the rest of an item."""
    items = [
        {"name": key, **(value if isinstance(value, dict) else {"value": value})}
        for key, value in fields.items()
    ]
    spec = {
        "type": kind, "version": "v1", "ignoreErrors": True, "initTimeout": "2s",
        "metadata": items,
    }  # fmt: skip
    body = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": {"name": name}}
    return json.dumps({**body, "spec": spec})[:-1] + more + "}"


@pytest.fixture(scope="module")
def verbs() -> Iterator[str]:
    """The address of a server that tells the verb it was called by, or the headers."""
    with verb_server() as address:
        yield address


@pytest.fixture(scope="module")
def mail() -> Iterator[Mailbox]:
    """A server that offers a login, and takes mail without one."""
    with mail_server() as box:
        yield box


@pytest.fixture(scope="module")
def runtime() -> Iterator[ProcessRuntime]:
    with ProcessRuntime({"PATH": os.environ["PATH"], "HOME": "/nonexistent"}) as opened:
        yield opened


PASSWORD = {"authType": "password", "saslUsername": "u", "saslPassword": "p"}
KAFKAS: Mapping[str, Mapping[str, str]] = {
    "legacy": {"authRequired": "false"},
    "none": {"authType": "none"},
    "tls": PASSWORD,
    "no-tls": {**PASSWORD, "disableTls": "true"},
    "sha": {**PASSWORD, "disableTls": "true", "saslMechanism": "SHA-256"},
    "misspelled": {**PASSWORD, "disableTls": "true", "saslMechanism": "SCRAM-SHA-256"},
    "more": {"authType": "none", "maxRetries": "three", "retryBackoff": "x"},
}
"""Fields of pubsub.kafka, by what they show."""

CONFIGURATION = """\
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: c}
spec: {features: [{name: PubSub, enabled: false}, {name: StateStore, enabled: false}]}
"""

AUTH = ', "auth": {"secretStore": "secrets"}'
MAIL = {"user": "me", "password": "mine"}
ACTORS = ("first-actors", "second-actors")

Asked = tuple[DaprClient, Mapping[str, str], Mapping[str, Listener]]


@pytest.fixture(scope="module")
def asked(
    runtime: ProcessRuntime,
    verbs: str,
    mail: Mailbox,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Asked]:
    """One daprd that was given everything; what it did with each, and what brokers heard."""
    folder = tmp_path_factory.mktemp("components")
    secret = {"secretKeyRef": {"name": "known", "key": "known"}}
    with listeners(len(KAFKAS)) as heard:
        brokers = dict(zip(KAFKAS, heard, strict=True))
        texts = [
            component("pubsub.in-memory", "pubsub"),
            component("state.in-memory", "state"),
            component("bindings.http", "http", url=verbs, method="POST"),
            component("scheduler.kubernetes", "scheduler"),
            component("secretstores.kubernetes", "cluster", namespace="todo"),
            component("secretstores.local.file", "secrets", secretsFile="secrets.json"),
            component("secretstores.local.file", "commented", secretsFile="commented.json"),
            component("bindings.http", "top", url=secret, more=AUTH),
            component("bindings.http", "inside", url=secret).replace(
                '"spec": {', f'"spec": {{{AUTH[2:]}, '
            ),
            component("bindings.http", "unnamed", url=secret),
            component("state.in-memory", "elsewhere").replace(
                '"name": "elsewhere"', '"name": "elsewhere", "namespace": "elsewhere"'
            ),
            component("bindings.smtp", "mail", **MAIL, host="127.0.0.1", port=mail.port),
            component("bindings.smtp", "letters", host="127.0.0.1", port=mail.port),
            # Of one test alone, as it remembers what it was asked for.
            component("bindings.smtp", "remembering", host="127.0.0.1", port=mail.port),
            component(
                "bindings.smtp", "unset", host="127.0.0.1", port=mail.port,
                user=secret, password=secret,
            ),
            *(component("state.in-memory", name, actorStateStore="true") for name in ACTORS),
            *(component("bindings.cron", name, schedule=text) for name, text in CRONS.items()),
            *(
                component("pubsub.kafka", name, brokers=brokers[name].address, **fields)
                for name, fields in KAFKAS.items()
            ),
        ]  # fmt: skip
        files = {f"r__c{number}_yaml": text for number, text in enumerate(texts)}
        project(folder, **files, secrets_json=json.dumps({"known": verbs}),
                commented_json='// a comment\n{"a": "b"}', config_yaml=CONFIGURATION,
                r__below__b_yaml=component("pubsub.in-memory", "below"))  # fmt: skip
        daprd, client = start(
            runtime, 0, folder,
            {
                "log-as-json": "true", "config": str(folder / "config.yaml"),
                "placement-host-address": "127.0.0.1:9",
            },
        )  # fmt: skip
        with client:
            found = outcome(daprd, len(texts))
            check = HealthCheck(client, outbound=True, name="outbound")
            assert (seen := poll(lambda: alive(daprd, check.observe()), Deadline(LONG))).ok, seen
            yield client, found, brokers


CRONS = {"four": "* * * *", "five": "* * * * *", "six": "* * * * * *", "seven": "* * * * * * *",
         "every": "@every 1h"}  # fmt: skip


def test_a_cron_schedule_has_five_or_six_fields_or_every(asked: Asked) -> None:
    """With and without seconds."""
    assert ["five", "six", "every"] == [name for name in CRONS if not asked[1][name]]
    assert "expected 5 to 6 fields, found 4" in asked[1]["four"]
    assert "expected 5 to 6 fields, found 7" in asked[1]["seven"]


def test_an_http_binding_ignores_method_and_uses_the_operation_as_verb(asked: Asked) -> None:
    """``method: POST`` stands in the component, and a get is a GET."""
    assert "GET" == asked[0].invoke_binding("http", "get").data


def test_a_type_that_daprd_does_not_have_is_refused(asked: Asked) -> None:
    """Jobs need no component."""
    assert "incorrect type scheduler.kubernetes" in asked[1]["scheduler"]


def test_the_secret_store_of_a_cluster_is_refused_without_one(asked: Asked) -> None:
    """It looks for the credentials of a cluster."""
    assert ".kube/config" in asked[1]["cluster"]


def test_a_secrets_file_has_no_comments(asked: Asked) -> None:
    """It is JSON: the store is refused."""
    assert "invalid character '/'" in asked[1]["commented"]


@pytest.mark.parametrize("name", ["inside", "unnamed"])
def test_a_secret_without_a_store_at_the_top_level_is_an_empty_value(
    asked: Asked, name: str
) -> None:
    """The address of the call is empty, if ``auth`` is below ``spec`` or nowhere."""
    client, results, _ = asked

    assert ("", "") == (results["top"], results[name])
    assert "GET" == client.invoke_binding("top", "get").data
    with pytest.raises(DaprError, match="unsupported protocol scheme"):
        client.invoke_binding(name, "get")


def test_a_mail_whose_credentials_are_not_resolved_is_sent_without_any(
    asked: Asked, mail: Mailbox
) -> None:
    """The server is offered a login by one binding, and by the other none."""
    before = len(mail.came)
    to = {"emailFrom": "a@example.org", "emailTo": "b@example.org", "subject": "s"}
    for name in ("mail", "unset"):
        asked[0].invoke_binding(name, "create", name, to)

    assert [("mail", ("me", "mine")), ("unset", None)] == mail.came[before:]


def test_a_mail_takes_what_its_request_leaves_out_from_the_request_before_it(
    asked: Asked, mail: Mailbox
) -> None:
    """The component itself has no subject; after one request with it, there is one."""
    client, before = asked[0], len(mail.mails)
    to = {"emailFrom": "a@example.org", "emailTo": "b@example.org"}

    with pytest.raises(DaprError, match="subject property not supplied"):
        client.invoke_binding("remembering", "create", "one", to)
    client.invoke_binding("remembering", "create", "two", {**to, "subject": "of the second"})
    client.invoke_binding("remembering", "create", "three", {"emailTo": "c@example.org"})

    assert [
        ("a@example.org", "b@example.org", "of the second"),
        ("a@example.org", "c@example.org", "of the second"),
    ] == [(each["from"], each["to"], each["subject"]) for each in mail.mails[before:]]


def test_the_text_of_a_mail_is_sent_as_html(asked: Asked, mail: Mailbox) -> None:
    """Plain text, and text with a character that is part of markup: neither is escaped."""
    before = len(mail.mails)
    to = {"emailFrom": "a@example.org", "emailTo": "b@example.org", "subject": "s"}

    for text in ("plain", "3 <4"):
        asked[0].invoke_binding("letters", "create", text, to)

    found = [(each.get_content_type(), each.get_content().strip()) for each in mail.mails[before:]]
    assert [("text/html", "plain"), ("text/html", "3 <4")] == found


def test_metadata_of_an_http_binding_are_headers_if_they_begin_with_a_capital_letter(
    asked: Asked,
) -> None:
    """Others are not sent; ``path`` is part of the address."""
    more = {"path": "headers", "Upper": "1", "lower": "2", "lower-Upper": "3"}

    found = asked[0].invoke_binding("http", "get", metadata=more).data

    names = {name.lower(): value for name, value in found.items()}
    assert "1" == names["upper"]
    assert not {"lower", "lower-upper", "path"} & set(names)


def test_a_second_store_for_actors_is_refused(asked: Asked) -> None:
    """One of the two has them."""
    first, second = (asked[1][name] for name in ACTORS)

    assert "" == first
    assert "detected duplicate actor state store" in second


def test_features_that_dapr_does_not_have_switch_nothing_off(asked: Asked) -> None:
    """PubSub and StateStore are disabled, and both work."""
    client, *_ = asked

    client.publish("pubsub", "t", {"n": 1})
    client.save_state("state", "k", 1)
    assert 1 == client.get_state("state", "k").value


def test_folders_below_a_resources_folder_are_not_read(asked: Asked) -> None:
    """One of the same name is not even looked at."""
    assert "below" not in {each.name for each in asked[0].metadata().components}


def test_kafka_takes_the_old_name_of_auth_type(asked: Asked) -> None:
    """``authRequired`` alone: daprd asks the broker, without TLS."""
    assert asked[2]["legacy"].first
    assert TLS_HELLO not in asked[2]["legacy"].first


def test_kafka_speaks_tls_unless_it_is_disabled_or_there_is_no_authentication(
    asked: Asked,
) -> None:
    """By the first byte of what a broker hears."""
    encrypted = {name for name, each in asked[2].items() if TLS_HELLO in each.first}

    assert {"tls"} == encrypted
    assert all(each.first for each in asked[2].values())


@pytest.mark.parametrize(
    ("name", "mechanism"),
    [("sha", b"SCRAM-SHA-256"), ("no-tls", b"PLAIN"), ("misspelled", b"PLAIN")],
)
def test_kafka_authenticates_by_plain_unless_the_mechanism_is_one_that_it_knows(
    asked: Asked, name: str, mechanism: bytes
) -> None:
    """``SCRAM-SHA-256`` is none of them: the password goes to the broker in the clear."""
    found = {body[-len(mechanism) - 2 :] for key, body in asked[2][name].requests
             if key == SASL_HANDSHAKE}  # fmt: skip

    assert {len(mechanism).to_bytes(2, "big") + mechanism} == found


def test_kafka_ignores_fields_that_it_does_not_have(asked: Asked) -> None:
    """Values that no such field could take, and it asks its broker all the same."""
    assert "run out of available brokers" in asked[1]["more"]


def test_two_components_of_one_name_end_daprd(runtime: ProcessRuntime, tmp_path: Path) -> None:
    """Even if their errors are to be ignored."""
    twins = {f"r__{kind}_yaml": component(f"{kind}.in-memory", "c") for kind in ("pubsub", "state")}
    daprd, client = start(runtime, 1, project(tmp_path, **twins))
    client.close()

    def ended() -> Observation:
        return Observation(daprd.state is State.EXITED, "daprd is running")

    seen = poll(ended, Deadline(LONG))
    assert seen.ok, seen.fact
    assert "duplicate definition of Component name c" in daprd.log.read_text()


def test_a_namespace_decides_only_if_daprd_has_one(asked: Asked, tmp_path: Path) -> None:
    """With NAMESPACE, a component of another namespace is left out; without, it is loaded."""
    assert "" == asked[1]["elsewhere"]
    text = component("state.in-memory", "c").replace(
        '"name": "c"', '"name": "c", "namespace": "elsewhere"'
    )
    here = component("state.in-memory", "h").replace(
        '"name": "h"', '"name": "h", "namespace": "here"'
    )
    project(tmp_path, r__c_yaml=text, r__h_yaml=here)
    with ProcessRuntime({"PATH": os.environ["PATH"], "NAMESPACE": "here"}) as runtime:
        daprd, client = start(runtime, 0, tmp_path)
        with client:
            check = HealthCheck(client, outbound=True, name="outbound")
            assert (seen := poll(lambda: alive(daprd, check.observe()), Deadline(LONG))).ok, seen
            loaded = {each.name for each in client.metadata().components}

    assert {"h"} == loaded
