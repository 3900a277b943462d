"""A multi-app run file: what each field means, which one wins, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness import ConfigError, Kafka, Postgres
from harness.core.endpoint import Endpoint
from harness.nodes.app import App
from harness.nodes.sidecar import Sidecar
from harness.runfile.read import RunApp, read_runfile
from harness.runfile.topology import multi_app, topology_of, unread
from harness.stack.book import AddressBook
from tests.support import project
from tests.unit.test_secrets_file import Tools

OWN = "the stack has a placement service of its own"
EVERY_FIELD = """\
version: 1
name: shop
common:
  env: {COLOUR: red, DEBUG: true}
  logLevel: debug
  appHealthProbeInterval: 2
apps:
- appDirPath: web
  appID: checkout
  appProtocol: h2c
  appPort: 8080
  appChannelAddress: 127.0.0.1
  daprHTTPPort: 3501
  daprGRPCPort: 50002
  daprInternalGRPCPort: 50003
  metricsPort: 9091
  command: ["python3", "app.py", 1]
  env: {COLOUR: green}
  apiListenAddresses: 127.0.0.1
  appMaxConcurrency: 4
  enableProfiling: true
  profilePort: 7778
  enableApiLogging: true
  enableAppHealthCheck: true
  appHealthCheckPath: /ready
  appHealthProbeTimeout: 500
  appHealthThreshold: 2
  daprMaxBodySize: 8Mi
  daprReadBufferSize: 8Ki
  appLogDestination: console
  daprdLogDestination: fileAndConsole
"""


def only(folder: Path, text: str) -> RunApp:
    """The one app of a file."""
    project(folder, dapr_yaml=text)
    (folder / "web").mkdir(exist_ok=True)
    (app,) = read_runfile(folder / "dapr.yaml").apps
    return app


def small(more: str = "", common: str = "") -> str:
    """A file with one app."""
    return f"version: 1\n{common}apps:\n- appDirPath: web\n{more}"


def test_every_field_has_its_meaning(tmp_path: Path) -> None:
    """As flags of daprd, as fixed ports, as the app's own."""
    app = only(tmp_path, EVERY_FIELD)

    assert ("checkout", tmp_path / "web", 8080) == (app.app_id, app.folder, app.port)
    assert ("python3", "app.py", "1") == app.command
    assert {"COLOUR": "green", "DEBUG": "true"} == app.env
    assert {"http": 3501, "grpc": 50002, "internal": 50003, "metrics": 9091} == app.ports
    assert ("console", "fileAndConsole") == (app.app_log, app.daprd_log)
    assert {
        "app-protocol": "h2c",
        "app-channel-address": "127.0.0.1",
        "dapr-listen-addresses": "127.0.0.1",
        "app-max-concurrency": "4",
        "enable-profiling": "true",
        "profile-port": "7778",
        "enable-api-logging": "true",
        "enable-app-health-check": "true",
        "app-health-check-path": "/ready",
        "app-health-probe-interval": "2",
        "app-health-probe-timeout": "500",
        "app-health-threshold": "2",
        "max-body-size": "8Mi",
        "read-buffer-size": "8Ki",
        "log-level": "debug",
    } == app.flags


def test_what_is_left_out_has_the_defaults_of_the_cli(tmp_path: Path) -> None:
    """The folder's name is the app-id; an app without a port does not listen."""
    app = only(tmp_path, small())

    assert ("web", (), None) == (app.app_id, app.command, app.port)
    assert ("fileAndConsole", "file") == (app.app_log, app.daprd_log)
    assert ((), None) == (app.resources, app.configuration)


@pytest.mark.parametrize(
    ("own", "common", "expected"),
    [
        ("  resourcesPaths: [own]\n", "common: {resourcesPaths: [shared]}\n", "web/own"),
        ("  resourcesPath: own\n", "common: {resourcesPaths: [shared]}\n", "web/own"),
        ("", "common: {resourcesPath: shared}\n", "web/.dapr/resources"),
        ("", "", "web/.dapr/resources"),
    ],
    ids=["own", "the deprecated spelling", "the folder's before common", "the folder's"],
)
def test_an_apps_own_resources_come_before_the_common_ones(
    tmp_path: Path, own: str, common: str, expected: str
) -> None:
    """An app's paths start at its folder, common ones at the file."""
    for name in ("web/own", "shared", "web/.dapr/resources"):
        (tmp_path / name).mkdir(parents=True)

    app = only(tmp_path, small(own, common))

    assert (tmp_path / expected,) == app.resources


def test_what_is_common_counts_where_an_app_has_nothing(tmp_path: Path) -> None:
    """Neither a field nor a `.dapr` folder."""
    project(tmp_path, c_yaml="", shared__x_yaml="")

    app = only(tmp_path, small("", "common: {resourcesPath: shared, configFilePath: c.yaml}\n"))

    assert ((tmp_path / "shared",), tmp_path / "c.yaml") == (app.resources, app.configuration)


def test_a_field_without_a_value_does_not_hide_the_common_one(tmp_path: Path) -> None:
    """An empty value is none, as in the CLI."""
    app = only(
        tmp_path, small("  logLevel:\n  appSSL: ~\n", "common: {logLevel: debug, appSSL: true}\n")
    )

    assert {"log-level": "debug", "app-protocol": "https"} == app.flags


def test_the_first_wrong_field_of_the_file_is_named(tmp_path: Path) -> None:
    """In the order of the file, with its own line."""
    text = small("  metricsPort: x\n  appPort: y\n", "common: {1: 2}\n")
    project(tmp_path, dapr_yaml=text, web__x_txt="")

    with pytest.raises(ConfigError, match=r"yaml:5: .*\n.*up to 65535\n.*metricsPort is 'x'"):
        read_runfile(tmp_path / "dapr.yaml")


def test_both_spellings_of_resources_are_read(tmp_path: Path) -> None:
    """As the CLI adds the deprecated one to the other."""
    for name in ("web/a", "web/b"):
        (tmp_path / name).mkdir(parents=True)

    app = only(tmp_path, small("  resourcesPaths: [a]\n  resourcesPath: b\n"))

    assert (tmp_path / "web/a", tmp_path / "web/b") == app.resources


def test_paths_may_be_one_text_with_commas(tmp_path: Path) -> None:
    """As an example of the documentation has it."""
    for name in ("web/a", "web/b"):
        (tmp_path / name).mkdir(parents=True)

    app = only(tmp_path, small("  resourcesPaths: a, b\n"))

    assert (tmp_path / "web/a", tmp_path / "web/b") == app.resources


@pytest.mark.parametrize(
    ("own", "common", "expected"),
    [
        ("  configFilePath: own.yaml\n", "common: {configFilePath: c.yaml}\n", "web/own.yaml"),
        ("", "common: {configFilePath: c.yaml}\n", "web/.dapr/config.yaml"),
        ("", "", "web/.dapr/config.yaml"),
    ],
    ids=["own", "the folder's before common", "the folder's"],
)
def test_an_apps_own_configuration_comes_first(
    tmp_path: Path, own: str, common: str, expected: str
) -> None:
    """Likewise."""
    project(tmp_path, web__own_yaml="", c_yaml="")
    (tmp_path / "web/.dapr").mkdir()
    (tmp_path / "web/.dapr/config.yaml").touch()

    assert tmp_path / expected == only(tmp_path, small(own, common)).configuration


CONFIGURATION = """\
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: NAME}
spec: {}
"""


@pytest.mark.parametrize(
    ("field", "expected"),
    [("", []), ("  configFilePath: r/named.yaml\n", ["named"])],
    ids=["none is named", "one of the folder is named"],
)
def test_a_configuration_counts_only_where_it_is_named(
    tmp_path: Path, field: str, expected: list[str]
) -> None:
    """In a folder of resources daprd does not read it; one that is named there counts once."""
    project(
        tmp_path,
        dapr_yaml=small(f"  resourcesPath: r\n{field}"),
        web__r__named_yaml=CONFIGURATION.replace("NAME", "named"),
        web__r__other_yaml=CONFIGURATION.replace("NAME", "other"),
    )
    file = read_runfile(tmp_path / "dapr.yaml")
    book = AddressBook(topology_of(file), Tools(), tmp_path, tmp_path, lambda _: Endpoint("", 1))

    assert expected == [each.name for each in book.resources("web-daprd")]
    ignored = {line.split("'")[1] for line in unread(file) if "configFilePath" in line}
    assert {"named", "other"} - {*expected} == ignored


def test_deprecated_spellings_still_work(tmp_path: Path) -> None:
    """With the flags that daprd still has for them."""
    app = only(
        tmp_path,
        small(
            "  appSSL: true\n  appProtocol: grpc\n  daprHTTPMaxRequestSize: 8\n"
            "  daprHTTPReadBufferSize: 16\n"
        ),
    )

    assert {
        "app-protocol": "grpcs",
        "dapr-http-max-request-size": "8",
        "dapr-http-read-buffer-size": "16",
    } == app.flags


def test_words_and_variables_are_the_text_that_the_file_has(tmp_path: Path) -> None:
    """As the CLI passes them on: a version stays 1.10, a switch yes, and nothing is empty."""
    text = """\
  appID: 007
  command: [serve, 1.10, yes, 0755, 2024-01-01, "1.0"]
  env: &env {VERSION: 1.10, DEBUG: yes, MODE: 0755, EMPTY: , "1": ~}
- appDirPath: .
  env: {<<: *env, DEBUG: no}
"""
    project(tmp_path, dapr_yaml=small(text), web__x_txt="")

    web, other = read_runfile(tmp_path / "dapr.yaml").apps

    assert "007" == web.app_id
    assert ("serve", "1.10", "yes", "0755", "2024-01-01", "1.0") == web.command
    expected = {"VERSION": "1.10", "DEBUG": "yes", "MODE": "0755", "EMPTY": "", "1": ""}
    assert (expected, {**expected, "DEBUG": "no"}) == (web.env, other.env)


def test_a_folder_stands_for_its_dapr_yaml(tmp_path: Path) -> None:
    """`dapr run -f .` is the command of Dapr's own quickstarts."""
    project(tmp_path, dapr_yaml=small(), web__x_txt="")

    assert tmp_path / "dapr.yaml" == read_runfile(tmp_path).path
    with pytest.raises(ConfigError, match=r"web/dapr\.yaml does not exist"):
        read_runfile(tmp_path / "web")


def test_env_may_be_a_list(tmp_path: Path) -> None:
    """As older examples have it."""
    app = only(tmp_path, small("  env:\n  - A: 1\n  - B: two\n"))

    assert {"A": "1", "B": "two"} == app.env


def test_what_has_no_effect_here_is_named(tmp_path: Path) -> None:
    """With its line and the reason."""
    text = small("  containerImage: mine\n  placementHostAddress: somewhere:1\n")
    project(tmp_path, dapr_yaml=text)
    (tmp_path / "web").mkdir()

    ignored = read_runfile(tmp_path / "dapr.yaml").ignored

    assert [
        f"{tmp_path}/dapr.yaml:4: containerImage is ignored: it is for Kubernetes",
        f"{tmp_path}/dapr.yaml:5: placementHostAddress is ignored: {OWN}",
    ] == list(ignored)


@pytest.mark.parametrize(
    ("text", "ignored"),
    [
        (small(), []),
        (f"---\n{small()}---\n", []),
        (f"{small()}---\n{small()}", [":5: a further document is ignored, as by the Dapr CLI"]),
        (small().replace("1", "2"), [":1: version 2 is read as version 1, as by the Dapr CLI"]),
    ],
    ids=["as usual", "with marks", "two documents", "another version"],
)
def test_what_the_cli_reads_is_read(tmp_path: Path, text: str, ignored: list[str]) -> None:
    """Its first document, whatever its version; the rest is named."""
    project(tmp_path, dapr_yaml=text, web__x_txt="")

    file = read_runfile(tmp_path / "dapr.yaml")

    assert ["web"] == [app.app_id for app in file.apps]
    assert [f"{tmp_path}/dapr.yaml{line}" for line in ignored] == list(file.ignored)


def test_an_unknown_field_is_ignored_and_named(tmp_path: Path) -> None:
    """The CLI ignores it silently; a misspelling deserves a message."""
    project(tmp_path, dapr_yaml=small("  appPrt: 80\n", "commn: {}\n"))
    (tmp_path / "web").mkdir()

    ignored = read_runfile(tmp_path / "dapr.yaml").ignored

    assert ["2: commn", "5: appPrt"] == [line.split("yaml:")[1].split(" is")[0] for line in ignored]
    assert "did you mean 'appPort'?" in ignored[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 0\napps: []\n", r":1: .*\n.*expected: 1\n.*version 0"),
        ("version: one\napps: []\n", r":1: .*\n.*expected: 1\n.*version 'one'"),
        ("apps: []\n", r"version None"),
        ("version: 1\napps: []\n", r":2: (.|\n)*at least one app"),
        ("version: 1\napps:\n- appID: x\n", r":3: (.|\n)*without appDirPath"),
        (small("  appPort: eighty\n"), r":4: (.|\n)*a number .*\n.*appPort is 'eighty'"),
        (small("  enableApiLogging: 1\n"), r":4: (.|\n)*true or false"),
        (small("  appPort: true\n"), r":4: (.|\n)*a number"),
        (small("  command: [a]\n  appLogDestination: printer\n"), r":5: (.|\n)*fileAndConsole"),
        (small("  resourcesPaths: [none]\n"), r":4: (.|\n)*web/none does not exist"),
        (small("  configFilePath: none.yaml\n"), r":4: (.|\n)*none.yaml does not exist"),
        (small("  unixDomainSocket: /tmp/x\n"), r":4: (.|\n)*talks to sidecars by TCP"),
        ("version: 1\napps:\n- appDirPath: nowhere\n", r":3: (.|\n)*nowhere is not a folder"),
        ("version: 1\napps: [web]\n", r"a mapping of fields"),
        ("# nothing\n", r"dapr\.yaml is empty"),
        ("version: [1\n", r"not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    """What is wrong, what is expected, what may be meant."""
    (tmp_path / "web").mkdir()
    project(tmp_path, dapr_yaml=text)

    with pytest.raises(ConfigError, match=message):
        read_runfile(tmp_path / "dapr.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(ConfigError, match=r"dapr\.yaml does not exist"):
        read_runfile(tmp_path / "dapr.yaml")


def test_two_apps_of_one_id_are_refused(tmp_path: Path) -> None:
    """Without appID the folder decides, and both are the same."""
    (tmp_path / "web").mkdir()
    project(tmp_path, dapr_yaml=small() + "- appDirPath: web\n")

    with pytest.raises(ConfigError, match="two apps are named 'web'"):
        multi_app(tmp_path / "dapr.yaml")


def test_an_app_and_its_sidecar_are_nodes(tmp_path: Path) -> None:
    """The app at its own port; only a sidecar if there is no command."""
    text = small("  command: [./serve]\n  appPort: 8080\n") + "- {appDirPath: ., appID: b}\n"
    project(tmp_path, dapr_yaml=text)
    (tmp_path / "web").mkdir()
    (tmp_path / "web/serve").touch()

    topology = multi_app(tmp_path / "dapr.yaml", inbox=True, calls=True)

    app, sidecar = topology["web"], topology["web-daprd"]
    assert isinstance(app, App)
    assert isinstance(sidecar, Sidecar)
    assert ((str(tmp_path / "web/serve"),), 8080) == (app.command, app.port)
    assert ("web-inbox", False) == (sidecar.app_node, sidecar.token)
    assert "web-calls" in topology
    assert "b" not in topology
    alone = topology["b-daprd"]
    assert isinstance(alone, Sidecar)
    assert "" == alone.app_node


def test_an_apps_own_variables_come_last(tmp_path: Path) -> None:
    """After those that the CLI sets."""
    text = small("  command: [serve]\n  appProtocol: grpc\n  env: {APP_CHANNEL_ADDRESS: mine}\n")
    project(tmp_path, dapr_yaml=text, web__x_txt="")

    app = multi_app(tmp_path / "dapr.yaml")["web"]

    assert isinstance(app, App)
    assert {"APP_PROTOCOL": "grpc", "APP_CHANNEL_ADDRESS": "mine"} == app.env


def test_only_what_is_referred_to_comes_along(tmp_path: Path) -> None:
    """By env or by a resource; a Kafka that nothing refers to is not started."""
    (tmp_path / "web").mkdir()
    project(tmp_path, dapr_yaml=small('  env: {URL: "${postgres.dsn}"}\n'))

    file = read_runfile(tmp_path / "dapr.yaml")
    topology = topology_of(file, Kafka(), Postgres(), needed_only=True)

    assert "postgres" in topology
    assert "kafka" not in topology


THREE = """\
version: 1
apps:
- {appDirPath: ., appID: caller, command: [call]}
- {appDirPath: ., appID: listener, command: [listen], appPort: 8080}
- {appDirPath: ., appID: bare}
- {appDirPath: ., appID: other, command: [listen], appPort: 8081}
"""


def needs_of(folder: Path, **given: Any) -> dict[str, tuple[str, ...]]:
    """What each app of a file of three apps is started after."""
    project(folder, dapr_yaml=THREE)
    nodes = multi_app(folder / "dapr.yaml", **given).nodes
    return {node.name: node.needs for node in nodes if isinstance(node, App)}


def test_apps_that_only_call_start_after_those_that_listen(tmp_path: Path) -> None:
    """When their sidecars are ready, wherever they stand in the file."""
    assert {
        "caller": ("listener-daprd", "other-daprd"),
        "listener": (),
        "other": (),
    } == needs_of(tmp_path)


def test_the_order_can_be_given(tmp_path: Path) -> None:
    """Each of the chain after the one before; the rest as without one."""
    assert {
        "caller": ("other-daprd", "other"),
        "listener": ("caller-daprd", "caller"),
        "other": (),
    } == needs_of(tmp_path, order=["other", "caller", "listener"])
    assert {"caller": (), "listener": ("caller-daprd", "caller"), "other": ()} == needs_of(
        tmp_path, order=["caller", "listener"]
    )


@pytest.mark.parametrize(
    ("order", "message"),
    [
        (["caler", "other"], r"names 'caler'(.|\n)*the file has (.|\n)*did you mean 'caller'"),
        (["caller", "other", "caller"], r"names 'caller'(.|\n)*it is there twice"),
    ],
)
def test_an_order_that_cannot_be_kept_is_refused(
    tmp_path: Path, order: list[str], message: str
) -> None:
    """An app that is not there, and one that is there twice."""
    with pytest.raises(ConfigError, match=message):
        needs_of(tmp_path, order=order)
