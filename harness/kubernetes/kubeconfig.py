"""How a cluster is reached, from the kubeconfig of its user."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from harness.core.errors import ConfigError, Unavailable, did_you_mean
from harness.core.reading import read_text
from harness.dapr.resources import mapping, sequence
from harness.kubernetes.api import Access, trusting

VARIABLE = "KUBECONFIG"
DEFAULT = Path(".kube", "config")
"""In the home folder, where the variable is not set."""

UNKNOWN = ("auth-provider", "username", "proxy-url", "tls-server-name")
"""Fields of a user or a cluster that are not supported."""

Section = Mapping[str, Any]


@dataclass(frozen=True)
class Reached:
    """A cluster and the user who reaches it.

    Attributes:
        context: the name of the context.
        access: the API server, and credentials.
        authority: the certificates that it is trusted by; "" for those of this machine.
        certificate: that of the client, with its key; "" for none.
    """

    context: str
    access: Access
    authority: str = ""
    certificate: str = field(default="", repr=False)


def reached_by(context: str, environment: Mapping[str, str]) -> Reached:
    """A context of the kubeconfig.

    Args:
        context: its name; "" for the current one.
        environment: ``KUBECONFIG`` names the files, otherwise ``HOME`` the folder of the file.

    Raises:
        ConfigError: there is no such file or context, or a part of it is missing.
        Unavailable: the program that provides its credentials fails.
    """
    files = _files(environment)
    read = [(file, _read(file)) for file in files if file.is_file()]
    if not read:
        raise ConfigError(
            "there is no kubeconfig",
            expected=f"a file that {VARIABLE} names, or ~/{DEFAULT}",
            last=f"nothing at {', '.join(map(str, files))}",
        )
    context = context or _current(read)
    chosen = _entry(read, "context", context)[1]
    names = {part: str(chosen.get(part) or "") for part in ("cluster", "user")}
    (place, cluster), (home, user) = (_entry(read, part, name) for part, name in names.items())
    for each in UNKNOWN:
        if cluster.get(each) or user.get(each):
            raise ConfigError(
                f"{each!r} of context {context!r} is not supported",
                expected="a token, a client certificate, or a program that provides one of them",
                hint="use `kubectl proxy`, and a context with its address",
            )
    given = {**user, **_from_program(user, environment)}
    url = str(cluster.get("server") or "").rstrip("/")
    if not url:
        raise ConfigError(f"the cluster of context {context!r} has no server", last=str(place))
    authority, certificate = _text(cluster, "certificate-authority", place), ""
    if text := _text(given, "client-certificate", home):
        certificate = f"{text}\n{_text(given, 'client-key', home)}"
    verified = not cluster.get("insecure-skip-tls-verify")
    tls = _tls(authority, certificate, verified=verified)
    access = Access(url, _token(given, home), tls=tls, verified=verified)
    return Reached(context, access, authority, certificate)


def reached_again(context: str, told: Mapping[str, Any]) -> Reached:
    """The same for a run that is up, whatever the kubeconfig says now.

    Args:
        context: the name of the context.
        told: what `Access.told` has told.
    """
    authority, certificate = (
        read_text(Path(told[name])) if told[name] else "" for name in ("authority", "certificate")
    )
    verified = bool(told["verified"])
    tls = _tls(authority, certificate, verified=verified)
    access = Access(str(told["url"]), str(told["token"]), tls=tls, verified=verified)
    return Reached(context, access, authority, certificate)


def _files(environment: Mapping[str, str]) -> list[Path]:
    named = [each for each in environment.get(VARIABLE, "").split(os.pathsep) if each]
    return [Path(each) for each in named] or [Path(environment.get("HOME", "~")) / DEFAULT]


def _read(file: Path) -> Section:
    try:
        return mapping(yaml.safe_load(read_text(file)))
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not valid YAML", last=" ".join(str(error).split())) from None


def _current(read: Sequence[tuple[Path, Section]]) -> str:
    for _, body in read:
        if name := body.get("current-context"):
            return str(name)
    raise ConfigError(
        "the kubeconfig has no current context",
        last=", ".join(str(file) for file, _ in read),
        hint="name one, or choose it with `kubectl config use-context`",
    )


def _entry(read: Sequence[tuple[Path, Section]], part: str, name: str) -> tuple[Path, Section]:
    """A named part, and the folder that its relative paths start from; the first file wins."""
    known = {}
    for file, body in reversed(read):
        for each in map(mapping, sequence(body.get(f"{part}s"))):
            known[str(each.get("name"))] = (file.parent, mapping(each.get(part)))
    if name not in known:
        raise ConfigError(
            f"the kubeconfig has no {part} named {name!r}",
            last=", ".join(str(file) for file, _ in read),
            hint=did_you_mean(name, [*known]) if known else "see `kubectl config get-contexts`",
        )
    return known[name]


def _token(user: Section, folder: Path) -> str:
    if file := user.get("tokenFile"):
        return read_text(folder / str(file)).strip()
    return str(user.get("token") or "")


def _from_program(user: Section, environment: Mapping[str, str]) -> Section:
    """What a program for credentials prints, such as those of cloud providers."""
    asked = mapping(user.get("exec"))
    if not asked:
        return {}
    words = [str(asked.get("command")), *map(str, sequence(asked.get("args")))]
    more = {str(each["name"]): str(each["value"]) for each in sequence(asked.get("env"))}
    kind = {"apiVersion": asked.get("apiVersion"), "kind": "ExecCredential"}
    more["KUBERNETES_EXEC_INFO"] = json.dumps({**kind, "spec": {"interactive": False}})
    try:
        done = subprocess.run(
            words, env={**environment, **more}, capture_output=True, text=True, check=True
        )
        status = mapping(mapping(json.loads(done.stdout)).get("status"))
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise Unavailable(
            f"the program {words[0]} of the kubeconfig provides no credentials",
            last=said.strip()[-300:],
            hint="run it, or any command of kubectl with this context",
        ) from None
    names = {"clientCertificateData": "client-certificate", "clientKeyData": "client-key"}
    texts = {f"{names[key]}-data": _encoded(status[key]) for key in names if key in status}
    return {"token": status.get("token"), **texts}


def _tls(authority: str, certificate: str, *, verified: bool) -> ssl.SSLContext:
    """How the server is verified, and the client's certificate."""
    try:
        context = trusting(text=authority)
        if not verified:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            with _as_file(certificate) as file:
                context.load_cert_chain(file)
    except ssl.SSLError as error:
        raise ConfigError(
            "a certificate of the kubeconfig cannot be read", last=str(error)
        ) from None
    return context


def _text(section: Section, name: str, folder: Path) -> str:
    """A field that is in the file, or a file of its own."""
    if data := section.get(f"{name}-data"):
        return base64.b64decode(str(data)).decode()
    return read_text(folder / str(section[name])) if section.get(name) else ""


@contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A private file for what reads only files, for the duration of the ``with`` block."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(text)
        file.flush()
        yield file.name


def _encoded(text: object) -> str:
    return base64.b64encode(str(text).encode()).decode()
