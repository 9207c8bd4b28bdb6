# SPDX-License-Identifier: MIT
"""What the tests of registries run on loopback: docker-registry, a token server, a proxy that
injects faults. Everything listens on ports that the kernel chose, and is up when its constructor
returns.
"""
import base64
import contextlib
import http.client
import http.server
import json
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse


def free_port():
    """A port that nobody else is given for a while: it waits in TIME_WAIT for its next owner."""
    with socket.socket() as s, socket.socket() as peer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        s.listen()
        peer.connect(s.getsockname())
        accepted, _ = s.accept()
        accepted.close()  # we close first, so that the port stays taken
        return s.getsockname()[1]


class Folder:
    """A temporary folder."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="wslx-registry-")

    def __truediv__(self, name):
        return os.path.join(self.path, name)

    def write(self, name, text, mode=0o644):
        path = self / name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def openssl(*args, data=None):
    done = subprocess.run(["openssl", *args], input=data, capture_output=True, check=True)
    return done.stdout


class Authority:
    """A certificate authority of our own, and a certificate of it for localhost."""

    def __init__(self):
        self.folder = f = Folder()
        self.ca, self.cert, self.key = f / "ca.pem", f / "cert.pem", f / "key.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", "/CN=our own", "-days", "2", "-keyout", f / "ca.key", "-out", self.ca)
        f.write("ext", "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                "/CN=localhost", "-keyout", self.key, "-out", f / "csr")
        openssl("x509", "-req", "-in", f / "csr", "-CA", self.ca, "-CAkey", f / "ca.key",
                "-days", "2", "-extfile", f / "ext", "-out", self.cert)


class DockerRegistry:
    """docker-registry on loopback. @auth and @proxy are parts of its configuration."""

    def __init__(self, auth=None, tls=None, proxy=None, port=None, data=None):
        self.folder = Folder()
        self.data = data or self.folder / "data"
        self.port = port or free_port()
        self.host = f"localhost:{self.port}"
        self.tls = tls
        config = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": self.data}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{self.port}", "secret": "not so secret"},
        }
        if auth:
            config["auth"] = auth
        if tls:
            config["http"]["tls"] = {"certificate": tls.cert, "key": tls.key}
        if proxy:
            config["proxy"] = {"remoteurl": f"http://{proxy}"}
        path = self.folder.write("config.yml", json.dumps(config))  # JSON is YAML
        self.log = open(self.folder / "log", "w+")
        self.process = subprocess.Popen(["docker-registry", "serve", path], stdout=self.log,
                                        stderr=self.log, stdin=subprocess.DEVNULL)
        self._wait()

    def _wait(self):
        """There is no event for "it listens" but that connecting works."""
        end = time.monotonic() + 20
        while True:
            with socket.socket() as s:
                if not s.connect_ex(("127.0.0.1", self.port)):
                    return
            if self.process.poll() is not None or time.monotonic() > end:
                self.log.seek(0)
                raise OSError("docker-registry does not run: " + self.log.read()[-2000:])
            select.select([], [], [], 0.01)

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.folder.remove()

    def blobs(self):
        """Digests of what it holds."""
        root = os.path.join(self.data, "docker/registry/v2/blobs/sha256")
        return {d for two in os.listdir(root) for d in os.listdir(os.path.join(root, two))}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler, **attributes):
        super().__init__(("127.0.0.1", 0), handler)
        self.__dict__.update(attributes)
        self.host = f"localhost:{self.server_port}"
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05},
                                       daemon=True)
        self.thread.start()

    def handle_error(self, request, client_address):
        pass  # connections that are cut are what this is about

    def stop(self):
        self.shutdown()
        self.server_close()


# ---- tokens -------------------------------------------------------------------------------------


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *unused):
        pass

    def _answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _grant(self, user, query):
        scopes = [s for value in query.get("scope", []) for s in value.split(" ") if s]
        self.server.asked.append((self.command, user, tuple(scopes)))
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            allowed = ["pull", "push"] if user else ["pull"] if name.startswith("free/") else []
            access.append({"type": kind, "name": name,
                           "actions": [a for a in actions.split(",") if a in allowed]})
        self._answer(200, {"access_token": self.server.token(access), "expires_in": 60})

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        basic = self.headers.get("Authorization", "")
        user = None
        if basic:
            name, _, password = base64.b64decode(basic.removeprefix("Basic ")).decode().partition(":")
            if self.server.users.get(name) != password:
                return self._answer(401, {"details": "incorrect username or password"})
            user = name
        return self._grant(user, query)

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        query = urllib.parse.parse_qs(self.rfile.read(length).decode())
        if query["grant_type"] != ["refresh_token"] or query["refresh_token"] != ["identity"]:
            return self._answer(401, {"details": "no such refresh token"})
        return self._grant("identity", query)


class TokenServer(Server):
    """Gives out tokens that docker-registry believes; those of user@repository that it may have."""

    SERVICE = "our registry"

    def __init__(self, users):
        self.folder = f = Folder()
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tokens", "-days",
                "2", "-keyout", f / "key.pem", "-out", f / "cert.pem")
        der = openssl("x509", "-in", f / "cert.pem", "-outform", "DER")
        self.x5c = base64.b64encode(der).decode()
        super().__init__(TokenHandler, users=users, asked=[])

    def stop(self):
        super().stop()
        self.folder.remove()

    def config(self):
        return {"token": {"realm": f"http://{self.host}/token", "service": self.SERVICE,
                          "issuer": "ours", "rootcertbundle": self.folder / "cert.pem"}}

    def token(self, access):
        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [self.x5c]}
        body = {"iss": "ours", "sub": "", "aud": self.SERVICE, "exp": now + 60, "nbf": now - 10,
                "iat": now, "jti": os.urandom(8).hex(), "access": access}
        text = ".".join(b64url(json.dumps(part).encode()) for part in (head, body))
        signature = openssl("dgst", "-sha256", "-sign", self.folder / "key.pem",
                            data=text.encode())
        return f"{text}.{b64url(signature)}"


# ---- the proxy ----------------------------------------------------------------------------------


class Fault:
    """What happens to requests that match, the first @times of them after @skip have passed.

    status      answer this instead of asking the registry, with @headers and @body
    drop        close the connection without an answer
    truncate    close it after so many bytes of the answer's body
    corrupt     change the byte at this place of the answer's body
    swallow     read so many bytes of the request's body, then close
    lose        ask the registry, and keep its answer to ourselves
    hang        stop after so many bytes of the answer's body, until the client goes away
    slow        bytes a second of the answer's body
    strip       names of request headers that the registry does not get to see
    add, hide   headers of the answer
    wait        a function that is called when the request has come, before all else
    """

    def __init__(self, method, path, times=1, skip=0, **actions):
        self.method, self.path = method, re.compile(path)
        self.times, self.skip = times, skip
        self.actions = actions
        self.hits = 0


class Link:
    """A line of so many bytes a second, which all connections share, and so long a way."""

    def __init__(self, bytes_a_second, round_trip_s):
        self.rate, self.round_trip = bytes_a_second, round_trip_s
        self.lock = threading.Lock()
        self.free_at = 0.0

    def travel(self):
        time.sleep(self.round_trip)  # the way is long: that is the point

    def carry(self, n):
        with self.lock:
            self.free_at = max(self.free_at, time.monotonic()) + n / self.rate
            until = self.free_at
        time.sleep(max(0.0, until - time.monotonic()))


class ProxyHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        if self.server.link:
            self.server.link.travel()  # the handshake

    def log_message(self, *unused):
        pass

    def _cut(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _request_body(self, limit=None):
        left = int(self.headers.get("Content-Length") or 0)
        if limit is not None:
            left = min(left, limit)
        parts = []
        while left:
            data = self.rfile.read(min(left, 1 << 16))
            if not data:
                break
            parts.append(data)
            left -= len(data)
        return b"".join(parts)

    def _any(self):
        server = self.server
        do = server.action_of(self.command, self.path)
        entry = {"method": self.command, "path": self.path, "range": self.headers.get("Range"),
                 "auth": self.headers.get("Authorization"), "sent": 0, "status": None}
        server.requests.append(entry)
        if server.link:
            server.link.travel()
        if "wait" in do:
            do["wait"]()
        if "drop" in do:
            return self._cut()
        if "swallow" in do:
            # The registry gets to see what came, as it would if the client went away.
            self._forward(self._request_body(do["swallow"]), cut=True)
            return self._cut()
        body = self._request_body()
        if "status" in do:
            data = do.get("body", b"")
            answer = (do["status"], list(do.get("headers", {}).items()), data)
        else:
            answer = self._forward(body, strip=do.get("strip", ()))
        if "lose" in do:
            return self._cut()
        self._give(answer, do, entry)
        return None

    def _forward(self, body, strip=(), cut=False):
        headers = {k: v for k, v in self.headers.items() if k not in strip}
        connection = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
        try:
            connection.request(self.command, self.path, body=body if body or
                               "Content-Length" in self.headers else None, headers=headers)
            if cut:
                connection.sock.shutdown(socket.SHUT_RDWR)
                return None
            r = connection.getresponse()
            data = r.read()
            fields = [(k, v) for k, v in r.getheaders() if k not in ("Date", "Connection")]
            return r.status, fields, data
        except OSError:
            if not cut:
                raise
            return None
        finally:
            connection.close()

    def _give(self, answer, do, entry):
        status, fields, data = answer
        fields = [(k, v) for k, v in fields if k not in do.get("hide", ())]
        if "corrupt" in do and data:
            at = do["corrupt"] % len(data)
            data = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1:]
        if not any(k.lower() == "content-length" for k, v in fields) and status != 204:
            fields.append(("Content-Length", str(len(data))))
        entry["status"] = status
        self.send_response_only(status)
        for k, v in fields + list(do.get("add", {}).items()):
            self.send_header(k, v)
        self.end_headers()
        if self.command == "HEAD":
            return
        end = min(len(data), do.get("truncate", len(data)), do.get("hang", len(data)))
        link = self.server.link
        step = max(1, do["slow"] // 20) if "slow" in do else 1 << 14 if link else 1 << 18
        for at in range(0, end, step):
            part = data[at:min(end, at + step)]
            if link:
                link.carry(len(part))
            try:
                self.wfile.write(part)
            except OSError:
                return self._cut()
            entry["sent"] += len(part)
            if "slow" in do:
                time.sleep(0.05)  # the link is slow: that is the point
        if "hang" in do:
            self.connection.recv(1)  # comes back when the client has closed
        if end < len(data):
            self._cut()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any


class Proxy(Server):
    """Stands between a client and a registry, and does to requests what its faults say."""

    def __init__(self, upstream_port, link=None):
        self.lock = threading.Lock()
        super().__init__(ProxyHandler, upstream=upstream_port, faults=[], requests=[], link=link)

    def action_of(self, method, path):
        with self.lock:
            for f in self.faults:
                if f.method not in (method, "*") or not f.path.search(path):
                    continue
                f.hits += 1
                if f.skip < f.hits <= f.skip + f.times:
                    return f.actions
        return {}

    def inject(self, *args, **named):
        fault = Fault(*args, **named)
        with self.lock:
            self.faults.append(fault)
        return fault

    def clear(self):
        with self.lock:
            self.faults.clear()
            self.requests.clear()

    def sent(self, pattern=r"/blobs/sha256:"):
        """Bytes of answers to GET requests whose path matches."""
        return sum(r["sent"] for r in self.requests
                   if r["method"] == "GET" and re.search(pattern, r["path"]))
