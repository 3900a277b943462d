"""A stack's own certificate authority, for mTLS, and for servers with TLS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.core.errors import Unavailable


@dataclass(frozen=True)
class Authority:
    """What sentry signs with, and what everyone trusts.

    Attributes:
        anchors: the root certificate, as PEM.
        certificate: the issuer's, signed by the root, as PEM.
        key: the issuer's private key, as PEM.
    """

    anchors: str
    certificate: str
    key: str


class Issuer(Protocol):
    """Who signs a server's certificate; all as PEM."""

    @property
    def certificate(self) -> str:
        """Its own certificate."""
        ...

    @property
    def key(self) -> str:
        """Its private key."""
        ...


def make_authority() -> Authority:
    """Create a root and an issuer signed by it; the root's key is discarded at once.

    Raises:
        Unavailable: trustme is not installed.
    """
    try:
        import trustme
    except ImportError as error:
        raise Unavailable(
            "mTLS and TLS need a certificate authority",
            last=str(error),
            hint="pip install 'dapr-harness[mtls]'",
        ) from None
    root = trustme.CA(organization_name="dapr-harness")
    issuer = root.create_child_ca()
    certificate, key = issuer.cert_pem.bytes().decode(), issuer.private_key_pem.bytes().decode()
    return Authority(root.cert_pem.bytes().decode(), certificate, key)


def server_pem(authority: Issuer, hosts: Sequence[str]) -> str:
    """A server's key in PKCS 8 and its certificates up to the root, as one PEM.

    Args:
        authority: signs it; it exists, so trustme is installed.
        hosts: the names and addresses under which clients connect.
    """
    import trustme
    from cryptography.hazmat.primitives import serialization

    issuer = trustme.CA.from_pem(authority.certificate.encode(), authority.key.encode())
    issued = issuer.issue_cert(*hosts)
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    pkcs8 = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    leaf = issued.cert_chain_pems[0].bytes()
    return (pkcs8 + leaf).decode() + authority.certificate
