"""The keys of a cluster, signed by the certificate authority of its run."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.authority import Authority


def keys(authority: Authority, servers: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """The files with the certificates and the private keys of a cluster, as PEM.

    Args:
        authority: signs them; it exists, so trustme is installed.
        servers: the names and addresses of each server, by the name of its files.
    """
    import trustme

    issuer = trustme.CA.from_pem(authority.certificate.encode(), authority.key.encode())
    # Whom a kubelet lets read logs and execute commands. Go refuses a certificate without names.
    name, group = "kube-apiserver", "system:masters"
    client = issuer.issue_cert(name, common_name=name, organization_name=group)
    issued = {name: issuer.issue_cert(*hosts) for name, hosts in servers.items()}
    found = {"ca.crt": authority.anchors, "issuer.crt": authority.certificate}
    found["issuer.key"] = authority.key
    for name, each in {**issued, "client": client}.items():
        leaf = each.cert_chain_pems[0].bytes().decode()
        found[f"{name}.crt"] = leaf + authority.certificate
        found[f"{name}.key"] = each.private_key_pem.bytes().decode()
    return found
