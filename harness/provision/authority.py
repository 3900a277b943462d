"""A stack's own certificate authority, for mTLS."""

from __future__ import annotations

from dataclasses import dataclass

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


def make_authority() -> Authority:
    """Create a root and an issuer signed by it; the root's key is discarded at once.

    Raises:
        Unavailable: trustme is not installed.
    """
    try:
        import trustme
    except ImportError as error:
        raise Unavailable(
            "a topology with mtls=True needs a certificate authority",
            last=str(error),
            hint="pip install 'dapr-harness[mtls]'",
        ) from None
    root = trustme.CA(organization_name="dapr-harness")
    issuer = root.create_child_ca()
    certificate, key = issuer.cert_pem.bytes().decode(), issuer.private_key_pem.bytes().decode()
    return Authority(root.cert_pem.bytes().decode(), certificate, key)
