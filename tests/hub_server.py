"""The parts of the Hugging Face Hub's API that publishing calls, on loopback: who is there, repositories, commits."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_madeUpForTests"


class HubServer(ThreadingHTTPServer):
    """``repos`` by (kind, id): whether private, and the files; ``stored`` holds large files by their hash."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repos: dict[tuple[str, str], dict[str, Any]] = {}
        self.stored: dict[str, bytes] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def do_GET(self) -> None:
        words = self._words()
        if not self._allowed():
            return
        if words == ["api", "whoami-v2"]:
            self._answer({"type": "user", "name": "me", "fullname": "me", "orgs": []})
        elif words[0] == "api" and (repo := self._repo(words)) is not None:
            name = "/".join(words[2:4])
            self._answer({"id": name, "private": repo["private"], "siblings": [], "sha": "0" * 40, "tags": []})
        else:
            self._answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def do_POST(self) -> None:
        words, body = self._words(), self._body()
        if not self._allowed():
            return
        if words == ["api", "validate-yaml"]:
            self._answer({"errors": [], "warnings": []})
        elif words == ["api", "repos", "create"]:
            wish = json.loads(body)
            private = wish.get("private", wish.get("visibility") == "private")
            name = f"{wish.get('organization') or 'me'}/{wish['name']}"
            self.server.repos[f"{wish['type']}s", name] = {"private": private, "files": {}}
            self._answer({"url": f"{self.server.url}/{'datasets/' * (wish['type'] == 'dataset')}{name}"})
        elif words[-3:] == ["lfs", "objects", "batch"]:
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.server.url}/put/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self._answer({"transfer": "basic", "objects": objects})
        elif words[4] == "preupload":
            files = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for one in json.loads(body)["files"]
            ]
            self._answer({"files": files})
        elif words[4] == "commit" and (repo := self._repo(words)) is not None:
            for line in map(json.loads, body.splitlines()):
                value = line["value"]
                if line["key"] == "file":
                    repo["files"][value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    repo["files"][value["path"]] = self.server.stored[value["oid"]]
            kind = "datasets/" if words[1] == "datasets" else ""
            place = f"{self.server.url}/{kind}{words[2]}/{words[3]}"
            self._answer({"commitUrl": f"{place}/commit/{'1' * 40}", "commitOid": "1" * 40})
        else:
            self._answer({"error": "unknown"}, 404)

    def do_PUT(self) -> None:
        content = self._body()
        self.server.stored[hashlib.sha256(content).hexdigest()] = content
        self._answer({})

    def _words(self) -> list[str]:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        return path.strip("/").split("/")

    def _repo(self, words: list[str]) -> dict[str, Any] | None:
        return self.server.repos.get((words[1], "/".join(words[2:4])))

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _allowed(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {TOKEN}":
            return True
        self._answer({"error": "Invalid username or password."}, 401)
        return False

    def _answer(self, content: object, code: int = 200, headers: dict[str, str] | None = None) -> None:
        raw = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing."""


@contextmanager
def hub() -> Iterator[HubServer]:
    """A running Hub."""
    server = HubServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
