"""An app that takes everything: 200 and an empty object, except for Dapr's own questions."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """What Dapr asks when it starts is not there."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(404 if self.path.startswith("/dapr") else 200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_OPTIONS = do_GET  # noqa: N815 - the names of http.server


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
