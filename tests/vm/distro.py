#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images that are run without being baked first; distros: what goes on, what starts anew; what else
can be started in one.
"""
import fcntl
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import termios
import time

from bake import busybox_image
from machine import WSLX, Machine, Skip, Work, kernel, run, wslx

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../registry"))
from servers import DockerRegistry, Folder, openssl  # noqa: E402


class Machines(Work):
    """Work, with a kernel that is found."""

    def __enter__(self):
        os.environ["WSLX_KERNELS_TESTS"] = os.path.dirname(os.path.dirname(kernel("amd64")))
        os.makedirs((w := super().__enter__()) / "store/kernels", mode=0o700)
        os.chmod(w / "store", 0o700)
        self.given = os.environ.pop("WSLX_KERNELS")
        os.symlink(os.environ["WSLX_KERNELS_TESTS"], w / "store/kernels/amd64")
        return w

    def __exit__(self, *unused):
        os.environ["WSLX_KERNELS"] = self.given
        super().__exit__(*unused)


def output(*args):
    done = subprocess.run([WSLX, "run", *args], capture_output=True, text=True, timeout=120,
                          stdin=subprocess.DEVNULL)
    return done.stdout.replace("\r", ""), done.returncode, done.stderr


def snapshots():
    return {s["name"]: s for s in json.loads(wslx("list", "--json").stdout)}


def distros():
    return {d["name"]: d for d in json.loads(wslx("list", "--distros", "--json").stdout)}


def an_image_is_baked_by_its_first_run_and_never_again():
    with Machines() as w:
        image = busybox_image(w / "image")
        out, status, said = output(f"oci:{image}", "--", "sh", "-c", "hostname; exit 3")
        assert (out, status) == ("image\n", 3) and said.count("\n") == 1, (out, status, said)
        assert "runs here for the first time" in said, said
        first = snapshots()["image"]["digest"]
        began = time.monotonic()
        out, status, said = output(image, "--", "sh", "-c", "exit 4")
        assert (out, status, said) == ("", 4, "") and time.monotonic() - began < 5, (status, said)
        # Its name is taken by now; another image gets one of its own, and so does the same otherwise.
        os.mkdir(w / "other")
        other = busybox_image(w / "other/image", {"Cmd": ["sh"]})
        assert output(other, "--", "true")[1] == 0
        assert output(image, "--memory", "128M", "--", "true")[1] == 0
        names = sorted(snapshots())
        assert names[0] == "image" and len(names) == 3, names
        assert all(re.fullmatch(r"image\+[0-9a-f]{8}", n) for n in names[1:]), names
        assert output(image, "--memory", "128M", "--", "true")[2] == ""
        assert snapshots()["image"]["digest"] == first
        # When it changes it is baked anew, and the old one gives way.
        busybox_image(w / "image", extra=[("etc/new", "yes\n")])
        out, status, said = output(image, "--", "cat", "/etc/new")
        assert out == "yes\n" and "has changed since it was started" in said, (out, said)
        assert sorted(snapshots()) == names and snapshots()["image"]["digest"] != first
        # A kernel of another name is another.
        there = os.readlink(w / "store/kernels/amd64")
        os.unlink(w / "store/kernels/amd64")
        os.makedirs(w / "store/kernels/amd64/boot")
        os.symlink(f"{there}/lib", w / "store/kernels/amd64/lib")
        shutil.copy(kernel("amd64"), w / "store/kernels/amd64/boot")
        out, status, said = output(image, "--", "true")
        assert status == 0 and "the kernel has changed" in said, said


def a_root_tree_is_known_by_what_is_in_it():
    with Machines() as w:
        root = w / "root"
        for d in ("bin", "etc", "root"):
            os.makedirs(f"{root}/{d}")
        shutil.copy("/bin/busybox", f"{root}/bin/busybox")
        for tool in ("sh", "cat", "true"):
            os.symlink("busybox", f"{root}/bin/{tool}")
        with open(f"{root}/etc/note", "w") as f:
            f.write("one\n")
        os.chdir(w.path)
        out, _, said = output("./root", "--", "cat", "/etc/note")
        assert out == "one\n" and "first time" in said, (out, said)
        assert output("rootfs:root", "--", "true")[2] == ""
        with open(f"{root}/etc/note", "w") as f:
            f.write("two\n")
        out, _, said = output("./root", "--", "cat", "/etc/note")
        assert out == "two\n" and "has changed" in said, (out, said)
        os.chdir("/")


def umoci(*args):
    done = subprocess.run(["umoci", *args], capture_output=True, text=True)
    assert done.returncode == 0, (args, done.stderr)


def umoci_image(w, n_layers):
    """Many small layers, of which each takes away what the one before it brought; a user; a service."""
    if not shutil.which("umoci"):
        raise Skip("umoci is not installed")
    layout = w / "layers"
    image = f"{layout}:v1"
    umoci("init", "--layout", layout)
    umoci("new", "--image", image)
    root = w / "base"
    for d in ("bin", "etc", "root", "home/w", "srv/www/deep/er"):
        os.makedirs(f"{root}/{d}")
    shutil.copy("/bin/busybox", f"{root}/bin/busybox")
    for tool in ("sh", "cat", "ls", "id", "grep", "httpd", "wget", "sleep", "kill", "touch"):
        os.symlink("busybox", f"{root}/bin/{tool}")
    with open(f"{root}/etc/passwd", "w") as f:
        f.write("root:x:0:0::/root:/bin/sh\nworker:x:7:8::/home/w:/bin/sh\n")
    with open(f"{root}/srv/www/deep/er/old", "w") as f:
        f.write("old")
    umoci("insert", "--image", image, root, "/")
    for n in range(n_layers):
        with open(w / "piece", "w") as f:
            f.write(f"layer {n}\n")
        umoci("insert", "--image", image, w / "piece", f"/srv/www/{n}")
        if n:
            umoci("insert", "--image", image, "--whiteout", f"/srv/www/{n - 1}")
    os.mkdir(w / "empty")
    umoci("insert", "--image", image, "--opaque", w / "empty", "/srv/www/deep")
    umoci("config", "--image", image, "--config.user", "worker", "--config.workingdir", "/srv/www",
          "--config.env", "PATH=/bin", "--config.entrypoint", "/bin/httpd",
          "--config.cmd", "-f", "--config.cmd", "-p", "--config.cmd", "8080")
    return image


def once_it_listens(*args):
    """A machine that was started just now has no name yet; there is no event but that it has one."""
    end = time.monotonic() + 60
    while True:
        done = wslx(*args)
        if time.monotonic() > end or "no machine named" not in done.stderr:
            return done


def an_image_of_many_layers_with_a_service_of_a_user():
    with Machines() as w:
        image = umoci_image(w, 12)
        out, status, said = output(f"oci:{image}", "--distro", "look", "--", "ls", "-1", "/srv/www",
                                   "/srv/www/deep")
        assert status == 0 and out == "/srv/www:\n11\ndeep\n\n/srv/www/deep:\n", (out, said)
        # Its own entry point: a service, which we ask from inside, as somebody else would.
        m = Machine(["run", f"oci:{image}"], patience=120)
        ask = ("exec", "layers", "-u", "root", "--", "sh", "-c",
               "until wget -qO- http://127.0.0.1:8080/11; do sleep 0.1; done; id; "
               "for p in /proc/[0-9]*; do grep -q httpd $p/comm && cat $p/status; done")
        done = once_it_listens(*ask)
        assert done.stdout.startswith("layer 11\nuid=0(root)"), done
        m.leave()
        assert m.status == 0 and distros()["layers"]["from"] == "layers:v1"
        # It goes on with its service.
        m = Machine(["shell", "layers"], patience=60)
        done = once_it_listens("exec", "layers", "--", "sh", "-c",
                               "wget -qO- http://127.0.0.1:8080/11; id; kill -9 1; touch /x")
        assert done.stdout.startswith("layer 11\nuid=7(worker) gid=8"), done
        assert "/x: Permission denied" in done.stderr, done
        m.leave()


def upload(image, ref):
    done = subprocess.run(["skopeo", "copy", "--dest-tls-verify=false", f"oci:{image}",
                           f"docker://{ref}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def registry():
    for program in ("docker-registry", "skopeo"):
        if not shutil.which(program):
            raise Skip(f"{program} is not installed")
    return DockerRegistry()


def keep_with_note(*args, note):
    """Run it, write a note, leave: the machine is kept."""
    m = Machine(["run", *args], patience=120)
    m.expect("# ")
    m.send(f"echo {note} > /note; e''cho set\n")
    before = m.expect("\nset")
    m.leave()
    assert m.status == 0
    return before


def an_image_of_a_registry_runs_and_its_tag_may_move():
    server = registry()
    try:
        with Machines() as w:
            ref = f"{server.host}/demo/tool:1"
            upload(busybox_image(w / "image", extra=[("etc/v", "one\n")]), ref)
            out, status, said = output(ref, "--", "cat", "/etc/v")
            assert out == "one\n" and "first time" in said and status == 0, (out, said)
            assert os.listdir(w / "store/images") == [], "what was fetched is left behind"
            assert output(f"docker://{ref}", "--", "true")[2] == ""
            assert list(snapshots()) == ["tool:1"]
            keep_with_note(ref, note="mine")
            assert distros()["tool"]["from"] == "tool:1"
            # The tag moves: a new distro, and one sentence; the old one is left alone.
            upload(busybox_image(w / "image2", extra=[("etc/v", "two\n")]), ref)
            m = Machine(["run", ref], patience=120)
            said = m.expect("# ")
            new = re.search(r"since the distro tool was kept: this is a new one, (tool-[0-9a-f]{8})",
                            said)
            assert new and "has changed since it was started" in said, said
            m.send("cat /etc/v; ls /; e''cho listed\n")
            assert "two" in (out := m.expect("\nlisted")) and "note" not in out, out
            m.send("echo other > /note; e''cho set\n")
            m.expect("\nset")
            m.leave()
            assert set(distros()) == {"tool", new[1]}, distros()
            # Each goes on: the new one by itself, the old one by its name; also when the other is gone.
            m = Machine(["run", ref], patience=60)
            m.send("echo [$(cat /note /etc/v)]; e''cho end\n")
            said = m.expect("\nend")
            assert "[other two]" in said and "changed" not in said, said
            m.leave()
            m = Machine(["run", ref, "--distro", "tool"], patience=60)
            m.send("echo [$(cat /note /etc/v)]; e''cho end\n")
            said = m.expect("\nend")
            assert "[mine one]" in said and "which goes on as it was; --fresh" in said, said
            m.leave()
            done = wslx("rm", "tool")
            assert done.returncode == 0 and set(distros()) == {new[1]}, (done.stderr, distros())
            m = Machine(["run", ref], patience=60)
            m.send("echo [$(cat /note)]; e''cho end\n")
            assert "[other]" in m.expect("\nend")
            m.leave()
            # Offline: what is here, said to be perhaps outdated.
            server.process.kill()
            server.process.wait()
            out, status, said = output(ref, "--distro", "offline", "--", "cat", "/etc/v")
            assert out == "two\n" and "is here as it was baked before, from sha256:" in said, said
            assert output(f"{server.host}/demo/other:1", "--", "true")[1] == 1
    finally:
        server.stop()


def what_a_tag_leads_to_may_become_a_snapshot():
    server = registry()
    folder = Folder()
    try:
        with Machines() as w:
            ref = f"{server.host}/demo/tool:1"
            key, public = folder / "k.pem", folder / "k.pub"
            openssl("genpkey", "-algorithm", "ed25519", "-out", key)
            openssl("pkey", "-in", key, "-pubout", "-out", public)
            upload(busybox_image(w / "image", extra=[("etc/v", "one\n")]), ref)
            assert output(ref, "--", "cat", "/etc/v")[0] == "one\n"
            image = busybox_image(w / "image", extra=[("etc/v", "two\n")])
            done = wslx("bake", image, "--name", "by-hand", "--fast", "--quiet")
            assert done.returncode == 0, done.stderr
            done = wslx("push", "by-hand", ref, "--sign", key)
            assert done.returncode == 0, done.stderr
            assert output(ref, "--", "cat", "/etc/v")[0] == "two\n"
            done = wslx("pull", ref, "--replace")  # waits for the rest
            assert done.returncode == 0, done.stderr
            assert snapshots()["tool:1"]["origin"] == ref, snapshots()
            # A key on the command line, or in the file of registries: both are asked for by `run`.
            assert output(ref, "--verify", public, "--", "true")[1] == 0
            openssl("genpkey", "-algorithm", "ed25519", "-out", folder / "o.pem")
            openssl("pkey", "-in", folder / "o.pem", "-pubout", "-out", folder / "o.pub")
            _, status, said = output(ref, "--verify", folder / "o.pub", "--", "true")
            assert status == 1 and "by a key that we trust" in said, said
            os.environ["WSLX_REGISTRIES"] = folder.write("r.json", json.dumps(
                {"registries": {server.host: {"signed-by": [folder / "o.pub"]}}}))
            _, status, said = output(ref, "--", "true")
            assert status == 1 and "by a key that we trust" in said, said
            folder.write("r.json", json.dumps(
                {"registries": {server.host: {"signed-by": [public]}}}))
            assert output(ref, "--", "true")[1] == 0
            assert output(ref, "--limit", "1M", "--distro", "x", "--", "true")[1] == 0, "it is here"
            # And back.
            del os.environ["WSLX_REGISTRIES"]
            upload(busybox_image(w / "image", extra=[("etc/v", "three\n")]), ref)
            assert output(ref, "--", "cat", "/etc/v")[0] == "three\n"
            assert sorted(snapshots()) == ["by-hand", "tool:1"], snapshots()
    finally:
        os.environ.pop("WSLX_REGISTRIES", None)
        folder.remove()
        server.stop()


def distros_are_listed_and_removed_but_not_while_they_run():
    with Machines() as w:
        done = wslx("bake", busybox_image(w / "image"), "--name", "m", "--fast", "--quiet")
        assert done.returncode == 0, done.stderr
        keep_with_note("m", note="x")
        keep_with_note("m", "--distro", "d", note="y")
        listed = wslx("list").stdout
        assert re.search(r"^DISTRO", listed, re.M) and re.search(r"^d +kept .* m *$", listed, re.M), listed
        m = Machine(["run", "m", "--distro", "d"], patience=60)
        m.send("e''cho up\n")
        m.expect("\nup")
        assert distros()["d"]["running"] and not distros()["m"]["running"]
        assert re.search(r"^d +running ", wslx("list", "--distros").stdout, re.M)
        for args in (("rm", "d"), ("rm", "--distro", "d")):
            done = wslx(*args)
            assert done.returncode == 1 and "is running" in done.stderr, done
        assert wslx("run", "m", "--distro", "d", "--", "true").returncode == 1
        m.leave()
        assert distros()["d"]["from"] == "m", "what it was started from is still known"
        assert wslx("rm", "d").returncode == 0 and set(distros()) == {"m"}
        assert wslx("rm", "d").returncode == 1
        # A snapshot of the same name goes first, and says that the distro stays.
        done = wslx("rm", "m")
        assert done.returncode == 0 and "what was kept of the distro m stays" in done.stderr, done
        assert list(snapshots()) == ["m@saved"] and set(distros()) == {"m"}
        assert wslx("rm", "m").returncode == 0 and distros() == {}
        assert wslx("list").stdout.startswith("There are no snapshots yet")


def the_machine(w, **more):
    done = wslx("bake", busybox_image(w / "image", **more), "--name", "m", "--fast", "--quiet")
    assert done.returncode == 0, done.stderr
    m = Machine(["run", "m"], patience=120)
    m.expect("# ")
    return m


def execute(*args, data=b""):
    return subprocess.run([WSLX, "exec", "m", *args], input=data, capture_output=True, timeout=120)


def a_command_runs_beside_what_runs_there():
    with Machines() as w:
        m = the_machine(w, config={"Env": ["IMAGE=x"], "WorkingDir": "/srv"})
        done = execute("--", "sh", "-c", "cat /mark; echo $IMAGE; pwd; echo no >&2; exit 7")
        assert done.returncode == 7 and done.stderr.startswith(b"cat") and done.stderr.endswith(
            b"no\n") and done.stdout == b"x\n/srv\n", done
        m.send("echo hello > /mark; e''cho set\n")
        m.expect("\nset")
        assert execute("--", "cat", "/mark").stdout == b"hello\n"
        done = execute("-u", "worker", "-w", "/home/w", "-e", "A=it's b", "--", "sh", "-c",
                       'id; pwd; echo "$A" "$1"', "sh", "two words\\n")
        assert done.stdout == (b"uid=7(worker) gid=8(men) groups=8(men),9(more)\n/home/w\n"
                               b"it's b two words\\n\n"), done
        assert execute("--", "no-such-thing").returncode == 127
        # Bytes of every value, more than any window, both ways; and an input that ends at once.
        data = random.Random(3).randbytes(200000)
        assert execute("--", "cat", data=data).stdout == data
        assert execute("--", "cat").stdout == b""
        assert execute("--", "true", data=data).returncode == 0, "nobody reads it"
        # Whoever listens may leave; a signal gets through.
        done = subprocess.run(["sh", "-c", f"{WSLX} exec m -- sh -c 'while :; do echo y; done' | head -1"],
                              capture_output=True, timeout=60)
        assert done.stdout == b"y\n", done
        p = subprocess.Popen([WSLX, "exec", "m", "--", "sh", "-c",
                              "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.1; done"],
                             stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        assert p.stdout.readline() == b"ready\n"
        p.terminate()
        assert p.communicate(timeout=60)[0] == b"caught\n" and p.returncode == 9
        # One that is killed hangs its command up.
        p = subprocess.Popen([WSLX, "exec", "m", "--", "sh", "-c",
                              "trap 'echo hup > /mark; exit' HUP; echo ready; while :; do sleep 0.1; done"],
                             stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        p.stdout.readline()
        p.kill()
        p.communicate()
        m.send("until grep hup /mark; do sleep 0.1; done; e''cho gone\n")
        m.expect("\ngone")
        m.leave()
        assert execute("--", "true").returncode == 1


def a_shell_is_another_one_or_the_one_that_was_kept():
    with Machines() as w:
        m = the_machine(w)
        m.send("MINE=first; e''cho set\n")
        m.expect("\nset")
        s = Machine(["shell", "m"], patience=60)
        s.expect("# ")
        fcntl.ioctl(s.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
        s.send("until stty size | grep '33 99'; do sleep 0.1; done; echo [$MINE]; tty; e''cho end\n")
        out = s.expect("\nend")
        assert "33 99" in out and "[]" in out and "/dev/pts/" in out, out
        # A key is a signal on a terminal, for what stands in front.
        s.send("sh -c 'echo start\"\"ed; exec cat'\n")  # which has its own signals when it says so
        s.expect("started\n")
        s.send("\x03")
        s.expect("# ")
        s.send("e''cho [$?]\n")
        s.expect("[130]")
        # What the machine is kept with is its own shell; sessions end with it.
        stopped = wslx("stop", "m")
        assert stopped.returncode == 0, stopped.stderr
        out = s.rest()
        assert s.status == 1 and "has ended, or was kept" in out, (s.status, out)
        m.rest()
        s = Machine(["shell", "m"], patience=60)
        s.send("echo [$MINE]; exit 6\n")
        assert "[first]" in s.rest() and s.status == 6
        done = wslx("shell", "m")
        assert done.returncode == 1 and "neither runs nor was it kept" in done.stderr, done


def what_the_guest_cannot_start_says_why():
    with Machines() as w:
        m = the_machine(w)
        m.send("mount -t tmpfs none /dev; e''cho set\n")  # there is no terminal to be had any more
        m.expect("\nset")
        s = Machine(["shell", "m"], patience=60)
        out = s.rest()
        assert s.status == 127 and "cannot start it: No such file" in out, (s.status, out)
        m.send("exit\n")
        m.rest()


if __name__ == "__main__":
    run([
        an_image_is_baked_by_its_first_run_and_never_again,
        a_root_tree_is_known_by_what_is_in_it,
        an_image_of_many_layers_with_a_service_of_a_user,
        an_image_of_a_registry_runs_and_its_tag_may_move,
        what_a_tag_leads_to_may_become_a_snapshot,
        distros_are_listed_and_removed_but_not_while_they_run,
        a_command_runs_beside_what_runs_there,
        a_shell_is_another_one_or_the_one_that_was_kept,
        what_the_guest_cannot_start_says_why,
    ])
