"""How a cluster is reached, as kubeconfigs say it."""

from __future__ import annotations

import base64
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.core.errors import ConfigError, Unavailable
from harness.kubernetes.kubeconfig import Reached, reached_by
from harness.provision.authority import make_authority

SERVER = "https://127.0.0.1:6443"


def written(
    file: Path, name: str, *, cluster: dict[str, Any] | None = None, **user: Any
) -> dict[str, str]:
    """A kubeconfig with one context, and the environment that names it."""
    body = {
        "clusters": [{"name": name, "cluster": {"server": SERVER, **(cluster or {})}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(body))
    return {"KUBECONFIG": str(file)}


def reached(file: Path, **user: Any) -> Reached:
    return reached_by("mine", written(file, "mine", **user))


def test_a_context_names_a_server_and_a_token(tmp_path: Path) -> None:
    found = reached(tmp_path / "config", token="t")

    assert (SERVER, "t") == (found.access.url, found.access.token)
    assert found.access.tls
    assert ssl.CERT_REQUIRED == found.access.tls.verify_mode


def test_a_token_may_be_in_a_file_next_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")

    assert "from a file" == reached(tmp_path / "config", tokenFile="token").access.token


def test_without_the_variable_the_file_of_the_home_folder_is_read(tmp_path: Path) -> None:
    written(tmp_path / ".kube" / "config", "mine", token="of home")

    assert "of home" == reached_by("mine", {"HOME": str(tmp_path)}).access.token


def test_of_several_files_the_first_that_has_a_name_wins(tmp_path: Path) -> None:
    """As kubectl merges them; a file that does not exist is no error."""
    files = [tmp_path / name for name in ("missing", "a", "b", "c")]
    written(files[1], "other", token="a")
    written(files[2], "mine", token="b")
    written(files[3], "mine", token="c")

    found = reached_by("mine", {"KUBECONFIG": ":".join(map(str, files))})

    assert "b" == found.access.token


def test_a_program_may_provide_the_credentials(tmp_path: Path) -> None:
    """It is told what is asked of it, and has its own variables."""
    said = (
        "import json, os; asked = json.loads(os.environ['KUBERNETES_EXEC_INFO']);"
        "print(json.dumps({'status': {'token': asked['apiVersion'] + os.environ['OWN']}}))"
    )
    program = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", said],
        "env": [{"name": "OWN", "value": "!"}],
    }

    found = reached(tmp_path / "config", exec=program)

    assert "client.authentication.k8s.io/v1!" == found.access.token


@pytest.mark.parametrize(
    ("command", "args", "said"),
    [
        (sys.executable, ["-c", "raise SystemExit('log in first')"], "log in first"),
        (sys.executable, ["-c", "print('no JSON')"], "Expecting value"),
        ("/no/such/program", [], "No such file"),
    ],
)
def test_a_program_that_provides_none_is_named_with_its_message(
    tmp_path: Path, command: str, args: list[str], said: str
) -> None:
    with pytest.raises(Unavailable, match=f"{command} .* provides no credentials") as caught:
        reached(tmp_path / "config", exec={"command": command, "args": args})

    assert said in caught.value.last


def test_the_authority_is_that_of_the_cluster_and_no_other(tmp_path: Path) -> None:
    authority = make_authority()
    data = base64.b64encode(authority.anchors.encode()).decode()
    own = {"certificate-authority-data": data}

    found = reached_by("mine", written(tmp_path / "config", "mine", cluster=own, token="t"))

    assert found.access.tls
    assert 1 == len(found.access.tls.get_ca_certs())


def test_a_cluster_is_not_verified_if_its_user_has_said_so(tmp_path: Path) -> None:
    unverified = {"insecure-skip-tls-verify": True}
    environment = written(tmp_path / "config", "mine", cluster=unverified, token="t")

    found = reached_by("mine", environment)

    assert found.access.tls
    assert ssl.CERT_NONE == found.access.tls.verify_mode


def test_a_context_that_does_not_exist_is_told_with_one_that_does(tmp_path: Path) -> None:
    environment = written(tmp_path / "config", "staging", token="t")

    with pytest.raises(ConfigError, match="has no context named 'stagging'") as caught:
        reached_by("stagging", environment)

    assert "did you mean 'staging'?" in caught.value.hint


def test_a_machine_without_a_kubeconfig_is_told_where_one_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no kubeconfig") as caught:
        reached_by("mine", {"HOME": str(tmp_path)})

    assert str(tmp_path / ".kube" / "config") in caught.value.last


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "is not valid YAML"),
        (json.dumps({"contexts": [{"name": "mine", "context": {"cluster": "x"}}]}), "no cluster"),
    ],
)
def test_a_damaged_kubeconfig_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config").write_text(text)

    with pytest.raises(ConfigError, match=said):
        reached_by("mine", {"KUBECONFIG": str(tmp_path / "config")})


@pytest.mark.parametrize("user", [{"auth-provider": {"name": "gcp"}}, {"username": "ada"}])
def test_what_is_not_supported_is_said(tmp_path: Path, user: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"'{next(iter(user))}' of context 'mine'") as caught:
        reached(tmp_path / "config", **user)

    assert "kubectl proxy" in caught.value.hint


def test_a_certificate_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.crt").write_text("nothing")

    with pytest.raises(ConfigError, match="a certificate of the kubeconfig cannot be read"):
        reached(tmp_path / "config", **{"client-certificate": "mine.crt"})
