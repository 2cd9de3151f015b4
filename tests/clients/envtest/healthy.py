"""Stands where envtest expects etcd: answers its question for /health on `--listen-client-urls`, until it is told to end."""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import urlsplit


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "18")
        self.end_headers()
        self.wfile.write(b'{"health": "true"}')

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main(arguments: list[str]) -> None:
    if "--help" in arguments:
        return
    flags = dict(word.removeprefix("--").split("=", 1) for word in arguments if "=" in word)
    where = urlsplit(flags.get("listen-client-urls", "http://127.0.0.1:2379"))
    HTTPServer((where.hostname or "127.0.0.1", where.port or 0), Healthy).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
