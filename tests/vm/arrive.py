#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Machines that start from a registry before they have arrived.

The registry is a real docker-registry; between it and us stands the proxy of tests/registry, which
counts bytes and injects what goes wrong on the way. Every case ends in success or in one sentence.
"""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

from bake import bake, busybox_image, forced
from keep import await_end, supervisor_of
from machine import Machine, Skip, Work, run, wslx

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../registry"))
from servers import DockerRegistry, Link, Proxy, TokenServer  # noqa: E402

PAGES = "application/vnd.wslx.snapshot.pages.v1"


class Remote:
    """A baked busybox image in a registry."""

    def __init__(self):
        if not shutil.which("docker-registry"):
            raise Skip("docker-registry is not installed")
        self.registry = DockerRegistry()
        with Work() as w:
            said = bake(busybox_image(w / "image"))
            assert re.search(r"[\d.]+ [KM]iB of which a start uses", said), said
            manifest = self._push(w)
        (self.pages,) = [d for d in manifest["layers"] if d["mediaType"] == PAGES]
        self.blob = self.pages["digest"]

    def _push(self, w):
        for name in ("t/m:1", "free/m:1"):
            done = wslx("push", "m", f"{self.registry.host}/{name}")
            assert done.returncode == 0, done.stderr
        with open(w / "store/index.json") as f:
            digest = json.load(f)["manifests"][0]["digest"]
        with open(w / f"store/blobs/sha256/{digest.removeprefix('sha256:')}") as f:
            return json.load(f)

    @contextlib.contextmanager
    def elsewhere(self, link=None):
        """A user with nothing, and a proxy between him and the registry."""
        proxy = Proxy(self.registry.port, link)
        try:
            with Work() as w:
                yield w, proxy, f"{proxy.host}/t/m:1"
        finally:
            proxy.stop()


_remote = []


def remote():
    if not _remote:
        _remote.append(Remote())
    return _remote[0]


def names():
    return {s["name"]: s for s in json.loads(wslx("list", "--json").stdout)}


def prompt(ref, *more):
    m = Machine(["run", ref, *more], patience=60)
    m.expect("# ")
    return m


def early_prompt(ref, *more):
    """A prompt before the rest is fetched, however slow this host is at the moment."""
    with forced("late-rest"):
        return prompt(ref, *more)


def works(m):
    m.send("cat /etc/passwd; ls /bin | grep -c .; e''cho end\n")
    said = m.expect("\nend")
    assert "worker:x:7:8" in said, said


def works_to_the_end(m):
    works(m)
    m.send("exit\n")
    m.rest()


def stop(name="m"):
    """Keeps the machine, for which all of it has to be here. Return: what it says."""
    return wslx("stop", name)


def a_start_needs_a_part_and_the_rest_follows():
    r = remote()
    with r.elsewhere() as (w, proxy, ref):
        m = early_prompt(ref)
        sent = proxy.sent()
        assert sent < r.pages["size"] * 0.3, f"{sent} of {r.pages['size']} bytes for a prompt"
        coming = names()["m:1"]
        assert coming["partial"] and coming["arrives"] and coming["origin"] == ref, coming
        assert 0 < coming["here_bytes"] < coming["stored_bytes"], coming
        shown = wslx("show", "m:1")
        assert shown.returncode == 1 and "have arrived" in shown.stderr, shown
        assert wslx("gc").returncode == 0  # what somebody works on stays
        works(m)
        done = stop()
        assert done.returncode == 0, done.stderr
        m.rest()
        assert set(names()) == {"m:1", "m@saved"}, names()
        assert not os.listdir(w / "store/partial")
        assert proxy.sent() < r.pages["size"] * 1.05, "something was fetched twice"
        checked = wslx("verify")
        assert checked.returncode == 0, checked.stderr
        # From now on it is a snapshot like any other.
        proxy.clear()
        m = prompt(ref, "--distro", "other")
        works(m)
        m.send("exit 6\n")
        m.rest()
        assert m.status == 6 and proxy.sent() == 0
        # And what was kept goes on, without the registry.
        m = Machine(["run", "m:1"], patience=60)
        works_to_the_end(m)


def another_start_of_what_arrives_waits_for_nobody():
    r = remote()
    with r.elsewhere() as (w, proxy, ref):
        first = early_prompt(ref)
        second = prompt(ref, "--distro", "second")
        assert names()["m:1"]["partial"] and names()["m:1"]["arrives"], names()
        # The carrier outlives its own machine for the other one, and brings the rest.
        proxy.inject("GET", r.blob, times=99999, slow=50000)
        first.send("exit 3\n")
        first.rest()
        assert first.status == 3
        third = prompt(ref, "--distro", "third")
        assert names()["m:1"]["partial"], names()
        proxy.clear()
        for m in (second, third):
            works(m)
        done = stop("second")
        assert done.returncode == 0, done.stderr
        second.rest()
        assert set(names()) == {"m:1", "second@saved"} and not os.listdir(w / "store/partial")
        third.send("exit 4\n")
        third.rest()
        assert third.status == 4 and wslx("verify").returncode == 0
    # What was fetched for one was fetched for all.
    with r.elsewhere() as (w, proxy, ref):
        machines = [early_prompt(ref, "--distro", f"d{n}") for n in range(3)]
        assert stop("d1").returncode == 0
        assert proxy.sent() < r.pages["size"] * 1.05, (proxy.sent(), r.pages["size"])
        for m in machines:
            if m is not machines[1]:
                m.send("exit\n")
            m.rest()


def a_start_whose_carrier_is_another_ones_is_told_when_it_has_ended():
    r = remote()
    with r.elsewhere() as (w, proxy, ref):
        first = early_prompt(ref)
        second = prompt(ref, "--distro", "second")
        (carrier,) = [p for p in descendants(first.pid) if talks_to(p, proxy.server_port)]
        os.kill(carrier, signal.SIGKILL)
        # Either it needs a page before it can be kept, or to be kept.
        done = stop("second")
        with contextlib.suppress(OSError):
            second.send("exit\n")
        said = done.stderr + second.rest()
        assert done.returncode == 1 and "that fetches what is missing has ended" in said, said
        with contextlib.suppress(OSError):
            first.send("exit\n")
        first.rest()
        # What it has left behind keeps nobody from beginning anew.
        proxy.clear()
        m = prompt(ref, "--distro", "new")
        works_to_the_end(m)


def what_is_missing_comes_when_the_machine_has_ended():
    r = remote()
    with r.elsewhere() as (w, proxy, ref):
        m = prompt(ref)
        m.send("exit 3\n")
        m.rest()
        assert m.status == 3
        # The rest comes behind, by somebody for whom a pull waits.
        pulled = wslx("pull", ref, "--json")
        assert pulled.returncode == 0 and json.loads(pulled.stdout)["fetched_bytes"] == 0, pulled
        assert proxy.sent() < r.pages["size"] * 1.05
        assert set(names()) == {"m:1"} and not os.listdir(w / "store/partial")


def stuck_start(r, ref, proxy, skip=4):
    """A machine whose pages stop coming after some requests for them."""
    stuck = threading.Event()
    proxy.inject("GET", r.blob, skip=skip, times=99, wait=stuck.set, hang=1000)
    m = Machine(["run", ref], patience=60)
    assert stuck.wait(60)
    return m


def broken_off(r, ref, proxy):
    """A start whose carrier and machine were killed after some requests for pages."""
    m = stuck_start(r, ref, proxy)
    for pid in (*descendants(m.pid), m.pid):
        os.kill(pid, signal.SIGKILL)
    m.rest()
    sent = proxy.sent()
    proxy.clear()
    return sent


def what_has_arrived_can_be_removed():
    r = remote()
    for verb in (("rm", "m:1"), ("gc",)):
        with r.elsewhere() as (w, proxy, ref):
            broken_off(r, ref, proxy)
            assert names()["m:1"]["partial"] and not names()["m:1"]["arrives"]
            done = wslx(*verb)
            assert done.returncode == 0, done.stderr
            left = os.listdir(w / "store/partial")
            assert not left and names() == {}, left


def what_is_removed_while_it_arrives_is_not_kept():
    r = remote()
    with r.elsewhere() as (w, proxy, ref):
        m = early_prompt(ref)
        done = wslx("rm", "m:1")
        assert done.returncode == 0 and names() == {}, (done.stderr, names())
        works(m)
        done = stop()
        assert done.returncode == 1 and "was removed while it arrived" in done.stderr, done.stderr
        m.send("exit\n")
        m.rest()
        assert names() == {}


def a_start_that_is_killed_is_gone_on_with():
    r = remote()
    with r.elsewhere() as (w, proxy, ref):
        first = broken_off(r, ref, proxy)
        assert not [n for n, s in names().items() if not s.get("partial")]
        m = prompt(ref)
        works(m)
        assert stop().returncode == 0
        m.rest()
        assert first + proxy.sent() < r.pages["size"] * 1.1, (first, proxy.sent())
        assert wslx("verify").returncode == 0


def what_a_start_has_left_is_not_pulled_again():
    r = remote()
    for without_ranges in (False, True):
        with r.elsewhere() as (w, proxy, ref):
            broken_off(r, ref, proxy)
            here = names()["m:1"]["here_bytes"]
            if without_ranges:
                proxy.inject("GET", "/blobs/", times=999, strip=("Range",))
            pulled = wslx("pull", ref, "--json")
            assert pulled.returncode == 0, pulled.stderr
            told = json.loads(pulled.stdout)
            assert told["fetched_bytes"] == told["bytes"] - here, (told, here)
            if not without_ranges:
                # Records are here too, and a frame that was under way when it ended may come twice.
                assert proxy.sent() < told["fetched_bytes"] + (1 << 20), (told, proxy.sent())
                asked = [q["range"] for q in proxy.requests if r.blob in q["path"]]
                assert len(asked) < told["fetched_bytes"] / (1 << 20), "in many small requests"
            assert set(names()) == {"m:1"} and not os.listdir(w / "store/partial")
            assert wslx("verify").returncode == 0


def who_does_not_want_to_wait_leaves():
    r = remote()
    with r.elsewhere() as (w, proxy, ref):
        m = stuck_start(r, ref, proxy, skip=1)
        m.send("\x01x")
        m.expect("Ctrl-a x again ends it now")
        m.send("\x01x")
        said = m.rest()
        assert m.status == 0 and "wslx: " not in said, said
        assert "m@saved" not in names() and not names()["m:1"].get("running")


def descendants(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        children = [int(c) for c in f.read().split()]
    return [d for c in children for d in descendants(c)] + children


def a_machine_whose_carrier_is_gone_says_so():
    r = remote()
    with r.elsewhere() as (w, proxy, ref):
        m = stuck_start(r, ref, proxy)
        carrier = [p for p in descendants(m.pid) if talks_to(p, proxy.server_port)]
        assert len(carrier) == 1, "connections belong to the carrier alone"
        os.kill(carrier[0], signal.SIGKILL)
        said = m.rest()
        assert m.status == 1 and "the process that fetches what is missing has ended" in said, said
        assert said.count("wslx: ") == 1, said


def who_looks_after_a_machine_does_not_wait_for_its_carrier():
    r = remote()
    with r.elsewhere() as (w, proxy, ref):
        m = stuck_start(r, ref, proxy)
        (carrier,) = [p for p in descendants(m.pid) if talks_to(p, proxy.server_port)]
        end = os.pidfd_open(supervisor_of(m.pid))
        os.kill(m.pid, signal.SIGKILL)
        await_end(end)
        assert not os.path.exists(w / "store/run/m.sock") and os.path.exists(f"/proc/{carrier}")
        os.kill(carrier, signal.SIGKILL)
        m.rest()


def talks_to(pid, port):
    with open(f"/proc/{pid}/net/tcp") as f:
        sockets = {line.split()[9] for line in list(f)[1:]
                   if int(line.split()[2].split(":")[1], 16) == port}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
            if found and found[1] in sockets:
                return True
    return False


# What passes: what happens to requests for pages, after so many of them.
PASSES = {
    "429": {"status": 429, "headers": {"Retry-After": "1"}},
    "500": {"status": 500},
    "503 for a while": {"status": 503, "times": 4},
    "dropped": {"drop": True},
    "dropped for a while": {"drop": True, "times": 4},
    "truncated": {"truncate": 1000},
    "a byte is wrong": {"corrupt": 50000},
    "slow": {"slow": 400000, "times": 3},
}

# Of these, what could leave something wrong in the store: all of it is fetched and looked at.
SPOILS = ("dropped", "truncated", "a byte is wrong")

# What does not, and what is said.
FAILS = {
    "403": ({"status": 403}, "access is denied"),
    "404": ({"status": 404}, "is not there"),
    "416": ({"status": 416}, "status 416"),
    "500": ({"status": 500}, "status 500"),
    "dropped": ({"drop": True}, "broke off|Empty reply|reset|closed"),
    "a byte is always wrong": ({"corrupt": 3}, "without its digest"),
    "another range": ({"add": {"Content-Range": "bytes 5-9/10"}, "hide": ("Content-Range",)},
                      "another range"),
}


def what_passes_is_waited_for():
    r = remote()
    for name, fault in PASSES.items():
        for skip in (1, 6) if name in ("dropped", "a byte is wrong") else (1,):
            with r.elsewhere() as (w, proxy, ref), forced("no-backoff"):
                hit = proxy.inject("GET", r.blob, skip=skip, **fault)
                m = prompt(ref)
                works(m)
                if name in SPOILS:
                    done = stop()
                    assert done.returncode == 0, (name, done.stderr)
                else:
                    m.send("exit\n")
                said = m.rest()
                assert hit.hits > hit.skip, f"{name}: it did not happen"
                assert "cannot go on" not in said, (name, said)
                assert name not in SPOILS or wslx("verify").returncode == 0, name


def what_does_not_pass_ends_in_a_sentence():
    r = remote()
    for name, (fault, why) in FAILS.items():
        with r.elsewhere() as (w, proxy, ref), forced("no-backoff"):
            proxy.inject("GET", r.blob, skip=1, times=99999, **fault)
            m = Machine(["run", ref], patience=60)
            said = m.rest()
            last = said.strip().splitlines()[-1]
            assert m.status == 1 and re.search(why, last) and "cannot go on" in last, (name, said)
            assert "m:1" not in {n for n, s in names().items() if not s.get("partial")}, name
            proxy.clear()
            m = prompt(ref)
            works(m)
            m.send("exit 2\n")
            m.rest()
            assert m.status == 2, name


def a_link_that_breaks_is_told_once():
    r = remote()
    with r.elsewhere() as (w, proxy, ref):
        proxy.inject("GET", r.blob, skip=1, times=99999, drop=True)
        m = Machine(["run", ref], patience=60)
        m.expect("the machine waits while it is tried again")
        proxy.clear()
        said = m.expect("# ")
        # A try that was under way when the link came back may have failed after another one succeeded.
        assert said.count("it goes on") == said.count("waits") + 1, said
        works_to_the_end(m)


def rights_that_expire_are_got_anew():
    """A token server that gives out what the registry stops believing on the way."""
    r = remote()
    tokens = TokenServer({})
    registry = DockerRegistry(auth=tokens.config(), data=r.registry.data)
    try:
        with r.elsewhere() as (w, proxy, _):
            proxy.upstream = registry.port
            challenge = (f'Bearer realm="http://{tokens.host}/token",'
                         f'service="{tokens.SERVICE}",scope="repository:free/m:pull"')
            hit = proxy.inject("GET", r.blob, skip=1, times=2, status=401,
                               headers={"WWW-Authenticate": challenge})
            m = prompt(f"{proxy.host}/free/m:1")
            assert hit.hits > 2 and len(tokens.asked) >= 2, tokens.asked
            works_to_the_end(m)
    finally:
        registry.stop()
        tokens.stop()


def a_registry_without_ranges_is_asked_for_all_first():
    r = remote()
    with r.elsewhere() as (w, proxy, ref):
        proxy.inject("GET", "/blobs/", times=999, strip=("Range",))
        m = prompt(ref)
        assert "m:1" in names() and not os.listdir(w / "store/partial")
        works_to_the_end(m)


def a_machine_that_was_not_rehearsed_is_fetched_first():
    r = remote()
    with r.elsewhere() as (w, proxy, ref), forced("no-early-start"):
        m = prompt(ref)
        assert "m:1" in names()
        m.send("exit\n")
        m.rest()


def a_far_registry_is_near_enough():
    r = remote()
    with r.elsewhere(Link(50_000_000 / 8, 0.04)) as (w, proxy, ref):
        m = early_prompt(ref)
        sent = proxy.sent()
        assert sent < r.pages["size"] * 0.3, sent
        works_to_the_end(m)


if __name__ == "__main__":
    try:
        run([
            a_start_needs_a_part_and_the_rest_follows,
            another_start_of_what_arrives_waits_for_nobody,
            a_start_whose_carrier_is_another_ones_is_told_when_it_has_ended,
            what_is_missing_comes_when_the_machine_has_ended,
            what_has_arrived_can_be_removed,
            what_is_removed_while_it_arrives_is_not_kept,
            a_start_that_is_killed_is_gone_on_with,
            what_a_start_has_left_is_not_pulled_again,
            who_does_not_want_to_wait_leaves,
            a_machine_whose_carrier_is_gone_says_so,
        who_looks_after_a_machine_does_not_wait_for_its_carrier,
            what_passes_is_waited_for,
            what_does_not_pass_ends_in_a_sentence,
            a_link_that_breaks_is_told_once,
            rights_that_expire_are_got_anew,
            a_registry_without_ranges_is_asked_for_all_first,
            a_machine_that_was_not_rehearsed_is_fetched_first,
            a_far_registry_is_near_enough,
        ])
    finally:
        for r in _remote:
            r.registry.stop()
