"""A receiver that requires credentials, with daprd's own bindings as clients, on every runtime."""

from __future__ import annotations

import smtplib
import sys
from collections.abc import Iterator

import httpx
import pytest

from harness import App, ConfigError, DaprError, Receiver, Settings, Stack, Topology, World, running
from harness.core.node import Target
from tests.contract.test_broker_credentials import APP, SECRETS
from tests.support import project

MAIL = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: {name}}}
spec:
  type: bindings.smtp
  version: v1
  metadata:
  - {{name: host, value: "${{receiver.host}}"}}
  - {{name: port, value: "${{receiver.smtp}}"}}
  - {{name: emailFrom, value: a@example.org}}
  - {{name: subject, value: hello}}
  - {{name: skipTLSVerify, value: "{unchecked}"}}
  - {{name: user, value: "${{receiver.username}}"}}
  - {{name: password, secretKeyRef: {{name: {secret}, key: {secret}}}}}
auth: {{secretStore: env}}
"""

HOOK = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: {name}}}
spec:
  type: bindings.http
  version: v1
  metadata:
  - {{name: url, value: "${{receiver.url}}/hooks"}}
  - {{name: securityTokenHeader, value: Authorization}}
  - {{name: securityToken, secretKeyRef: {{name: {secret}, key: {secret}}}}}
auth: {{secretStore: env}}
"""


@pytest.fixture(scope="module", params=["processes", "containers"])
def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """An app whose sidecar has each binding with the right secret and with a wrong one."""
    if request.param == "containers":
        request.getfixturevalue("images")
    mails = [("mail", "PASSWORD", "true"), ("mail-wrong", "OTHER", "true")]
    mails.append(("mail-checked", "PASSWORD", "false"))
    folder = project(
        tmp_path_factory.mktemp("receiver"),
        shop_py=APP,
        c__env_yaml=SECRETS,
        c__mail_yaml="---\n".join(
            MAIL.format(name=name, secret=secret, unchecked=unchecked)
            for name, secret, unchecked in mails
        ),
        c__hook_yaml="---\n".join(
            HOOK.format(name=name, secret=secret)
            for name, secret in (("hook", "TOKEN"), ("hook-wrong", "OTHER"))
        ),
    )
    secrets = {
        "PASSWORD": "${receiver.password}", "TOKEN": "Bearer ${receiver.token}", "OTHER": "wrong",
    }  # fmt: skip
    shop = App("shop", command=[sys.executable, "shop.py", "{port}"], sidecar_env=secrets)
    receiver = Receiver(mail_auth=True, starttls=True, bearer=True)
    topology = Topology(receiver, shop, resources="c")
    with running(topology, Settings.load(folder, runtime=request.param)) as opened:
        yield opened


@pytest.fixture
def world(stack: Stack) -> Iterator[World]:
    with World(stack) as opened:
        yield opened


def send(world: World, binding: str, **metadata: str) -> None:
    world.sidecar("shop").invoke_binding(binding, "create", "text", metadata=metadata)


@pytest.mark.real
def test_a_mail_with_the_password_is_accepted_and_one_with_another_is_told(world: World) -> None:
    """Dapr's error names the component and has the server's own words."""
    address = f"{world.name('to')}@example.org"
    send(world, "mail", emailTo=address)

    with pytest.raises(DaprError, match=r"mail-wrong: .*535 .5\.7\.8 Authentication"):
        send(world, "mail-wrong", emailTo=address)
    assert "hello" == world.inbox("receiver").next(method="MAIL", path=address).data["subject"]
    assert 1 == len(world.inbox("receiver", from_beginning=True).all(method="MAIL", path=address))


@pytest.mark.real
def test_the_binding_trusts_only_the_authorities_of_the_machine(world: World) -> None:
    """It has no field for another one, so the stack's own server needs skipTLSVerify."""
    with pytest.raises(DaprError, match=r"mail-checked: .*unknown authority"):
        send(world, "mail-checked", emailTo="a@example.org")


@pytest.mark.real
def test_a_request_with_the_token_is_accepted_and_one_with_another_is_told(world: World) -> None:
    """The record has both, without the token."""
    path = f"/{world.name('hook')}"
    send(world, "hook", path=path)

    with pytest.raises(DaprError, match=r"hook-wrong: .*401"):
        send(world, "hook-wrong", path=path)
    first, second = world.inbox("receiver").collect(2, path=f"/hooks{path}")
    assert [(202, ""), (401, "unauthorized: another token")] == [
        (each.status, each.answer) for each in (first, second)
    ]
    assert "authorization" not in {name.lower() for name in (*first.headers, *second.headers)}


@pytest.mark.real
def test_a_stranger_can_send_nothing(world: World) -> None:
    """No mail without TLS, none without a password, no request without a token."""
    receiver = world.exports("receiver")
    with smtplib.SMTP("127.0.0.1", int(receiver["smtp"]), timeout=20) as client:
        assert 530 == client.docmd("MAIL", "FROM:<a@example.org>")[0]
        client.starttls()
        client.ehlo()
        assert 530 == client.docmd("MAIL", "FROM:<a@example.org>")[0]
    answer = httpx.post(f"{receiver['url']}/hooks/stranger", trust_env=False)
    assert (401, "unauthorized: no bearer token") == (answer.status_code, answer.text)


def test_a_receiver_without_mail_cannot_require_its_credentials() -> None:
    with pytest.raises(ConfigError, match="'hooks' has mail=False"):
        Receiver("hooks", mail=False, starttls=True)


def test_a_certificate_is_not_rendered() -> None:
    """Its private key would be in the file."""
    with pytest.raises(ConfigError, match="starttls needs the harness"):
        Receiver(starttls=True).resolve(Target("containers", alone=True))
