"""A Hugging Face Hub on loopback: as much of it as a download needs."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0" * 39 + "1"


class FakeHub:
    """Serves root/<org>/<name>/<file> as model repositories while the `with` block runs."""

    def __init__(self, root: Path):
        handler = type("Handler", (_Handler,), {"root": root})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    root: Path

    def do_GET(self):
        parts = self.path.partition("?")[0].strip("/").split("/")
        is_api = parts[:2] == ["api", "models"]
        org, name, action, _revision, *file = parts[2:] if is_api else parts
        repository = self.root / org / name
        if not repository.is_dir():
            self._refuse("RepoNotFound")
        elif is_api and action == "revision":
            siblings = [{"rfilename": path.name} for path in repository.iterdir()]
            self._send_json({"id": f"{org}/{name}", "sha": COMMIT, "siblings": siblings})
        elif is_api and action == "tree":
            self._send_json([_tree_entry(path) for path in repository.iterdir()])
        elif (path := repository.joinpath(*file)).is_file():
            self._send(path.read_bytes(), "application/octet-stream")
        else:
            self._refuse("EntryNotFound")

    do_HEAD = do_GET

    def _send_json(self, value):
        self._send(json.dumps(value).encode(), "application/json")

    def _send(self, body, content_type):
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _refuse(self, code):
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def _tree_entry(path):
    oid = hashlib.sha1(path.read_bytes()).hexdigest()
    return {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": oid}
