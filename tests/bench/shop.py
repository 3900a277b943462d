"""A small system: one app of the standard library that receives events by Kafka."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import App, Kafka, Postgres, Topology
from harness.core.node import Node
from tests.projects import POSTGRESQL

APP = """\
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(404 if self.path.startswith("/dapr/") else 200)

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"] or 0))
        self.answer(200)

    def do_OPTIONS(self):
        self.answer(404)

    def answer(self, code):
        self.send_response(code)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *words):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
PUBSUB = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: {app}-pubsub}}
spec:
  type: pubsub.kafka
  version: v1
  metadata:
  - {{name: brokers, value: "${{kafka.brokers}}"}}
  - {{name: authType, value: none}}
  - {{name: initialOffset, value: oldest}}
"""
SUBSCRIPTION = """\
---
apiVersion: dapr.io/v2alpha1
kind: Subscription
metadata: {{name: {app}-orders}}
spec: {{pubsubname: {app}-pubsub, topic: {app}-orders, routes: {{default: /orders}}}}
scopes: [{app}]
"""
SHOP = "shop"


def shops(
    folder: Path,
    fields: Mapping[str, Mapping[str, str]] | None = None,
    *,
    broker: type[Kafka] = Kafka,
    database: bool = False,
) -> Topology:
    """Apps with an inbox, each with a pub/sub component and a topic of its own.

    Args:
        folder: where its files are written.
        fields: by app, what its pub/sub component has besides; one app, ``shop``, if None.
        broker: the class of the broker.
        database: add PostgreSQL, with a state store on it.
    """
    fields = fields or {SHOP: {}}
    (folder / "shop.py").write_text(APP)
    resources = folder / "components"
    resources.mkdir(exist_ok=True)
    for app, more in fields.items():
        rows = "".join(f'  - {{name: {key}, value: "{value}"}}\n' for key, value in more.items())
        text = PUBSUB.format(app=app) + rows + SUBSCRIPTION.format(app=app)
        (resources / f"{app}.yaml").write_text(text)
    nodes: Sequence[Node] = (broker([topic_of(app) for app in fields]),)
    if database:
        (resources / "store.yaml").write_text(POSTGRESQL)
        nodes = (*nodes, Postgres())
    command = [sys.executable, str(folder / "shop.py"), "{port}"]
    apps = [App(app, command=command, inbox=True) for app in fields]
    return Topology(*nodes, *apps, resources=str(resources))


def pubsub_of(app: str) -> str:
    """The pub/sub component of an app."""
    return f"{app}-pubsub"


def topic_of(app: str) -> str:
    """The topic that an app subscribes to."""
    return f"{app}-orders"
