"""A registry of container images on 127.0.0.1, with one small image under every name."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"


def digest(data: bytes) -> str:
    """The name of a blob."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(name: str, text: str) -> bytes:
    """A file system with one file."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def blobs(platform: str, labels: Mapping[str, str]) -> tuple[bytes, Mapping[str, bytes]]:
    """An image: its manifest, and by their digests its configuration and its layer."""
    system, _, processor = platform.partition("/")
    files = layer("pulled.txt", "from a registry")
    config = json.dumps(
        {
            "os": system, "architecture": processor, "config": {"Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [digest(files)]},
        }
    ).encode()  # fmt: skip
    parts = [(CONFIG, config), (LAYER, files)]
    described = [{"mediaType": kind, "size": len(b), "digest": digest(b)} for kind, b in parts]
    manifest = {
        "schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:],
    }  # fmt: skip
    return json.dumps(manifest).encode(), {digest(data): data for _, data in parts}


@contextmanager
def registry(platform: str, labels: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """A registry that answers reads as the distribution specification has them.

    Yields:
        its ``host:port``, and the names of the images that were asked for.
    """
    manifest, known = blobs(platform, labels)
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name, _, reference = self.path.removeprefix("/v2/").rpartition("/")
            if name.endswith("/manifests"):
                asked.append(name.removesuffix("/manifests"))
                self.answer(manifest, MANIFEST)
            elif self.path == "/v2/" or reference in known:
                self.answer(known.get(reference, b"{}"), "application/octet-stream")
            else:
                self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 - http.server's name

        def answer(self, data: bytes, kind: str) -> None:
            self.send_response(200)
            for header, value in {
                "content-type": kind, "content-length": len(data),
                "docker-content-digest": digest(data),
            }.items():  # fmt: skip
                self.send_header(header, str(value))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
