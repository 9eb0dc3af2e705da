"""A static server with HTTP ranges, and with faults that the address chooses.

http://127.0.0.1:PORT/name serves a file. http://127.0.0.1:PORT/FAULT:PART/name has a fault if PART
is in the name, e.g. /drop:image/manifest.json is fine and /drop:image/00000.image.png drops.

Faults: "missing" answers 404. "drop" ends the connection in the middle; "drop-once", only the first
time. "no-ranges" sends whole files. "flip" changes a byte; "cut" leaves out the end. "no-cors" does
not allow other origins. "html" sends a page. "slow" waits for a moment.

/log gives the requests so far: a list of [path, range or null].
"""

import functools
import http.server
import json
import pathlib
import re
import sys
import threading
import time
from typing import Any

_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and content in one packet
    server: "Server"

    def __init__(self, folder: pathlib.Path, *args: Any) -> None:
        self._folder = folder
        super().__init__(*args)

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        if path == "/log":
            self._send(200, json.dumps(self.server.requests).encode(), "application/json")
            return
        self.server.requests.append((path, self.headers["Range"]))
        fault, name = self._fault(path)
        file = self._folder / (name or "index.html")
        if fault == "missing" or not file.is_file():
            self._send(404, b"not here", "text/plain")
        elif fault == "html":
            self._send(200, b"<!doctype html><title>Welcome</title>", "text/html")
        else:
            self._send_file(file, fault)

    def _fault(self, path: str) -> tuple[str, str]:
        """The fault of a request, or "", and the name of its file."""
        match = re.fullmatch(r"/([a-z-]+):([^/]*)/(.*)", path)
        if not match:
            return "", path[1:]
        fault, part, name = match.groups()
        if part not in name:
            return "", name
        if fault == "drop-once":
            fault = "" if path in self.server.dropped else "drop"
            self.server.dropped.add(path)
        return fault, name

    def _send_file(self, file: pathlib.Path, fault: str) -> None:
        content = bytearray(file.read_bytes())
        if fault == "slow":
            time.sleep(0.2)
        if fault == "flip":
            content[len(content) // 2] ^= 1
        if fault == "cut":
            del content[len(content) // 2 :]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "")
        status, ranges = 200, None
        if wanted and fault != "no-ranges":
            begin, last = map(int, wanted.groups())
            status = 206 if begin < len(content) else 416
            ranges = f"bytes {begin}-{min(last, len(content) - 1)}/{len(content)}"
            content = content[begin : last + 1]
        kind = _TYPES.get(file.suffix, "application/octet-stream")
        self._send(status, bytes(content), kind, ranges, fault)

    def _send(
        self, status: int, content: bytes, kind: str, ranges: str | None = None, fault: str = ""
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if fault != "no-cors":
            self.send_header("Access-Control-Allow-Origin", "*")
            self.send_header("Access-Control-Allow-Headers", "Range")
        if ranges:
            self.send_header("Content-Range", ranges)
        self.end_headers()
        if fault == "drop":
            content, self.close_connection = content[: len(content) // 2], True
        self.wfile.write(content)

    def do_OPTIONS(self) -> None:
        """Answers what browsers ask before a request to another origin."""
        fault, _ = self._fault(self.path)
        self._send(200, b"", "text/plain", fault=fault)

    def log_message(self, *_: Any) -> None:
        """Prints nothing."""


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder on a free port of this machine, in a thread; a context manager.

    Attributes:
      requests: (path, value of the header "Range" or None) of each request so far.
    """

    daemon_threads = True

    def __init__(self, folder: pathlib.Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, folder))
        self.requests: list[tuple[str, str | None]] = []
        self.dropped: set[str] = set()

    @property
    def url(self) -> str:
        """The address of the folder, with a "/" at the end."""
        return f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that end the connection."""

    def __enter__(self) -> "Server":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


if __name__ == "__main__":
    with Server(pathlib.Path(sys.argv[1])) as server:
        print(server.url, flush=True)
        sys.stdin.read()  # until whoever started this ends
