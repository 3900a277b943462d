"""An app that answers the first call of each connection, and hangs up on the second."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    calls = 0

    def do_GET(self) -> None:
        """Every path but Dapr's own counts as a call."""
        asked = not self.path.startswith("/dapr")
        self.calls += asked
        if asked and self.calls > 1:
            self.close_connection = True
            return
        self.send_response(200 if asked else 404)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
