"""A Hugging Face Hub on loopback: as much of it as a download and a push need."""

import base64
import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0" * 39 + "1"
TOKEN = "hf_right"
# How a file is sent: as the Hub does, large binary files by LFS, the others within the commit.
LFS_SUFFIXES = (".safetensors", ".png", ".bin")


def hub_environment(url: str, cache: Path) -> dict[str, str]:
    """For a process of its own, since huggingface_hub reads its address at import."""
    own = {key: value for key, value in os.environ.items() if key != "HF_TOKEN"}
    return own | {
        "HF_ENDPOINT": url,
        "HF_HOME": str(cache),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }


class FakeHub:
    """Serves root/<org>/<name>/<file> as model repositories while the `with` block runs.

    It takes pushes with TOKEN. refusals: step of a push ("create", "preupload", "lfs", "commit")
    → the status that it is answered with.
    """

    def __init__(self, root: Path, refusals: dict[str, int] | None = None):
        state = {"root": root, "refusals": refusals or {}, "objects": {}}
        handler = type("Handler", (_Handler,), state)
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
    refusals: dict[str, int]
    objects: dict[str, bytes]  # sha256 → what came by LFS

    def do_GET(self):
        parts = self._parts()
        if parts == ["api", "whoami-v2"]:
            self._when_allowed("whoami", lambda: self._send_json({"name": "somebody"}))
            return
        is_api = parts[:2] == ["api", "models"]
        org, name, *rest = parts[2:] if is_api else parts
        action, _revision, *file = rest or ["revision", "main"]
        repository = self.root / org / name
        if not repository.is_dir():
            self._refuse(404, "RepoNotFound")
        elif is_api and action == "revision":
            siblings = [{"rfilename": entry["path"]} for entry in _tree(repository)]
            self._send_json({"id": f"{org}/{name}", "sha": COMMIT, "siblings": siblings})
        elif is_api and action == "tree":
            self._send_json(_tree(repository))
        elif (path := repository.joinpath(*file)).is_file():
            self._send(path.read_bytes(), "application/octet-stream")
        else:
            self._refuse(404, "EntryNotFound")

    do_HEAD = do_GET

    def do_POST(self):
        body = self._body()
        match self._parts():
            case ["api", "validate-yaml"]:
                self._send_json({"errors": [], "warnings": []})
            case ["api", "repos", "create"]:
                self._when_allowed("create", lambda: self._create(json.loads(body)))
            case ["api", "models", _, _, "preupload", _]:
                self._when_allowed("preupload", lambda: self._preupload(json.loads(body)))
            case [_, _, "info", "lfs", "objects", "batch"]:
                self._when_allowed("lfs", lambda: self._lfs_batch(json.loads(body)))
            case ["api", "models", org, name, "commit", _]:
                lines = [json.loads(line) for line in body.splitlines()]
                self._when_allowed("commit", lambda: self._commit(self.root / org / name, lines))
            case _:
                self._refuse(404, "NotFound")

    def do_PUT(self):
        body = self._body()
        assert hashlib.sha256(body).hexdigest() == self._parts()[-1]
        self.objects[self._parts()[-1]] = body
        self._send_json({})

    def _when_allowed(self, step, answer):
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._refuse(401, "")
        elif step in self.refusals:
            self._refuse(self.refusals[step], "")
        else:
            answer()

    def _create(self, wanted):
        repository = self.root / wanted["organization"] / wanted["name"]
        status = 409 if repository.exists() else 200
        repository.mkdir(parents=True, exist_ok=True)
        url = f"{self._url()}/{wanted['organization']}/{wanted['name']}"
        self._send_json({"url": url}, status)

    def _preupload(self, wanted):
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular",
                "shouldIgnore": False,
            }
            for file in wanted["files"]
        ]
        self._send_json({"files": files})

    def _lfs_batch(self, wanted):
        objects = [
            {**each, "actions": {"upload": {"href": f"{self._url()}/lfs/{each['oid']}"}}}
            for each in wanted["objects"]
        ]
        self._send_json({"transfer": "basic", "objects": objects})

    def _commit(self, repository, lines):
        header, *operations = lines
        assert header["key"] == "header" and header["value"]["summary"]
        for operation in operations:
            value = operation["value"]
            is_lfs = operation["key"] == "lfsFile"
            content = self.objects[value["oid"]] if is_lfs else base64.b64decode(value["content"])
            path = repository / value["path"]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        url = f"{self._url()}/{repository.parent.name}/{repository.name}/commit/{COMMIT}"
        self._send_json({"commitUrl": url, "commitOid": COMMIT})

    def _parts(self):
        return self.path.partition("?")[0].strip("/").split("/")

    def _url(self):
        return f"http://{self.headers['Host']}"

    def _body(self):
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send_json(self, value, status=200):
        self._send(json.dumps(value).encode(), "application/json", status)

    def _send(self, body, content_type, status=200):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status, code):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def _tree(repository):
    """All files, whatever folder they lie in."""
    return [
        {
            "type": "file",
            "path": path.relative_to(repository).as_posix(),
            "size": path.stat().st_size,
            "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
        }
        for path in repository.rglob("*")
        if path.is_file()
    ]
