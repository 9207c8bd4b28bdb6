#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Machines and the store: names, images of RAM and their end, damage, what show says."""
import atexit
import glob
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile

from machine import Machine, Skip, Work, boot_args, kernel, restore, run, wslx

ECHO = 'while read l; do echo "<$l>"; done\n'
template = None  # a store with the snapshot s, for all tests but the first


def done(*args):
    """What a verb prints that has to work."""
    r = wslx(*args)
    assert r.returncode == 0, r.stderr
    return r.stdout


def refused(*args, status=1):
    """The sentence with which a verb is refused."""
    r = wslx(*args)
    assert r.returncode == status, r
    lines = r.stderr.strip().splitlines()
    assert lines and (status == 2 or len(lines) == 1), r.stderr
    return r.stderr


def answers(m, text):
    m.send(f"{text}\n")
    m.expect(f"<{text}>")


def named(name):
    m = Machine([*boot_args(), "--name", name])
    m.expect("/ # ")
    m.send(ECHO)
    answers(m, "here")
    return m


class Stored(Work):
    """A store that has the snapshot s of a machine that repeats lines."""

    def __enter__(self):
        global template
        if not template:
            with Work() as w:
                m = named("work")
                done("snap", "vm", "--distro", "work", "--name", "s")
                m.leave()
                template = tempfile.mkdtemp(prefix="wslx-vm-")
                atexit.register(shutil.rmtree, template)
                shutil.copytree(w / "store", f"{template}/store",
                                ignore=shutil.ignore_patterns("*.sock"))
        super().__enter__()
        shutil.copytree(f"{template}/store", self / "store")  # another store: it has no image yet
        return self

    def images(self):
        return glob.glob(f"{self.memory}/wslx/*/*.ram")


def a_machine_is_found_by_its_name_as_long_as_it_runs():
    with Work() as w:
        assert "no machine named work" in refused("snap", "vm", "--distro", "work", "--name", "s")
        m = named("work")
        assert stat.S_IMODE(os.stat(w / "store/run/work.sock").st_mode) == 0o600
        assert stat.S_IMODE(os.stat(w / "store/run").st_mode) == 0o700
        assert "running already" in refused("boot", "--kernel", kernel(), "--name", "work")
        told = json.loads(done("snap", "vm", "--distro", "work", "--name", "s", "--json"))
        assert told["pages"] > 1000, told
        m.leave()
        assert "no machine named work" in refused("snap", "vm", "--distro", "work", "--name", "t")
        # A restored machine can have the name, and be asked for the next generation.
        r = restore("s", "--distro", "work")
        answers(r, "again")
        done("snap", "vm", "--distro", "work", "--name", "second")
        r.leave()
        r = restore("second")
        answers(r, "third")
        r.leave()
        refused("boot", "--kernel", kernel(), "--name", "../x")
        refused("snap", "vm", "--name", "x", status=2)


def an_image_of_ram_is_private_and_goes_with_its_snapshot():
    with Stored() as w:
        assert not w.images()
        r = restore("s", "--distro", "work")
        answers(r, "one")
        (image,) = w.images()
        assert stat.S_IMODE(os.stat(image).st_mode) & 0o077 == 0
        assert stat.S_IMODE(os.stat(os.path.dirname(image)).st_mode) == 0o700
        # The machine process can read it and no more, and has neither store nor key.
        opened = {fd: os.path.realpath(fd) for fd in glob.glob(f"/proc/{r.pid}/fd/*")}
        (fd,) = [fd for fd, path in opened.items() if path == image]
        with open(f"/proc/{r.pid}/fdinfo/{os.path.basename(fd)}") as f:
            flags = next(line.split()[1] for line in f if line.startswith("flags:"))
        assert int(flags, 8) & os.O_ACCMODE == os.O_RDONLY, flags
        inside = [p for p in opened.values() if p.startswith(w / "store")]
        assert inside == [w / "store/run/work.lock"], inside
        before = os.stat(image).st_ino
        second = restore("s")
        answers(second, "two")
        second.leave()
        assert [os.stat(i).st_ino for i in w.images()] == [before]
        done("snap", "vm", "--distro", "work", "--name", "t")
        assert image in w.images() and len(w.images()) == 2
        done("rm", "s")
        assert image not in w.images()
        answers(r, "still")  # it keeps what it runs from
        r.leave()
        refused("restore", "vm", "--name", "s")
        r = restore("t")
        answers(r, "t")
        r.leave()
        assert len(w.images()) == 1
        # A store that was removed as a whole leaves nothing behind either.
        shutil.rmtree(w / "store")
        os.environ["WSLX_HOME"] = w / "another"
        done("gc")
        assert not w.images()


def a_snapshot_brings_its_image_and_takes_that_of_the_one_it_replaces():
    with Work() as w:
        m = named("work")
        seen = set()
        for _ in range(3):
            done("snap", "vm", "--distro", "work", "--name", "s", "--replace")
            (image,) = glob.glob(f"{w.memory}/wslx/*/*.ram")
            made = os.stat(image)
            r = restore("s")
            answers(r, "one")
            r.leave()
            assert os.stat(image).st_ctime_ns == made.st_ctime_ns  # it was not made again
            seen.add(image)
        assert len(seen) == 3
        m.leave()


def restores_learn_what_others_have_run():
    with Stored() as w:
        def kept(kind):
            return glob.glob(f"{w.memory}/wslx/*/*.{kind}")

        def one(word):
            r = restore("s")
            answers(r, word)
            r.leave()

        for n in range(3):
            one(f"word{n}")
            assert len(kept("code")) == (n > 0) and len(kept("log")) == 1, n
        (image,), (log,) = kept("code"), kept("log")
        assert stat.S_IMODE(os.stat(image).st_mode) == 0o400
        # What there is to learn comes to an end, after more of them where the host is busy.
        for n in range(8):
            made = os.stat(image)
            one("again")
            if os.stat(image).st_ino == made.st_ino:
                break
        else:
            assert False, "it has learned something from each"
        # One machine at a time has the log; both have the image.
        first, second = restore("s"), restore("s")
        answers(first, "first")
        answers(second, "second")
        for r in (first, second):
            with open(f"/proc/{r.pid}/maps") as f:
                assert image in f.read()
            r.leave()
        # What a machine has left there is believed as far as it does no harm.
        size = os.path.getsize(log)
        for lies in (b"\xff" * size, struct.pack("<II", 20000, 2000) + os.urandom(size - 8)):
            with open(log, "r+b") as f:
                f.write(lies)
            one("lied")
            one("still")
        with open(image, "rb") as f:
            whole = f.read()
        os.unlink(image)
        with open(image, "wb") as f:
            f.write(whole[:len(whole) // 2])
        one("cut")
        for force in ("no-code-image", "no-ahead", "interpreter", "openssl-provider"):
            os.environ["WSLX_FORCE"] = force
            one("forced")
        del os.environ["WSLX_FORCE"]
        done("rm", "s")
        assert not kept("code") and not kept("log") and not w.images()


def what_is_typed_before_the_machine_has_the_terminal_arrives():
    with Stored():
        for _ in range(5):
            # Echoed by the terminal, still in lines: it changes to raw with the line in it.
            r = restore("s", raw=False)
            answers(r, "early")
            r.leave()


def a_machine_answers_its_owner_only():
    if os.geteuid():
        raise Skip("only root can become another user")
    with tempfile.TemporaryDirectory(prefix="wslx-vm-") as tmp:
        os.chmod(tmp, 0o755)
        m = Machine([*boot_args(), "--control", f"{tmp}/c"])
        m.expect("/ # ")
        os.chmod(f"{tmp}/c", 0o666)
        ask = ("import os, socket; os.setuid(UID); s = socket.socket(socket.AF_UNIX, "
               f"socket.SOCK_SEQPACKET); s.settimeout(60); s.connect('{tmp}/c'); "
               "UID or s.send(b'button'); print(s.recv(1000).decode())")
        # Whoever is refused is told without asking.
        for uid, answer in ((65534, "error this machine is another user's"), (0, "ok")):
            asked = subprocess.run([sys.executable, "-c", ask.replace("UID", str(uid))],
                                   capture_output=True, text=True)
            assert answer in asked.stdout, asked
        m.leave()


def without_a_safe_place_in_memory_a_restore_unpacks_for_itself():
    with Stored() as w:
        os.mkdir(f"{w.memory}/wslx")
        os.chmod(f"{w.memory}/wslx", 0o777)  # others could have put something there
        r = restore("s")
        answers(r, "one")
        r.leave()
        assert not w.images()
        os.environ["XDG_RUNTIME_DIR"] = w.path
        if subprocess.run(["stat", "-fc%T", w.path], capture_output=True,
                          text=True).stdout != "tmpfs\n":
            r = restore("s")
            answers(r, "two")
            r.leave()
            assert not glob.glob(f"{w.path}/wslx/*/*")


def a_snapshot_with_any_part_changed_is_refused_in_one_sentence():
    with Stored() as w:
        blobs = sorted(glob.glob(w / "store/blobs/sha256/*"))
        assert len(blobs) >= 5, blobs
        for blob in blobs:
            with open(blob, "rb") as f:
                whole = f.read()
            middle = len(whole) // 2
            os.chmod(blob, 0o600)
            with open(blob, "wb") as f:
                f.write(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1:])
            refused("restore", "vm", "--name", "s")
            assert not w.images(), blob
            with open(blob, "wb") as f:
                f.write(whole)
        r = restore("s")
        answers(r, "whole")
        r.leave()
        # It is not taken for another kind of snapshot.
        assert "of kind" in refused("restore", "proc", "--name", "s")


def what_was_begun_before_a_look_at_the_snapshot_does_not_save_it():
    with Stored() as w:
        for n in range(3):
            r = restore("s")
            answers(r, f"word{n}")
            r.leave()
        assert glob.glob(f"{w.memory}/wslx/*/*.code")
        # Pages are not read any more, there is an image of them.
        small = [b for b in glob.glob(w / "store/blobs/sha256/*") if os.path.getsize(b) < 100000]
        assert len(small) == 4, small
        for path in (*small, w / "store/index.json"):
            with open(path, "rb") as f:
                whole = f.read()
            # The name leads where it did, but for its seal.
            at = whole.index(b'.seal": "') + 9 if path.endswith("json") else len(whole) // 2
            os.chmod(path, 0o600)
            with open(path, "wb") as f:
                f.write(whole[:at] + (b"0" if whole[at] != 0x30 else b"1") + whole[at + 1:])
            refused("restore", "vm", "--name", "s")
            with open(path, "wb") as f:
                f.write(whole)
        r = restore("s")
        answers(r, "whole")
        r.leave()


def show_and_list_know_what_a_machine_snapshot_is():
    with Stored():
        machine = json.loads(done("show", "s", "--json"))["machine"]
        devices = {d["name"]: d["state"] for d in machine["devices"]}
        assert machine["ram_bytes"] == 256 << 20 and machine["cpu"]["gpr[4]"] >> 48 == 0xffff, machine
        assert devices["console"]["rows"] == 24 and devices["lapic0"]["svr"] & 0x100, devices
        assert devices["console"]["virtio"]["q0"]["ready"], devices
        text = done("show", "s")
        assert "  ram_bytes: 268435456\n" in text and "name: ioapic\n" in text, text[:2000]
        listed = json.loads(done("list", "--json"))
        assert [(s["kind"], s["command"]) for s in listed] == [("vm", "work")], listed
        formats = done("diag", "formats")
        assert 'kind "vm"' in formats and "IA32_LSTAR" in formats


if __name__ == "__main__":
    run([
        a_machine_is_found_by_its_name_as_long_as_it_runs,
        an_image_of_ram_is_private_and_goes_with_its_snapshot,
        a_snapshot_brings_its_image_and_takes_that_of_the_one_it_replaces,
        restores_learn_what_others_have_run,
        what_is_typed_before_the_machine_has_the_terminal_arrives,
        a_machine_answers_its_owner_only,
        without_a_safe_place_in_memory_a_restore_unpacks_for_itself,
        a_snapshot_with_any_part_changed_is_refused_in_one_sentence,
        what_was_begun_before_a_look_at_the_snapshot_does_not_save_it,
        show_and_list_know_what_a_machine_snapshot_is,
    ])
