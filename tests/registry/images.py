# SPDX-License-Identifier: MIT
"""Container images that `bake` fetches from a registry: the same disk as from a layout, whatever the way.

Only disks are made here (--write-disk); tests/vm/distro.py starts machines from them.
"""
import hashlib
import http.client
import json
import os
import random
import subprocess
import sys

from harness import TOP, need
from servers import DockerRegistry, Folder, TokenServer, openssl
from world import skopeo

sys.path.insert(0, os.path.join(TOP, "tests/oci"))
from rootfs import Layer, write_layout  # noqa: E402

BIG = random.Random(7).randbytes(6 << 20)
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def layers(mark=b"one"):
    low = Layer().add("./", mode=0o755).add("etc", mode=0o755).add("etc/gone", b"x").add("big", BIG)
    high = Layer().add("etc/.wh.gone", b"").add("etc/mark", mark)
    return [low.end(), high.end()]


def disk(client, image, *more):
    path = client.folder / "disk"
    client.ok("bake", image, "--write-disk", path, "--quiet", *more)
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def layout(w, mark=b"one"):
    return write_layout(w.keep(Folder()) / "image", layers(mark))


def upload(image, host, name, *more):
    skopeo("copy", "--dest-tls-verify=false", *more, f"oci:{image}", f"docker://{host}/{name}")
    return f"{host}/{name}"


def image_folders(client):
    path = os.path.join(client.store, "images")
    return os.listdir(path) if os.path.isdir(path) else []


def an_image_of_a_registry_becomes_the_same_disk(w):
    a = w.client()
    image = layout(w)
    want = disk(a, f"oci:{image}")
    ref = upload(image, w.registry.host, "images/plain:v1")
    need(disk(a, f"docker://{ref}") == want, "another disk came of it")
    need(disk(a, ref) == want, "another one without the prefix")
    # As docker's own tools write it, and with zstd where skopeo can.
    docker = upload(image, w.registry.host, "images/docker:v1", "--format", "v2s2")
    need(disk(a, docker) == want, "another one of docker's format")
    need(image_folders(a) == [], "what was fetched is left behind")


def put_manifest(host, name, reference, body, kind):
    c = http.client.HTTPConnection(host.replace("localhost", "127.0.0.1"))
    c.request("PUT", f"/v2/{name}/manifests/{reference}", body, {"Content-Type": kind})
    answer = c.getresponse()
    need(answer.status == 201, answer.read())
    c.close()
    return {"mediaType": kind, "digest": "sha256:" + hashlib.sha256(body).hexdigest(),
            "size": len(body)}


def put_index(host, name, tag, *entries):
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    return put_manifest(host, name, tag, body, INDEX)


def of_many_platforms_ours_is_taken(w):
    a = w.client()
    image = layout(w)
    want = disk(a, f"oci:{image}")
    host = w.registry.host
    upload(image, host, "images/multi:amd64")
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{host}/images/multi:amd64")
    ours = put_manifest(host, "images/multi", "amd64", raw.encode(), MANIFEST)
    other = dict(ours, platform={"os": "linux", "architecture": "arm64"})
    notes = dict(ours, platform={"os": "unknown", "architecture": "unknown"})
    inner = put_index(host, "images/multi", "inner", other,
                      dict(ours, platform={"os": "linux", "architecture": "amd64"}))
    put_index(host, "images/multi", "v1", notes, other, dict(inner))
    need(disk(a, f"{host}/images/multi:v1") == want, "another one was taken")
    put_index(host, "images/multi", "arm", other)
    a.refused("bake", f"{host}/images/multi:arm", "--write-disk", a.folder / "no",
              says="no image for linux/amd64")


def what_breaks_off_goes_on_and_nothing_wrong_is_taken(w):
    a = w.client()
    image = layout(w)
    want = disk(a, f"oci:{image}")
    upload(image, w.registry.host, "images/broken:v1")
    proxy = w.proxy()
    ref = f"{proxy.host}/images/broken:v1"
    # Cut once: it goes on from there.
    proxy.inject("GET", "/blobs/", skip=1, truncate=3 << 20)
    need(disk(a, ref) == want and proxy.sent() < len(BIG) * 1.2, f"{proxy.sent()} were sent")
    # Cut off for good: the next try goes on.
    proxy.clear()
    proxy.inject("GET", "/blobs/", skip=1, truncate=3 << 20)
    proxy.inject("GET", "/blobs/", skip=1, times=99, status=403)
    a.refused("bake", ref, "--write-disk", a.folder / "no", "--quiet", says="broken:v1.*access is denied")
    need(not os.path.exists(a.folder / "no") and len(image_folders(a)) == 1, image_folders(a))
    proxy.clear()
    need(disk(a, ref) == want and proxy.sent() < len(BIG) * 0.7, f"{proxy.sent()} were sent")
    need(image_folders(a) == [], "what was fetched is left behind")
    # Wrong content is fetched once more, and then refused.
    proxy.clear()
    proxy.inject("GET", "/blobs/", skip=1, times=99, corrupt=1 << 20)
    a.refused("bake", ref, "--write-disk", a.folder / "no", "--quiet", says="other content")
    need(len(image_folders(a)) == 1, image_folders(a))
    need("freed" in a.ok("gc") and image_folders(a) == [], "gc leaves it")


def its_size_is_told_before_anything_is_written(w):
    a = w.client()
    ref = upload(layout(w), w.registry.host, "images/size:v1")
    a.refused("bake", ref, "--write-disk", a.folder / "no", "--limit", "5M", says=r"limit is 5\.0 MiB")
    need(image_folders(a) == [], "something was written")
    done = a.run("bake", ref, "--write-disk", a.folder / "yes")
    need("2 layers of 6.0 MiB, 6.0 MiB to be fetched" in done.stderr, done.stderr)


def an_image_behind_tls_and_a_token_server(w):
    tokens = w.keep(TokenServer({"ann": "yes"}))
    registry = w.keep(DockerRegistry(auth=tokens.config(), tls=w.authority))
    a, b = w.client(), w.client()
    image = layout(w)
    upload(image, registry.host, "closed/image:v1", "--dest-creds", "ann:yes")
    ref = f"{registry.host}/closed/image:v1"
    for c in (a, b):
        c.trusts(rules={registry.host: {"ca": w.authority.ca}})
    a.ok("login", registry.host, "-u", "ann", "--password-stdin", stdin="yes\n")
    need(disk(a, ref) == disk(a, f"oci:{image}"), "another disk came of it")
    b.refused("bake", ref, "--write-disk", b.folder / "no", says="login|denied")


def a_mirror_has_it_too(w):
    a = w.client()
    image = layout(w)
    upload(image, w.registry.host, "copies/team/image:v1")
    a.trusts(rules={"far.example": {"mirrors": [f"{w.registry.host}/copies"]}})
    need(disk(a, "far.example/team/image:v1") == disk(a, f"oci:{image}"), "another disk came of it")


def put_blob(host, name, data):
    c = http.client.HTTPConnection(host.replace("localhost", "127.0.0.1"))
    c.request("POST", f"/v2/{name}/blobs/uploads/")
    answer = c.getresponse()
    answer.read()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    where = answer.getheader("Location")
    c.request("PUT", where + ("&" if "?" in where else "?") + "digest=" + digest, data,
              {"Content-Type": "application/octet-stream"})
    answer = c.getresponse()
    need(answer.status == 201, answer.read())
    c.close()
    return {"digest": digest, "size": len(data)}


def sign_by_hand(w, host, name, tag, key):
    """A signature as docs/registry.md has it: what is signed is no snapshot, so `push` cannot do it."""
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{host}/{name}:{tag}").encode()
    digest = "sha256:" + hashlib.sha256(raw).hexdigest()
    message = w.keep(Folder()).write("message", f"wslx-signature-v1\n{digest}\n")
    blob = put_blob(host, name, openssl("pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", message))
    empty = put_blob(host, name, b"{}")
    kind = "application/vnd.wslx.signature.v1"
    body = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind,
        "config": dict(empty, mediaType="application/vnd.oci.empty.v1+json"),
        "layers": [dict(blob, mediaType=kind)],
        "subject": {"mediaType": MANIFEST, "digest": digest, "size": len(raw)}}).encode()
    entry = put_manifest(host, name, "signature", body, MANIFEST)
    put_index(host, name, digest.replace(":", "-"), dict(entry, artifactType=kind))


def a_signature_is_asked_for_where_one_is_needed(w):
    a = w.client()
    image = layout(w)
    folder = w.keep(Folder())
    key, public = folder / "k.pem", folder / "k.pub"
    openssl("genpkey", "-algorithm", "ed25519", "-out", key)
    openssl("pkey", "-in", key, "-pubout", "-out", public)
    no, host = a.folder / "no", w.registry.host
    ref = upload(image, host, "images/signed:v1")
    a.refused("bake", ref, "--write-disk", no, "--verify", public, says="not signed")
    a.trusts(rules={host: {"signed-by": [public]}})
    a.refused("bake", ref, "--write-disk", no, says="not signed")
    a.refused("run", ref, says="not signed")
    need(image_folders(a) == [] and a.names() == [], "something was fetched")
    sign_by_hand(w, host, "images/signed", "v1", key)
    need(disk(a, ref) == disk(a, f"oci:{image}"), "another disk came of it")
    # One of the index vouches for what it leads to.
    upload(layout(w, b"two"), host, "images/signed:amd64")
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{host}/images/signed:amd64")
    put_index(host, "images/signed", "v2",
              put_manifest(host, "images/signed", "amd64", raw.encode(), MANIFEST))
    a.refused("bake", f"{host}/images/signed:v2", "--write-disk", no, says="not signed")
    sign_by_hand(w, host, "images/signed", "v2", key)
    need(disk(a, f"{host}/images/signed:v2") != disk(a, ref), "the same disk came of it")


def what_is_no_image_is_refused_in_a_sentence(w):
    a = w.client(stocked=True)
    ref = f"{w.registry.host}/images/snapshot:v1"
    a.ok("push", "small-public", ref)
    no = a.folder / "no"
    a.refused("bake", ref, "--write-disk", no, says="it is a snapshot, not a container image")
    a.refused("bake", f"{w.registry.host}/images/none:v1", "--write-disk", no, says="is not there")
    a.refused("bake", "./none", "--write-disk", no, says="No such file")
    a.refused("bake", "localhost:1/none", "--write-disk", no, says="localhost:1/none:latest: ")
    a.refused("run", "./none/x", says="image ./none/x: No such file")
    a.refused("run", "none", says="there is no snapshot none")
    config = w.keep(Folder())
    subprocess.run(["umoci", "init", "--layout", config / "i"], check=True, capture_output=True)
    subprocess.run(["umoci", "new", "--image", f"{config / 'i'}:v1"], check=True,
                   capture_output=True)
    subprocess.run(["umoci", "config", "--image", f"{config / 'i'}:v1", "--architecture", "arm64"],
                   check=True, capture_output=True)
    skopeo("copy", "--dest-tls-verify=false", "--override-arch=arm64", f"oci:{config / 'i'}:v1",
           f"docker://{w.registry.host}/images/arm:v1")
    a.refused("bake", f"{w.registry.host}/images/arm:v1", "--write-disk", no, "--quiet", says="linux/arm64")


TESTS = [
    an_image_of_a_registry_becomes_the_same_disk,
    of_many_platforms_ours_is_taken,
    what_breaks_off_goes_on_and_nothing_wrong_is_taken,
    its_size_is_told_before_anything_is_written,
    an_image_behind_tls_and_a_token_server,
    a_mirror_has_it_too,
    a_signature_is_asked_for_where_one_is_needed,
    what_is_no_image_is_refused_in_a_sentence,
]
