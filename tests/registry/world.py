# SPDX-License-Identifier: MIT
"""What the tests of registries have in common: users with stores, and a store with snapshots."""
import json
import os
import re
import shutil
import subprocess
import sys

from harness import WSLX, need
from servers import Authority, DockerRegistry, Folder, Proxy

PAGES = 17 << 20  # of the large snapshot: more than one chunk of an upload
SLEEPER = """
import os, sys, random
data = random.Random(int(sys.argv[2])).randbytes(int(sys.argv[1]))
begun = os.open(sys.argv[3], os.O_WRONLY)
os.setsid()
os.write(begun, b"yes")
os.closerange(0, 4096)
import signal
signal.pause()
"""


def link_blob(source, to):
    """Blobs are never changed, so stores may share them."""
    return os.link(source, to) if "/blobs/" in source else shutil.copy2(source, to)


class Client:
    """A user: a store, and files that say who he is and whom he trusts."""

    def __init__(self, like=None):
        self.folder = Folder()
        if like:
            shutil.copytree(like.store, self.store, copy_function=link_blob)
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("WSLX_", "XDG_", "DOCKER", "http", "HTTP"))}
        self.env.update(WSLX_HOME=self.store, HOME=self.folder.path,
                        XDG_RUNTIME_DIR=self.folder / "run", WSLX_FORCE="no-backoff")

    @property
    def store(self):
        return self.folder / "store"

    def run(self, *args, stdin="", timeout=60):
        return subprocess.run([WSLX, *args], input=stdin, capture_output=True, text=True,
                              env=self.env, timeout=timeout)

    def ok(self, *args, **named):
        done = self.run(*args, **named)
        need(done.returncode == 0, f"{args}: {done.returncode}: {done.stderr}")
        return done.stdout

    def json(self, *args):
        return json.loads(self.ok(*args, "--json"))

    def refused(self, *args, status=1, says="", **named):
        """The sentence with which it is refused."""
        done = self.run(*args, **named)
        need(done.returncode == status, f"{args}: {done.returncode}: {done.stdout}{done.stderr}")
        lines = done.stderr.splitlines()
        need(len(lines) == 1 and lines[0].startswith("wslx: ") and not done.stdout,
             f"{args}: one sentence was expected: {done.stderr!r} {done.stdout!r}")
        need(re.search(says, lines[0]), f"{args}: it does not say {says!r} but {lines[0]!r}")
        return lines[0]

    def names(self):
        return [s["name"] for s in self.json("list")]

    def state(self, name):
        return subprocess.run([WSLX, "show", name, "--cbor"], capture_output=True, env=self.env,
                              check=True).stdout

    def partial(self):
        """Bytes of what is half pulled."""
        folder = os.path.join(self.store, "partial")
        return sum(os.path.getsize(os.path.join(folder, n)) for n in os.listdir(folder)
                   if len(n) == 64) if os.path.isdir(folder) else 0

    def trusts(self, **registries):
        """Writes the file about registries; a name's "_" are what they stand for in @hosts."""
        self.env["WSLX_REGISTRIES"] = self.folder.write(
            "registries.json", json.dumps({"registries": registries["rules"]}))

    def remove(self):
        self.folder.remove()


class World:
    """What the tests share: a store with snapshots, and servers that are started when needed."""

    def __init__(self):
        self.things = {}
        self.trash = []
        self.origin = Client()
        self._snap("small", 4096, 1)
        self._snap("large", PAGES, 2)
        for name in ("small", "large"):
            self.origin.ok("copy", name, f"{name}-public", "--public")
        self.states = {n: self.origin.state(n) for n in ("small", "large")}

    def _snap(self, name, size, seed):
        fifo = self.origin.folder / f"{name}.begun"
        os.mkfifo(fifo)
        process = subprocess.Popen([sys.executable, "-I", "-S", "-c", SLEEPER, str(size),
                                    str(seed), fifo], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(fifo) as f:
            need(f.read() == "yes", "the program to be snapshotted did not begin")
        try:
            self.origin.ok("snap", "proc", "--pid", str(process.pid), "--name", name)
        finally:
            process.kill()
            process.wait()

    def _once(self, name, make):
        if name not in self.things:
            self.things[name] = make()
        return self.things[name]

    @property
    def registry(self):
        return self._once("registry", DockerRegistry)

    @property
    def authority(self):
        return self._once("authority", Authority)

    def client(self, stocked=False):
        c = Client(self.origin if stocked else None)
        self.trash.append(c)
        return c

    def keep(self, thing):
        """Something of one test, which goes with it."""
        self.trash.append(thing)
        return thing

    def proxy(self, registry=None):
        return self.keep(Proxy((registry or self.registry).port))

    def tidy(self):
        while self.trash:
            thing = self.trash.pop()
            thing.stop() if hasattr(thing, "stop") else thing.remove()

    def end(self):
        self.tidy()
        for thing in self.things.values():
            thing.stop() if hasattr(thing, "stop") else thing.folder.remove()
        self.origin.remove()


def same(world, client, name, original):
    """It is the snapshot that it was made from, to the last page."""
    need(client.state(name) == world.states[original], f"{name} has another state")
    client.ok("verify", name)


def blob_count(client):
    return len(os.listdir(os.path.join(client.store, "blobs/sha256")))


def skopeo(*args):
    done = subprocess.run(["skopeo", *args], capture_output=True, text=True)
    need(done.returncode == 0, f"skopeo {args}: {done.stderr}")
    return done.stdout


def fault_ref(w, proxy):
    """A snapshot in the shared registry, as it is reached by the proxy."""
    w.origin.ok("push", "large-public", f"{w.registry.host}/faults/large")
    return f"{proxy.host}/faults/large"
