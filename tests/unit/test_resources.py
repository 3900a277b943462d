"""Resources are read as daprd reads them, and checked where daprd is silent."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harness import ConfigError
from harness.dapr.finding import Finding
from harness.dapr.known import pinned
from harness.dapr.lint import check_resources, require_sound
from harness.dapr.resources import for_app, read_resources
from tests.projects import COMPONENT
from tests.support import ROOT, project

KAFKA = COMPONENT.replace("value: x", 'value: "${kafka.brokers}"')


def findings(folder: Path, text: str, **variables: str) -> list[Finding]:
    """What is wrong with one file."""
    project(folder, r__c_yaml=text)
    return check_resources(read_resources([folder / "r"]), ["app"], variables, folder)


def test_a_valid_component_has_no_findings(tmp_path: Path) -> None:
    """The base of the tests below."""
    assert findings(tmp_path, KAFKA) == []


def test_the_reference_components_have_no_findings() -> None:
    """The ones that newcomers copy."""
    apps = ["backend-service", "frontend", "notification-service", "recurring-task-service"]
    variables = {"STATE_STORE_DSN": "x"}
    found = check_resources(read_resources([ROOT / "components"]), apps, variables, ROOT)

    assert found == []


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("pubsub.kafka", "pubsub.kakfa", 6, "unknown type 'pubsub.kakfa'"),
        ("version: v1", "version: v9", 7, "no version 'v9'"),
        ("name: brokers", "name: broker", 8, "lacks the required field 'brokers'"),
        ("name: authType", "name: clientId", 8, "lacks the required field 'authType'"),
    ],
)
def test_a_mistake_is_found_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, message: str
) -> None:
    """File, line and the word."""
    first = findings(tmp_path, KAFKA.replace(old, new, 1))[0]

    assert message in str(first)
    assert first.place.endswith(f"c.yaml:{line}")
    assert first.severity == "error"


def test_an_unknown_field_is_a_warning_with_a_suggestion(tmp_path: Path) -> None:
    """daprd would ignore it in silence."""
    text = KAFKA + "    - name: initalOffset\n      value: oldest\n"

    (found,) = findings(tmp_path, text)

    assert (found.severity, found.place.rpartition(":")[2]) == ("warning", "13")
    assert "did you mean 'initialOffset'" in found.hint


FOREIGN = {
    "a misspelled kind": KAFKA.replace("kind: Component", "kind: Componet"),
    "an apiVersion that Dapr does not have": KAFKA.replace("v1alpha1", "v1"),
    "a Deployment": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n",
    "a compose file": "services: {redis: {image: redis}}\n",
    "a list": "- a\n- b\n",
    "a template of a chart": "{{ if .Values.x }}\na: [1\n{{ end }}\n",
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_what_daprd_ignores_is_a_warning_and_not_given_to_a_sidecar(
    tmp_path: Path, text: str
) -> None:
    """Whatever lies in the folder beside the resources, also twice."""
    (found,) = findings(tmp_path, text)
    project(tmp_path, r__d_yaml=text)

    assert ("warning", True) == (found.severity, found.place.startswith(f"{tmp_path}/r/c.yaml:"))
    assert [] == for_app(read_resources([tmp_path / "r"]), "app")


@pytest.mark.parametrize(
    "item",
    ["{name: schedule, value: null}", "{name: schedule, value: ''}", "{name: schedule}"],
    ids=["null", "empty", "nothing"],
)
def test_a_required_field_without_a_value_is_missing(tmp_path: Path, item: str) -> None:
    """daprd reads null as an empty text."""
    text = COMPONENT[: COMPONENT.index("  type:")] + (
        f"  type: bindings.cron\n  version: v1\n  metadata: [{item}]\n"
    )

    (found,) = findings(tmp_path, text)

    assert "lacks the required field 'schedule'" in found.message
    assert "error" == found.severity


@pytest.mark.parametrize(
    ("kind", "field", "value", "severity"),
    [
        ("state.in-memory", "x", "y", "warning"),
        ("pubsub.kafka", "disableTls", "maybe", "warning"),
        ("state.redis", "failover", "maybe", "error"),
        ("pubsub.kafka", "maxMessageBytes", "1.5", "warning"),
        ("pubsub.kafka", "maxMessageBytes", "many", "error"),
        ("pubsub.kafka", "maxMessageBytes", "", "warning"),
        ("pubsub.kafka", "sessionTimeout", "P1D", "error"),
        ("pubsub.kafka", "saslMechanism", "sha-256", "warning"),
        ("pubsub.kafka", "saslMechanism", "SHA-257", "warning"),
        ("pubsub.kafka", "initialOffset", "latest", "error"),
        ("state.memcached", "timeout", "5s", "error"),
        ("state.redis", "redeliverInterval", "P1D", "warning"),
    ],
)
def test_a_value_is_an_error_if_daprd_refuses_it_and_a_warning_if_it_reads_another(
    tmp_path: Path, kind: str, field: str, value: str, severity: str
) -> None:
    """tests/claims/test_lint_agrees.py asks daprd."""
    text = COMPONENT[: COMPONENT.index("  type:")] + (
        f"  type: {kind}\n  version: v1\n  metadata: [{{name: {field}, value: '{value}'}}]\n"
    )

    found = [each.severity for each in findings(tmp_path, text) if field in each.message]

    assert [severity] == found


@pytest.mark.parametrize(
    ("kind", "version", "known"),
    [
        ("bindings.postgresql", "v1", True),
        ("state.cockroachdb", "v2", True),
        ("state.yugabyte", "v2", True),
        ("state.yugabyte", "v1", False),
        ("crypto.dapr.jwks", "v1", True),
        ("crypto.jwks", "v1", False),
        ("nameresolution.sqlite", "v1", False),
    ],
)
def test_a_type_is_known_if_daprd_registers_it(
    tmp_path: Path, kind: str, version: str, known: bool
) -> None:
    """Whatever metadata.yaml calls it, and in which versions."""
    text = COMPONENT[: COMPONENT.index("  type:")] + f"  type: {kind}\n  version: {version}\n"

    found = {each.severity for each in findings(tmp_path, text)}

    assert known == ("error" not in found)


@pytest.mark.parametrize(
    ("component", "field", "severity"),
    [
        ("bindings.localstorage", "rootPath", "error"),
        ("bindings.localstorage", "fileName", "warning"),
        ("pubsub.kafka", "brokers", "error"),
    ],
)
def test_a_missing_field_is_an_error_where_daprd_asks_for_it(
    tmp_path: Path, component: str, field: str, severity: str
) -> None:
    """metadata.yaml calls more of them required."""
    text = COMPONENT[: COMPONENT.index("  type:")] + f"  type: {component}\n  version: v1\n"
    found = {each.message: each.severity for each in findings(tmp_path, text)}

    message = f"component 'pubsub' ({component}) lacks the required field {field!r}"
    assert severity == found[message]


@pytest.mark.parametrize(
    "mark", ["version: v9 # dapr-harness: ignore", "# dapr-harness: ignore, see #1\n  version: v9"]
)
def test_a_comment_silences_what_is_found_on_its_line_or_the_next(
    tmp_path: Path, mark: str
) -> None:
    """And nothing else."""
    text = KAFKA.replace("version: v1", mark, 1)

    assert [] == findings(tmp_path, text)
    assert ["unknown type"] == [
        "unknown type" for each in findings(tmp_path, text.replace("pubsub.kafka", "pubsub.x", 1))
        if "unknown type" in each.message
    ]  # fmt: skip


def test_strict_turns_warnings_into_errors(tmp_path: Path) -> None:
    """A setting, for those who want it; daprd would start."""
    found = findings(tmp_path, KAFKA + "scopes: [ap]\n")

    require_sound(found)
    with pytest.raises(ConfigError, match="not an app of this topology"):
        require_sound(found, strict=True)


def test_scopes_inside_spec_are_a_warning(tmp_path: Path) -> None:
    """There they have no effect, and the resource applies to every app."""
    text = KAFKA.replace("spec:\n", "spec:\n  scopes: [app]\n")

    (found,) = findings(tmp_path, text)

    assert "`scopes` inside `spec` is ignored" in found.message
    assert "warning" == found.severity


def test_a_scope_that_names_no_app_is_a_warning(tmp_path: Path) -> None:
    """Likely a typo."""
    (found,) = findings(tmp_path, KAFKA + "scopes: [ap]\n")

    assert (found.severity, found.hint[:19]) == ("warning", "did you mean 'app'?")


def test_a_syntax_error_names_file_and_line(tmp_path: Path) -> None:
    """Before anything starts."""
    project(tmp_path, r__c_yaml=KAFKA.replace("version: v1", "version: [v1"))

    with pytest.raises(ConfigError, match=r"c\.yaml:8: not valid YAML"):
        read_resources([tmp_path / "r"])


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """daprd would start without any component."""
    with pytest.raises(ConfigError, match="does not exist"):
        read_resources([tmp_path / "none"])


SECRET = KAFKA.replace("      value: none\n", "      secretKeyRef: {name: auth, key: auth}\n")
STORE = """\
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
spec:
  type: secretstores.local.%s
  version: v1
  metadata: [{name: secretsFile, value: r/s.json}]
"""


@pytest.mark.parametrize(
    ("more", "message", "optional"),
    [
        ("", "no `auth.secretStore`", "warning"),
        ("auth: {secretStore: stroe}\n" + STORE % "file", "no secret store 'stroe'", "error"),
        ("auth: {secretStore: store}\n" + STORE % "file", "store has no secret 'auth'", "warning"),
        (
            "auth: {secretStore: store}\n" + STORE.replace("s.json", "x.json") % "file",
            "x.json cannot be read",
            "error",
        ),
        ("auth: {secretStore: store}\n" + STORE % "env", "no variable 'auth'", "warning"),
    ],
)
def test_a_secret_that_cannot_be_resolved_is_an_error_where_daprd_asks_for_the_field(
    tmp_path: Path, more: str, message: str, optional: str
) -> None:
    """daprd continues with an empty value, unless the store does not exist or fails."""
    project(tmp_path, r__s_json='{"auht": "x"}')
    other = SECRET.replace("name: authType", "name: clientID")

    asked = findings(tmp_path, SECRET + more)
    not_asked = findings(tmp_path, other + more)

    assert ["error"] == [each.severity for each in asked if message in each.message]
    assert [optional] == [each.severity for each in not_asked if message in each.message]


def test_a_secret_that_resolves_is_fine(tmp_path: Path) -> None:
    """From a file, nested names flattened as daprd does, and from a variable."""
    text = SECRET.replace("auth, key: auth", '"a:b", key: "a:b"') + "auth: {secretStore: store}\n"
    project(tmp_path, r__s_json='{"a": {"b": "none"}}')

    from_file = findings(tmp_path, text + STORE % "file")
    variable = SECRET + "auth: {secretStore: store}\n"
    from_env = findings(tmp_path, variable + STORE.partition("  metadata: [")[0] % "env", auth="x")

    assert ([], []) == (from_file, from_env)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("{name: kafka, key: password}", ""),
        ("{name: kafka, key: passwrod}", "secret 'kafka' has no key 'passwrod'"),
        ("{name: kafak, key: password}", "has no secret 'kafak'"),
    ],
    ids=["right", "key", "name"],
)
def test_a_key_that_a_secret_does_not_have_is_an_error(
    tmp_path: Path, reference: str, message: str
) -> None:
    """A secret of several values; the key is looked for, with a suggestion."""
    project(tmp_path, r__s_json='{"kafka": {"password": "x", "user": "y"}}')
    store = STORE.replace(
        "value: r/s.json}", "value: r/s.json}, {name: multiValued, value: 'true'}"
    )
    text = SECRET.replace("{name: auth, key: auth}", reference) + "auth: {secretStore: store}\n"

    found = findings(tmp_path, text + store % "file")

    assert bool(message) == bool(found)
    if message:
        assert message in found[0].message
        assert "did you mean" in found[0].hint
        assert "error" == found[0].severity


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    """One run shows every mistake."""
    text = KAFKA.replace("pubsub.kafka", "pubsub.x")

    with pytest.raises(ConfigError, match=r"(?s)unknown type.*unknown type"):
        require_sound(findings(tmp_path, text + "---\n" + text))


def test_scopes_decide_what_a_sidecar_loads(tmp_path: Path) -> None:
    """And two of one name for one app are refused, as daprd would."""
    twin = KAFKA + "scopes: [%s]\n"
    project(tmp_path, r__a_yaml=twin % "one", r__b_yaml=twin % "two", r__c_yaml=twin % "two")
    resources = read_resources([tmp_path / "r"])

    assert ["a.yaml"] == [each.file.name for each in for_app(resources, "one")]
    with pytest.raises(ConfigError, match=r"c\.yaml:1: Component 'pubsub' exists twice for two"):
        for_app(resources, "two")


def test_folders_below_are_not_read(tmp_path: Path) -> None:
    """As daprd does: one folder, no further."""
    project(tmp_path, r__a_yaml=KAFKA, r__below__b_yaml=KAFKA, r__c_txt=KAFKA)

    assert ["a.yaml"] == [each.file.name for each in read_resources([tmp_path / "r"])]


@pytest.mark.parametrize(("field", "value"), [("maxRetries", "3"), ("retryBackoff", "exponential")])
def test_fields_that_kafka_does_not_have(tmp_path: Path, field: str, value: str) -> None:
    """Retries are `backOff*`, or a Resiliency resource."""
    text = KAFKA + f"    - {{name: {field}, value: '{value}'}}\n"

    assert any(f"no field {field!r}" in each.message for each in findings(tmp_path, text))


def test_correct_fields_of_the_seed_documents_have_no_findings(tmp_path: Path) -> None:
    """Fields that the seed documents describe correctly."""
    more = {"disableTls": "true", "initialOffset": "oldest", "maxMessageBytes": "1048576"}
    text = KAFKA + "".join(f"    - {{name: {n}, value: '{v}'}}\n" for n, v in more.items())
    store = COMPONENT[: COMPONENT.index("  type:")] + (
        "  type: state.postgresql\n  version: v2\n  metadata:\n"
        "  - {name: connectionString, value: x}\n  - {name: actorStateStore, value: 'true'}\n"
    )

    assert [] == findings(tmp_path, text)
    assert [] == findings(tmp_path, store)


def test_a_later_folder_replaces_what_has_the_same_kind_and_name(tmp_path: Path) -> None:
    """Redis instead of PostgreSQL is one file; other resources stay."""
    other = KAFKA.replace("pubsub.kafka", "pubsub.redis")
    stays = KAFKA.replace("name: pubsub", "name: events")
    project(tmp_path, a__pubsub_yaml=KAFKA, a__events_yaml=stays, b__mine_yaml=other)

    found = read_resources([tmp_path / "a", tmp_path / "b"])

    assert {("events", "pubsub.kafka"), ("pubsub", "pubsub.redis")} == {
        (each.name, each.type) for each in found
    }


def test_filling_touches_every_string_and_knows_its_line(tmp_path: Path) -> None:
    """What is written for the sidecar is the same document, filled."""
    project(tmp_path, r__c_yaml=KAFKA)
    (resource,) = read_resources([tmp_path / "r"])
    places = []

    def fill(text: str, where: str) -> str:
        places.append(where) if "$" in text else None
        return text.replace("${kafka.brokers}", "h:1")

    filled = yaml.safe_load(resource.filled(fill).text)

    assert filled == yaml.safe_load(KAFKA.replace("${kafka.brokers}", "h:1"))
    assert places == [f"{tmp_path}/r/c.yaml:10"]


def test_the_table_of_types_knows_what_dapr_has() -> None:
    """Generated from Dapr's own sources, see `harness.provision.metadata`."""
    table = pinned().types

    assert {"v1", "v2"} == set(table["state.postgresql"])
    assert table["pubsub.kafka"]["v1"]["required"] == ["brokers"]
    assert len(table) > 100


@pytest.mark.parametrize(
    ("old", "new", "message", "hint"),
    [
        ("authType\n      value: none", "authType\n      value: nome", "does not take", "'none'"),
        ("name: authType", "name: saslMechanism\n      value: SCRAM-SHA-256\n    - name: authType",
         "saslMechanism does not take 'SCRAM-SHA-256'", "SHA-256"),
        ("name: authType", "name: initialOffset\n      value: latest\n    - name: authType",
         "initialOffset does not take 'latest'", "newest"),
        ("name: authType", "name: maxMessageBytes\n      value: 1 MB\n    - name: authType",
         "maxMessageBytes is '1 MB'", "a whole number"),
        ("name: authType", "name: sessionTimeout\n      value: soon\n    - name: authType",
         "sessionTimeout is 'soon'", "5s"),
        ("name: authType", "name: disableTls\n      value: maybe\n    - name: authType",
         "disableTls is 'maybe'", "true"),
        ("name: authType", "name: consumerGroup\n      value: all\n    - name: authType",
         "consumer group 'all'", "{appID}"),
        ("value: \"${kafka.brokers}\"", "value: a:1, b:2", "does not trim", "spaces"),
        ("apiVersion: dapr.io/v1alpha1", "apiVersion: dapr.io/v1", "of dapr.io/v1", "v1alpha1"),
    ],
)  # fmt: skip
def test_a_value_that_the_component_does_not_take(
    tmp_path: Path, old: str, new: str, message: str, hint: str
) -> None:
    """Words, numbers, durations; and what is known of a type beyond its fields."""
    assert old in KAFKA

    (found,) = findings(tmp_path, KAFKA.replace(old, new))

    assert message in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        ("Configuration", "{features: [{name: PubSub, enabled: true}]}", "not a feature of Dapr"),
        ("Subscription", "{pubsubname: p, topic: t, routes: {default: /x}}", "lacks 'route'"),
        ("Subscription", "{pubsubname: p, route: /x}", "lacks 'topic'"),
    ],
)
def test_configurations_and_subscriptions_are_checked(
    tmp_path: Path, kind: str, spec: str, message: str
) -> None:
    """Configurations and subscriptions; these are of v1alpha1."""
    head = f"apiVersion: dapr.io/v1alpha1\nkind: {kind}\nmetadata: {{name: x}}\n"

    # What a field of another version is called besides, comes after.
    found, *_ = findings(tmp_path, f"{head}spec: {spec}\n")

    assert message in found.message


RESILIENCY = """\
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: r}
spec:
  policies:
    retries:
      again: {policy: constant, duration: 1s, maxRetries: 3}
  targets:
    apps:
      app: {retry: again}
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "message", "severity"),
    [
        ("maxRetries", "maxRetry", 7, "no field 'spec.policies.retries.again.maxRetry'", "warning"),
        ("targets", "target", 8, "no field 'spec.target'", "warning"),
        ("maxRetries: 3", "maxRetries: '3'", 7, "maxRetries is '3'", "error"),
        ("duration: 1s", "duration: 5", 7, "duration is 5", "error"),
        ("apps:\n      app: {retry: again}", "apps: [app]", 9, "apps is", "error"),
    ],
)
def test_fields_of_every_kind_are_checked(  # noqa: PLR0917 - a table of cases
    tmp_path: Path, old: str, new: str, line: int, message: str, severity: str
) -> None:
    """daprd would ignore them in silence, or leave out the whole resource."""
    assert [] == findings(tmp_path, RESILIENCY)

    (found,) = findings(tmp_path, RESILIENCY.replace(old, new))

    assert message in found.message
    assert (severity, f":{line}") == (found.severity, found.place[-len(f":{line}") :])


def test_a_placeholder_may_stand_for_any_value(tmp_path: Path) -> None:
    """Its value is not known yet."""
    text = RESILIENCY.replace("maxRetries: 3", 'maxRetries: "${node.number}"')

    assert [] == findings(tmp_path, text)
