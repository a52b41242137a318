"""A small Hugging Face hub on this machine: repositories, commits, files and uploads, over HTTP."""

import base64
import contextlib
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """Repositories by name; each a list of commits (hash, files by name)."""

    def __init__(self):
        self.commits = {}
        self.uploads = {}
        self.requests = []
        self.tokens = {"writer"}
        self.gated, self.fault = set(), None
        self.url = ""

    def commit(self, name, files):
        """Add a commit with these files to a repository, and return its hash."""
        commits = self.commits.setdefault(name, [])
        held = {**(commits[-1][1] if commits else {}), **files}
        made = hashlib.sha1(f"{name}{len(commits)}{sorted(held)}".encode()).hexdigest()
        commits.append((made, held))
        return made

    def find(self, name, revision):
        """Return a commit by its hash, or by ``main`` the last one."""
        found = [one for one in self.commits.get(name, []) if revision in ("main", one[0])]
        return found[-1] if found else None


@contextlib.contextmanager
def running():
    """Run a hub at a free port of this machine."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: _Handler(hub, *given))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub, *given):
        self.hub = hub
        super().__init__(*given)

    def log_message(self, *given):
        pass

    def answer(self, status, content=b"", **headers):
        if isinstance(content, dict | list):
            content = json.dumps(content).encode()
            headers["Content-Type"] = "application/json"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def missing(self, code):
        self.answer(401 if code == "GatedRepo" else 404, {"error": code}, X_Error_Code=code)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def may_write(self):
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self.hub.tokens:
            self.answer(401, {"error": "Invalid credentials"})
        return token in self.hub.tokens

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.hub.requests.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0]
        if self.hub.fault:
            return self.answer(self.hub.fault, {"error": "fault"})
        info = re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/(revision|tree)/([^/]+))?/?", path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if info is None and file is None:
            return self.missing("EntryNotFound")
        name, revision = (info[1], info[3] or "main") if info else (file[1], file[2])
        if name in self.hub.gated:
            return self.missing("GatedRepo")
        if name not in self.hub.commits:
            return self.missing("RepoNotFound")
        found = self.hub.find(name, revision)
        if found is None:
            return self.missing("RevisionNotFound")
        made, files = found
        if info and info[2] == "tree":
            return self.answer(200, [_entry(path, files[path]) for path in files])
        if info:
            siblings = [{"rfilename": path} for path in files]
            return self.answer(200, {"id": name, "sha": made, "siblings": siblings, "tags": []})
        if file[3] not in files:
            return self.missing("EntryNotFound")
        content = files[file[3]]
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        return self.answer(200, content, ETag=etag, X_Repo_Commit=made)

    def do_POST(self):
        self.hub.requests.append(f"POST {self.path}")
        content = self.body()
        if not self.may_write():
            return None
        path = self.path.partition("?")[0]
        if path == "/api/validate-yaml":
            text = json.loads(content)["content"]
            heading = text.startswith("---\n") and "\n---\n" in text
            return self.answer(200 if heading else 400, {"warnings": [], "errors": []})
        if path == "/api/repos/create":
            given = json.loads(content)
            name = f"{given.get('organization') or 'me'}/{given['name']}"
            if name in self.hub.commits:
                return self.answer(409, {"error": "exists", "url": f"{self.hub.url}/{name}"})
            self.hub.commit(name, {".gitattributes": b"*.keras filter=lfs\n"})
            return self.answer(200, {"url": f"{self.hub.url}/{name}", "name": name})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/main", path):
            wanted = json.loads(content)["files"]
            modes = ["lfs" if one["path"].endswith(".keras") else "regular" for one in wanted]
            entries = [
                {"path": one["path"], "uploadMode": mode, "shouldIgnore": False}
                for one, mode in zip(wanted, modes, strict=True)
            ]
            return self.answer(200, {"files": entries})
        if path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {
                    "oid": one["oid"],
                    "size": one["size"],
                    "actions": {"upload": {"href": f"{self.hub.url}/upload/{one['oid']}", "header": {}}},
                }
                for one in json.loads(content)["objects"]
            ]
            return self.answer(200, {"transfer": "basic", "objects": objects})
        found = re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", path)
        files = {}
        for line in content.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.uploads[value["oid"]]
        made = self.hub.commit(found[1], files)
        answer = {"commitUrl": f"{self.hub.url}/{found[1]}/commit/{made}", "commitOid": made}
        return self.answer(200, answer)

    def do_PUT(self):
        self.hub.requests.append(f"PUT {self.path}")
        content = self.body()
        oid = self.path.rpartition("/")[2]
        if hashlib.sha256(content).hexdigest() != oid:
            return self.answer(400)
        self.hub.uploads[oid] = content
        return self.answer(200)


def _entry(path, content):
    return {
        "type": "file",
        "path": path,
        "size": len(content),
        "oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
    }
