# SPDX-License-Identifier: MIT
"""What breaks on the way: every case ends in success or in one sentence, nothing half-pulled becomes
visible, and the next try goes on.
"""
import json
import os
import subprocess
import threading
import time

from harness import WSLX, Failed, need
from servers import DockerRegistry
from world import PAGES, blob_count, fault_ref, same

BUSY = {"status": 429, "headers": {"Retry-After": "1"}, "body": b'{"errors":[]}'}
BROKEN = {"status": 503}
DOWN = {"drop": True}

# What can be overcome: method, path, and what happens.
PULL_FAULTS = {
    "the base request is dropped": [("GET", "/v2/$", DOWN)],
    "the manifest is dropped": [("GET", "/manifests/", DOWN)],
    "the manifest is cut": [("GET", "/manifests/", {"truncate": 100})],
    "the manifest: 429": [("GET", "/manifests/", BUSY)],
    "the manifest: 500": [("GET", "/manifests/", {"status": 500})],
    "the manifest: 503 twice": [("GET", "/manifests/", dict(BROKEN, times=2))],
    "a blob is dropped": [("GET", "/blobs/", dict(DOWN, skip=1))],
    "a blob: 429": [("GET", "/blobs/", BUSY)],
    "a blob: 502": [("GET", "/blobs/", {"status": 502})],
    "each blob is cut once": [("GET", "/blobs/", {"truncate": 150, "times": 1}),
                              ("GET", "/blobs/", {"truncate": 5 << 20, "skip": 3})],
    "pages are cut again and again": [("GET", "/blobs/", {"truncate": 3 << 20, "times": 99,
                                                          "skip": 3})],
    "pages are changed once": [("GET", "/blobs/", {"corrupt": 7 << 20, "skip": 3})],
    "the config is changed once": [("GET", "/blobs/", {"corrupt": 20})],
    "ranges are not known": [("GET", "/blobs/", {"truncate": 6 << 20, "skip": 3}),
                             ("GET", "/blobs/", {"strip": ("Range",), "skip": 3, "times": 9})],
    "a range: 416": [("GET", "/blobs/", {"truncate": 6 << 20, "skip": 3}),
                     ("GET", "/blobs/", {"status": 416, "skip": 3})],
}

# What cannot: and what the sentence says.
PULL_FAILURES = {
    "the manifest: 401 again and again": [("GET", "/manifests/", {"status": 401}, "way that we")],
    "the manifest: 403": [("GET", "/manifests/", {"status": 403}, "access is denied")],
    "the manifest: 404": [("GET", "/manifests/", {"status": 404}, "is not there")],
    "the manifest: 400": [("GET", "/manifests/", {"status": 400}, "status 400")],
    "the manifest: 500 always": [("GET", "/manifests/", {"status": 500}, "status 500")],
    "the manifest: 429 for an hour": [("GET", "/manifests/", dict(
        BUSY, headers={"Retry-After": "3600"}), "too many requests")],
    "the manifest is not JSON": [("GET", "/manifests/", {"status": 200, "body": b"<html>"},
                                  "not JSON")],
    "the manifest is too large": [("GET", "/manifests/", {
        "status": 200, "body": b" " * ((4 << 20) + 1)}, "longer than")],
    "the manifest is empty": [("GET", "/manifests/", {"status": 200}, "not JSON")],
    "a blob: 404": [("GET", "/blobs/", dict(status=404, skip=3), "blob sha256:.* is not there")],
    "a blob: 403": [("GET", "/blobs/", dict(status=403, skip=3), "access is denied")],
    "pages are always changed": [("GET", "/blobs/", {"corrupt": 9 << 20, "skip": 3},
                                  "other content")],
    "a blob is too long": [("GET", "/blobs/", {"status": 200, "body": b"x" * (30 << 20),
                                               "skip": 3}, "longer than its manifest")],
    "a blob is always short": [("GET", "/blobs/", {"status": 200, "body": b"x", "skip": 3},
                                "begins anew|broke off")],
    "a range that is another": [("GET", "/blobs/", {"truncate": 6 << 20, "skip": 3, "times": 1},
                                 None),
                                ("GET", "/blobs/", {"skip": 3, "hide": ("Content-Range",), "add": {
                                    "Content-Range": "bytes 5-9/10"}}, "another range")],
    "a redirect to nowhere": [("GET", "/blobs/", {"status": 302, "headers": {
        "Location": "ftp://x/"}}, "address that is none")],
}


def inject(proxy, faults, times=1):
    for method, path, action, *_ in faults:
        action = dict(action)
        proxy.inject(method, path, times=action.pop("times", times),
                     skip=action.pop("skip", 0), **action)


def a_pull_overcomes_what_passes(w):
    proxy = w.proxy()
    ref = fault_ref(w, proxy)
    for name, faults in PULL_FAULTS.items():
        b = w.client()
        proxy.clear()
        inject(proxy, faults)
        done = b.run("pull", ref)
        need(done.returncode == 0, f"{name}: {done.stderr}")
        need(all(f.hits > f.skip for f in proxy.faults), f"{name}: it did not happen")
        same(w, b, "large", "large")
        if "cut again" in name:
            need(proxy.sent() < PAGES * 1.2, f"{name}: {proxy.sent()} bytes were sent")
        b.remove()


def a_pull_that_fails_says_one_sentence_and_shows_nothing(w):
    proxy = w.proxy()
    ref = fault_ref(w, proxy)
    for name, faults in PULL_FAILURES.items():
        b = w.client()
        proxy.clear()
        inject(proxy, faults, times=99)
        try:
            b.refused("pull", ref, says=faults[-1][3])
        except Failed as e:
            raise Failed(f"{name}: {e}") from e
        need(b.names() == [] and blob_count(b) == 0, f"{name}: something is visible")
        proxy.clear()
        b.ok("pull", ref)
        same(w, b, "large", "large")
        b.remove()


def a_pull_that_was_killed_goes_on_where_it_was(w):
    proxy = w.proxy()
    ref = fault_ref(w, proxy)
    b = w.client()
    proxy.inject("GET", "/blobs/", times=1, skip=3, slow=40 << 20)
    child = subprocess.Popen([WSLX, "pull", ref], env=b.env, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while b.partial() < 4 << 20:
        need(child.poll() is None and time.monotonic() < end, "it ended too early")
        time.sleep(0.005)  # a file grows, of which there is no event here
    child.kill()
    child.wait()
    need(b.names() == [] and blob_count(b) == 0, "something is visible")
    there = b.partial()
    need(there < PAGES, "it was done already")
    proxy.clear()
    pulled = b.json("pull", ref)
    need(proxy.sent() <= PAGES + (4 << 20) - there, f"{proxy.sent()} after {there}")
    need(pulled["fetched_bytes"] < pulled["bytes"] - there + 100, pulled)
    same(w, b, "large", "large")
    need(b.partial() == 0, "something is left")


def a_stalled_registry_is_given_up(w):
    proxy = w.proxy()
    ref = fault_ref(w, proxy)
    b = w.client()
    b.trusts(rules={proxy.host: {"stall-seconds": 1}})
    proxy.inject("GET", "/blobs/", skip=3, hang=2 << 20)
    b.ok("pull", ref)
    need(proxy.sent() < PAGES + (2 << 20), "what had come was thrown away")
    same(w, b, "large", "large")


PUSH_FAULTS = {
    "HEAD: 500": [("HEAD", "/blobs/", {"status": 500})],
    "HEAD: 405": [("HEAD", "/blobs/", {"status": 405, "times": 9})],
    "POST: dropped": [("POST", "uploads", DOWN)],
    "POST: 429": [("POST", "uploads", BUSY)],
    "PUT: dropped": [("PUT", "uploads", DOWN)],
    "PUT: 502": [("PUT", "uploads", {"status": 502})],
    "PATCH: dropped": [("PATCH", "uploads", DOWN)],
    "PATCH: broken off": [("PATCH", "uploads", {"swallow": 5 << 20})],
    "PATCH: 503": [("PATCH", "uploads", BROKEN)],
    "PATCH: 416": [("PATCH", "uploads", {"status": 416})],
    "PATCH: 404": [("PATCH", "uploads", {"status": 404})],
    "PATCH: the answer is lost": [("PATCH", "uploads", {"lose": True})],
    "PUT: the answer is lost": [("PUT", "uploads", {"lose": True, "skip": 3})],
    "PUT: broken off": [("PUT", "uploads", {"swallow": 1000, "skip": 3})],
    "the upload is forgotten": [("PATCH", "uploads", DOWN), ("GET", "uploads", {"status": 404})],
    "the manifest: 500": [("PUT", "/manifests/", {"status": 500})],
    "chunks have to be larger": [("POST", "uploads", {"add": {
        "OCI-Chunk-Min-Length": str(16500000)}, "times": 9})],
}
PUSH_FAILURES = {
    "HEAD: 403": [("HEAD", "/blobs/", {"status": 403}, "access is denied")],
    "POST: 403": [("POST", "uploads", {"status": 403}, "access is denied")],
    "POST: 404": [("POST", "uploads", {"status": 404}, "not there|status")],
    "POST: no Location": [("POST", "uploads", {"hide": ("Location",)}, "does not say where")],
    "POST: dropped always": [("POST", "uploads", DOWN, "localhost")],
    "PUT: 400": [("PUT", "uploads", {"status": 400, "body": json.dumps({"errors": [{
        "code": "DIGEST_INVALID", "message": "no\x1b[31m"}]}).encode()}, "DIGEST_INVALID")],
    "PATCH: 413": [("PATCH", "uploads", {"status": 413}, "status 413")],
    "the manifest: 400": [("PUT", "/manifests/", {"status": 400}, "status 400")],
}


def a_push_overcomes_what_passes(w):
    registry = w.keep(DockerRegistry())
    proxy = w.proxy(registry)
    a = w.client(stocked=True)
    for i, (name, faults) in enumerate(PUSH_FAULTS.items()):
        b = w.client()
        proxy.clear()
        inject(proxy, faults)
        # A registry shares blobs between repositories but has to be asked in each.
        done = a.run("push", "large-public", f"{proxy.host}/f{i}/large")
        need(done.returncode == 0, f"{name}: {done.stderr}")
        need(all(f.hits > f.skip for f in proxy.faults), f"{name}: it did not happen")
        b.ok("pull", f"{registry.host}/f{i}/large")
        same(w, b, "large", "large")
        b.remove()


def a_push_that_fails_says_one_sentence_and_shows_nothing(w):
    registry = w.keep(DockerRegistry())
    proxy = w.proxy(registry)
    a, b = w.client(stocked=True), w.client()
    for i, (name, faults) in enumerate(PUSH_FAILURES.items()):
        proxy.clear()
        inject(proxy, faults, times=99)
        try:
            said = a.refused("push", "large-public", f"{proxy.host}/g{i}/large",
                             says=faults[-1][3])
            need("\x1b" not in said, "an escape reaches the terminal")
            b.refused("pull", f"{registry.host}/g{i}/large", says="is not there")
        except Failed as e:
            raise Failed(f"{name}: {e}") from e
        proxy.clear()
        a.ok("push", "large-public", f"{proxy.host}/g{i}/large")


def a_push_that_was_killed_goes_on_where_it_was(w):
    proxy = w.proxy(w.keep(DockerRegistry()))
    a = w.client(stocked=True)
    ref = f"{proxy.host}/killed/large"
    arrived, killed = threading.Event(), threading.Event()

    def first_chunk_is_there():
        arrived.set()
        killed.wait(20)

    proxy.inject("PUT", "uploads", skip=3, wait=first_chunk_is_there, drop=True)
    child = subprocess.Popen([WSLX, "push", "large-public", ref], env=a.env,
                             stderr=subprocess.DEVNULL)
    need(arrived.wait(20), "the first chunk did not come")
    child.kill()
    child.wait()
    killed.set()
    saved = [n for n in os.listdir(os.path.join(a.store, "partial")) if n.endswith(".upload")]
    need(len(saved) == 1, saved)
    proxy.clear()
    a.ok("push", "large-public", ref)
    last = [r for r in proxy.requests if "uploads" in r["path"]]
    need(last[0]["method"] == "GET" and last[0]["status"] == 204, "the upload was not gone on with")
    need("PATCH" not in [r["method"] for r in last], "the first chunk was sent twice")
    need(not os.listdir(os.path.join(a.store, "partial")), "the upload is still remembered")

TESTS = [
    a_pull_overcomes_what_passes,
    a_pull_that_fails_says_one_sentence_and_shows_nothing,
    a_pull_that_was_killed_goes_on_where_it_was,
    a_stalled_registry_is_given_up,
    a_push_overcomes_what_passes,
    a_push_that_fails_says_one_sentence_and_shows_nothing,
    a_push_that_was_killed_goes_on_where_it_was,
]
