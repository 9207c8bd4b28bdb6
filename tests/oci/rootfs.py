#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images of every form become the same disk, and hostile ones become none. TAP; $WSLX."""
import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile

from erofs import Disk

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../vm"))
from machine import Skip, run  # noqa: E402

WSLX = os.environ.get("WSLX", "wslx")
work = tempfile.mkdtemp(prefix="wslx-oci-")


class Layer:
    def __init__(self):
        self.bytes = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.bytes, mode="w", format=tarfile.PAX_FORMAT)

    def add(self, name, data=None, kind=None, mode=0o644, link="", **more):
        t = tarfile.TarInfo(name)
        t.type = kind or (tarfile.REGTYPE if data is not None else tarfile.DIRTYPE)
        t.mode, t.linkname, t.mtime = mode, link, more.pop("mtime", 1700000000)
        xattrs = more.pop("xattrs", {})
        t.pax_headers = {f"SCHILY.xattr.{k}": v for k, v in xattrs.items()}
        for key, value in more.items():
            setattr(t, key, value)
        t.size = len(data or b"")
        self.tar.addfile(t, io.BytesIO(data or b""))
        return self

    def end(self):
        self.tar.close()
        return self.bytes.getvalue()


BIG = bytes(range(256)) * 40000 + b"tail"  # ten megabytes and a bit

CONFIG = {"os": "linux", "architecture": "amd64",
          "config": {"Entrypoint": ["/bin/x"], "Cmd": ["-y"], "Env": ["A=b c"], "User": "7:8"}}


def layers():
    one = Layer().add("./", mode=0o755).add("etc", mode=0o755)
    one.add("etc/passwd", b"root\n").add("etc/gone", b"x").add("big", BIG)
    one.add("bin/su", b"#!", mode=0o4755, uid=0, gid=42).add("empty", b"")
    one.add("null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666)
    one.add("disk", kind=tarfile.BLKTYPE, devmajor=259, devminor=1000, mode=0o600)
    one.add("fifo", kind=tarfile.FIFOTYPE).add("link", kind=tarfile.SYMTYPE, link="etc/passwd")
    one.add("hard", kind=tarfile.LNKTYPE, link="big")
    one.add("opaque/old", b"old").add("usr/lib", mode=0o755)
    one.add("lib", kind=tarfile.SYMTYPE, link="usr/lib")
    one.add("caps", b"c" * 5000, xattrs={"security.capability": "12345", "user.note": "hi"})
    two = Layer().add("etc/.wh.gone", b"").add("opaque/.wh..wh..opq", b"")
    two.add("opaque/new", b"new").add("etc/passwd", b"root:x\n", uid=1000, gid=100000)
    two.add("lib/libc.so", b"elf" * 3000)
    three = Layer()
    for n in range(700):
        three.add(f"many/a-file-with-a-rather-long-name-{n:04}", b"%d" % n)
    return [one.end(), two.end(), three.end()]


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def write_layout(path, parts, compress=gzip.compress, config=CONFIG, tags=("latest",)):
    os.makedirs(f"{path}/blobs/sha256", exist_ok=True)

    def blob(data, kind):
        with open(f"{path}/blobs/sha256/{digest(data)[7:]}", "wb") as f:
            f.write(data)
        return {"mediaType": kind, "digest": digest(data), "size": len(data)}

    kind = "application/vnd.oci.image."
    manifest = {"schemaVersion": 2,
                "config": blob(json.dumps(config).encode(), kind + "config.v1+json"),
                "layers": [blob(compress(p), kind + "layer.v1.tar+gzip") for p in parts]}
    d = blob(json.dumps(manifest).encode(), kind + "manifest.v1+json")
    index = {"schemaVersion": 2, "manifests": [
        dict(d, annotations={"org.opencontainers.image.ref.name": t}) for t in tags]}
    with open(f"{path}/index.json", "w") as f:
        json.dump(index, f)
    with open(f"{path}/oci-layout", "w") as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')
    return path


def bake(image, ok=True):
    out = f"{work}/disk"
    done = subprocess.run([WSLX, "bake", image, "--write-disk", out, "--quiet"], timeout=120,
                          capture_output=True, text=True)
    if ok:
        assert done.returncode == 0, done.stderr
        return out
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done
    assert not os.path.exists(out), "nothing half made is left"
    return done.stderr


def bytes_of(image):
    with open(bake(image), "rb") as f:
        return f.read()


def layers_of_an_oci_layout_become_one_file_system():
    disk = Disk(bake(write_layout(f"{work}/layout", layers())))
    f = disk.files
    assert f["/etc/passwd"].content() == b"root:x\n"
    assert (f["/etc/passwd"].uid, f["/etc/passwd"].gid) == (1000, 100000)
    assert "/etc/gone" not in f and "/opaque/old" not in f and "/opaque/new" in f
    assert f["/big"].content() == BIG and f["/hard"].nid == f["/big"].nid
    assert f["/big"].nlink == 2 and f["/empty"].content() == b""
    assert stat.S_IMODE(f["/bin/su"].mode) == 0o4755 and f["/bin/su"].gid == 42
    assert stat.S_ISCHR(f["/null"].mode) and f["/null"].rdev == (1, 3)
    assert stat.S_ISBLK(f["/disk"].mode) and f["/disk"].rdev == (259, 1000)
    assert stat.S_ISFIFO(f["/fifo"].mode) and f["/link"].content() == b"etc/passwd"
    assert f["/usr/lib/libc.so"].content() == b"elf" * 3000 and f["/lib"].size == 7
    assert f["/caps"].xattrs() == {"security.capability": b"12345", "user.note": b"hi"}
    assert f["/caps"].content() == b"c" * 5000 and f["/caps"].mtime == 1700000000
    assert sum(n.startswith("/many/") for n in f) == 700
    assert not [n for n in f if ".wh." in n]


def fsck_agrees():
    if not shutil.which("fsck.erofs"):
        raise Skip("fsck.erofs is not installed (erofs-utils)")
    done = subprocess.run(["fsck.erofs", bake(write_layout(f"{work}/layout", layers()))],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def the_same_image_gives_the_same_bytes_in_every_form():
    parts = layers()
    want = bytes_of("oci:" + write_layout(f"{work}/layout", parts))
    assert bytes_of(f"{work}/layout:latest") == want
    assert bytes_of(write_layout(f"{work}/plain", parts, compress=lambda d: d)) == want
    with tarfile.open(f"{work}/oci.tar", "w") as t:
        t.add(f"{work}/layout", arcname=".")
    assert bytes_of("oci-archive:" + f"{work}/oci.tar") == want
    with tarfile.open(f"{work}/docker.tar", "w") as t:
        def put(name, data):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
        for n, p in enumerate(parts):
            put(f"{n}/layer.tar", p)
        put("config.json", json.dumps(CONFIG).encode())
        put("manifest.json", json.dumps([{"Config": "config.json", "RepoTags": ["x:y"], "Layers": [
            f"{n}/layer.tar" for n in range(len(parts))]}]).encode())
    assert bytes_of("docker-archive:" + f"{work}/docker.tar") == want
    assert bytes_of(f"{work}/docker.tar") == want


def a_root_tree_is_taken_as_it_is():
    root = f"{work}/root"
    os.makedirs(f"{root}/sub/dir")
    with open(f"{root}/sub/file", "wb") as f:
        f.write(BIG)
    os.link(f"{root}/sub/file", f"{root}/other")
    os.symlink("sub/file", f"{root}/link")
    with open(f"{root}/sparse", "wb") as f:
        f.truncate(5 << 20)
        f.seek(3 << 20)
        f.write(b"here")
    os.chmod(f"{root}/sub/dir", 0o1777)
    disk = Disk(bake("rootfs:" + root))
    f = disk.files
    assert f["/other"].nid == f["/sub/file"].nid and f["/sub/file"].content() == BIG
    assert f["/link"].content() == b"sub/file" and stat.S_IMODE(f["/sub/dir"].mode) == 0o1777
    assert f["/sparse"].content() == open(f"{root}/sparse", "rb").read()
    assert all(i.uid == 0 for i in f.values()), "what is ours is root's there"
    with tarfile.open(f"{work}/root.tar.gz", "w:gz") as t:
        t.add(root, arcname=".")
    assert set(Disk(bake(f"{work}/root.tar.gz")).files) == set(f)


def one_of_several_is_named_by_its_tag():
    path = write_layout(f"{work}/tags", layers()[:1], tags=("a", "b"))
    assert "several images" in bake(path, ok=False)
    assert "no image with the tag c" in bake(f"oci:{path}:c", ok=False)
    bake(f"oci:{path}:b")


def a_layer_may_end_with_its_last_byte():
    """As umoci insert leaves it: neither the last block is filled up nor is there an end."""
    whole = Layer().add("first", b"1" * 700).add("last", b"hi\n").end()
    cut = whole.index(b"hi\n") + 3
    disk = Disk(bake(write_layout(f"{work}/short", [whole[:cut]])))
    assert disk.files["/last"].content() == b"hi\n" and "/first" in disk.files
    assert "truncated" in bake(write_layout(f"{work}/cut", [whole[:cut - 1]]), ok=False).lower()
    # Without a digest nobody knows that this was all.
    with open(f"{work}/root.tar", "wb") as f:
        f.write(whole[:cut])
    assert "truncated" in bake(f"rootfs:{work}/root.tar", ok=False).lower()


def damage_is_refused_in_one_sentence():
    path = write_layout(f"{work}/hurt", layers())
    names = sorted(os.listdir(f"{path}/blobs/sha256"))
    for name in names:
        where = f"{path}/blobs/sha256/{name}"
        good = open(where, "rb").read()
        for bad in (good[:-1], good[:len(good) // 2] + b"!" + good[len(good) // 2 + 1:], b""):
            with open(where, "wb") as f:
                f.write(bad)
            bake(path, ok=False)
        with open(where, "wb") as f:
            f.write(good)
    bake(path)


def hostile_layers_write_nothing_anywhere():
    for add in (
        lambda l: l.add("../../escape", b"x"),
        lambda l: l.add("x", kind=tarfile.LNKTYPE, link="../../etc/passwd"),
        lambda l: l.add("loop", kind=tarfile.SYMTYPE, link="loop").add("loop/x", b""),
        lambda l: l.add("f", b"").add("f/x", b""),
        lambda l: l.add("n" * 300, b""),
        lambda l: l.add("a/" * 1000, mode=0o755),
        lambda l: l.add(".wh.", b""),
    ):
        bake(write_layout(f"{work}/hostile", [add(Layer()).end()]), ok=False)
    absolute = Layer().add("link", kind=tarfile.SYMTYPE, link=work).add("link/inside", b"x")
    disk = Disk(bake(write_layout(f"{work}/hostile2", [absolute.end()])))
    assert f"{work}/inside" in disk.files and not os.path.exists(f"{work}/inside")


def another_platform_is_refused():
    path = write_layout(f"{work}/arm", layers()[:1], config=dict(CONFIG, architecture="arm64"))
    assert "linux/arm64" in bake(path, ok=False)


if __name__ == "__main__":
    try:
        run([
            layers_of_an_oci_layout_become_one_file_system,
            fsck_agrees,
            the_same_image_gives_the_same_bytes_in_every_form,
            a_root_tree_is_taken_as_it_is,
            one_of_several_is_named_by_its_tag,
            a_layer_may_end_with_its_last_byte,
        damage_is_refused_in_one_sentence,
            hostile_layers_write_nothing_anywhere,
            another_platform_is_refused,
        ])
    finally:
        shutil.rmtree(work)
