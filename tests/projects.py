"""Small projects that tests write into a folder and run."""

from __future__ import annotations

HELLO_APP = """
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"hello"
        code = 404 if self.path.startswith("/dapr/") else 200
        self.send_response(code)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_OPTIONS(self):
        self.send_error(404)

    def log_message(self, format, *args):
        print("asked", self.path, flush=True)


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

HELLO_ANYWHERE = HELLO_APP.replace('"127.0.0.1"', 'os.environ["APP_HOST"]')
"""It can run in a container, too."""

PYPROJECT = """
[tool.dapr-harness]
topology = "topology:mini"
"""

MINI = """
import sys

from harness import App, Topology

mini = Topology(App("hello", command=[sys.executable, "hello.py", "{port}"]))
"""

GARBAGE_APP = HELLO_APP.replace('b"hello"', """b'{"topic": "t"}'""").replace(
    'code = 404 if self.path.startswith("/dapr/") else 200', "code = 200"
)

MINI_FILES = {"hello_py": HELLO_APP, "topology_py": MINI, "pyproject_toml": PYPROJECT}

IN_MEMORY = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec: {type: pubsub.in-memory, version: v1}
"""

KAFKA = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: pubsub}
spec:
  type: pubsub.kafka
  version: v1
  metadata:
  - {name: brokers, value: "${kafka.brokers}"}
  - {name: authType, value: none}
"""
"""Further fields can be appended."""

BUS = KAFKA.replace("{name: pubsub}", "{name: bus}")
"""The same under another name."""

POSTGRESQL = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store}
spec:
  type: state.postgresql
  version: v2
  metadata:
  - {name: connectionString, value: "${postgres.dsn}"}
"""
"""Likewise."""

COMPONENT = """\
apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: pubsub
spec:
  type: pubsub.kafka
  version: v1
  metadata:
    - name: brokers
      value: x
    - name: authType
      value: none
"""
