#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Images that are baked and run: the barrier, settling, what is fresh afterwards, shares.

WSLX_RESTORES: how many restores are compared; 10.
"""
import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time

from machine import BUSYBOX, KERNELS, Machine, Skip, Work, kernel, restore, run, snap, wslx

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../oci"))
from rootfs import Layer, write_layout  # noqa: E402
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../registry"))
from servers import DockerRegistry  # noqa: E402

RESTORES = int(os.environ.get("WSLX_RESTORES", "10"))
TOOLS = ("sh", "ls", "cat", "sleep", "hostname", "id", "env", "pwd", "mount", "grep", "stty", "true",
         "mkdir", "date", "od", "head", "touch")


def busybox_image(path, config=None, extra=(), tools=TOOLS):
    layer = Layer().add("bin", mode=0o755)
    with open(BUSYBOX, "rb") as f:
        layer.add("bin/busybox", f.read(), mode=0o755)
    for tool in tools:
        layer.add(f"bin/{tool}", kind=tarfile.SYMTYPE, link="busybox")
    layer.add("etc/passwd", b"root:x:0:0::/root:/bin/sh\nworker:x:7:8::/home/w:/bin/sh\n")
    layer.add("etc/group", b"root:x:0:\nmen:x:8:\nmore:x:9:worker\n").add("root", mode=0o700)
    layer.add("home/w", mode=0o755, uid=7, gid=8).add("srv/in", mode=0o755)
    for name, text in extra:
        layer.add(name, text.encode(), mode=0o755)
    return write_layout(path, [layer.end()],
                        config={"os": "linux", "architecture": "amd64", "config": config or {}})


def bake(image, *more, ok=True, name="m", dense=False):
    done = wslx("bake", image, "--name", name, "--kernel", kernel("amd64"), *more,
                *() if dense else ("--fast",))
    assert (done.returncode == 0) == ok, done.stderr
    return done.stderr


def output(name, *command, options=()):
    m = Machine(["run", name, *options, "--", *command], patience=60)
    out = m.rest()
    return out, m.status


def a_busybox_image_is_at_its_prompt_at_once():
    with Work() as w:
        said = bake(busybox_image(w / "image"), dense=True)
        assert "settled" in said and re.search(r"at the barrier, [\d.]+ s", said), said
        stored = json.loads(wslx("list", "--json").stdout)[0]["stored_bytes"]
        assert stored < 12 << 20, f"{stored} bytes, kernel and all"
        for n in range(2):
            m = Machine(["run", "m", "--env", "WHAT=it's \"quoted\""], patience=60)
            m.expect("# ")
            m.send("echo [$WHAT] $TERM $(hostname) $? $(cat /proc/1/comm); e''cho end\n")
            told = m.expect("\nend\n")
            assert f"[it's \"quoted\"] {os.environ.get('TERM', '')} m 0".replace("  ", " ") in told, told
            m.send("exit 4\n")
            rest = m.rest()
            assert m.status == 4 and "Power down" not in rest, (m.status, rest)
        assert output("m", "sh", "-c", "exit 9")[1] == 9
        assert output("m", "no-such-program")[1] == 127
        # The shell that waited is gone a second later, and took no terminal along.
        out, status = output("m", "sh", "-c", "sleep 2; cat /proc/[0-9]*/comm; echo e''nd")
        assert status == 0 and out.endswith("end\n") and out.split("\n").count("sh") == 1, out
        out, status = output("m", "sh", "-c", 'echo "<$1>" "<$2>"', "sh", "a b", "c\\d\ne")
        assert status == 0 and "<a b> <c\\d\ne>" in out, out
        assert "m" in output("m", "hostname")[0]
        assert "other" in output("m", "hostname", options=("--distro", "other"))[0]


def an_image_says_who_runs_what_where():
    with Work() as w:
        bake(busybox_image(w / "image", {
            "Entrypoint": ["/bin/sh", "-c", 'echo "$0 $1 $A"; id; pwd; touch /home/w/x && echo made'],
            "Cmd": ["zero", "one two"], "Env": ["A=b c", "PATH=/bin"], "User": "worker:more",
            "WorkingDir": "/srv/in"}))
        m = Machine(["run", "m"], patience=60)
        out = m.rest()
        assert "zero one two b c\n" in out and "/srv/in" in out and "made" in out, out
        assert "uid=7(worker) gid=9(more)" in out and m.status == 0, out


def shares_are_there_and_lead_nowhere_else():
    with Work() as w:
        bake(busybox_image(w / "image"))
        os.makedirs(w / "dir/sub")
        with open(w / "dir/file", "w") as f:
            f.write("of the host\n")
        os.symlink("/etc/hostname", w / "dir/link")
        out, status = output(
            "m", "sh", "-c", "cat /a/file; echo of the guest > /a/sub/new; cat /a/link; "
            "touch /b/x || echo refused; ls /b; mkdir -p /a/deep/er; grep -c . /a/sub/new",
            options=("--share", f"{w / 'dir'}:/a", "--share", f"{w / 'dir'}:/b/c:ro"))
        assert "of the host\n" in out and "No such file" in out, out
        assert open(w / "dir/sub/new").read() == "of the guest\n" and os.path.isdir(w / "dir/deep/er")
        out, _ = output("m", "sh", "-c", "touch /b/x; ls /a", options=(
            "--share", f"{w / 'dir'}:/b:ro"))
        assert "Read-only" in out and "sub" not in out, out


# A shell that takes its time to start, told by the name that makes it one.
SLOW = """#!/bin/sh
for pause in 1 2 3; do
	sleep $pause
	n=0
	while [ $n -lt 3000 ]; do n=$((n+1)); done
	echo $pause >> /steps
done
%s
exec /bin/sh -i
"""


def pauses_between_steps_are_not_the_end():
    with Work() as w:
        began = time.monotonic()
        bake(busybox_image(w / "image", {"Cmd": ["bash"]}, [("bin/bash", SLOW % "")]))
        assert time.monotonic() - began > 6
        m = Machine(["run", "m"], patience=60)
        m.expect("# ")
        m.send("cat /steps; e''cho end\n")
        assert "1\n2\n3\nend" in m.expect("\nend")
        m.leave()


def a_service_that_polls_is_settled():
    with Work() as w:
        service = "(while :; do sleep 1; touch /beat; done) &"
        bake(busybox_image(w / "image", {"Cmd": ["bash"]}, [("bin/bash", SLOW % service)]))
        m = Machine(["run", "m"], patience=60)
        m.expect("# ")
        m.send("rm -f /beat; until [ -e /beat ]; do sleep 0.1; done; e''cho beats\n")
        m.expect("\nbeats")
        m.leave()


def a_busy_guest_never_settles_and_is_named():
    with Work() as w:
        busy = "#!/bin/sh\n(while :; do :; done) &\nexec /bin/sh -i\n"
        why = bake(busybox_image(w / "image", {"Cmd": ["bash"]}, [("bin/bash", busy)]),
                   "--timeout", "60", ok=False)
        assert "has not settled within 60 s" in why and "running were: " in why, why
        assert re.search(r"running were: .*(bash|sh|busybox)", why), why
        assert wslx("list").stdout.count("\n") <= 1, "nothing is kept"


def an_image_that_ends_is_said_to():
    with Work() as w:
        why = bake(busybox_image(w / "image", {"Cmd": ["bash"]}, [("bin/bash", "#!/bin/sh\nexit 3\n")]),
                   ok=False)
        assert "the image's shell has ended with status 3 before its prompt" in why, why


def the_disk_travels_with_the_snapshot():
    with Work() as w:
        bake(busybox_image(w / "image"))
        disks = w / "store/disks"
        (name,) = os.listdir(disks)
        os.unlink(f"{disks}/{name}")
        assert output("m", "cat", "/etc/passwd")[0].startswith("root:x:0:0")
        assert os.listdir(disks) == [name], "made again, with the same name"
        assert subprocess.run(["sha256sum", f"{disks}/{name}"], capture_output=True,
                              text=True).stdout.startswith(name)
        assert wslx("rm", "m").returncode == 0 and wslx("gc").returncode == 0
        assert os.listdir(disks) == []


def a_registry_is_enough():
    if not shutil.which("docker-registry"):
        raise Skip("docker-registry is not installed")
    registry = DockerRegistry()
    ref = f"{registry.host}/demo/small:1"
    try:
        with Work() as w:
            bake(busybox_image(w / "image"))
            done = wslx("push", "m", ref)
            assert done.returncode == 0, done.stderr
        with Work():
            out, status = output(ref, "sh", "-c", "hostname; exit 3")
            assert status == 3 and "small" in out, (status, out)
            assert wslx("pull", ref).returncode == 0  # waits for the rest
            before = wslx("list").stdout
            registry.process.kill()
            registry.process.wait()
            # What is here is used, and said to be perhaps outdated.
            out, status = output(ref, "sh", "-c", "exit 4")
            assert status == 4 and "as it was pulled before" in out, (status, out)
            assert wslx("list").stdout == before
            done = wslx("run", f"{registry.host}/demo/other:1", "--", "true")
            assert done.returncode == 1 and "other:1" in done.stderr, done.stderr
            done = wslx("run", "other", "--", "true")
            assert done.returncode == 1 and "no snapshot other" in done.stderr, done.stderr
    finally:
        registry.stop()


# ---- fresh, not a twin ----------------------------------------------------------------------


def debian():
    path = f"{KERNELS}/root.tar"
    if not os.path.exists(path):
        raise Skip("no Debian root in WSLX_KERNELS; see tests/vm/fetch-kernels --root")
    return path


PROBE = r"""
import os, random, secrets, subprocess, uuid
say = lambda k, v: print(f"@{k} {v}")
say("urandom", open("/dev/urandom", "rb").read(64).hex())
say("getrandom", os.getrandom(64).hex())
say("uuid4", uuid.uuid4())
say("secrets", secrets.token_hex(32))
say("random", random.random())
say("bootid", open("/proc/sys/kernel/random/boot_id").read().strip())
say("machineid", open("/etc/machine-id").read().strip())
key = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, text=True)
say("tls", key.stdout.splitlines()[1])
"""

KINDS = ("urandom", "getrandom", "uuid4", "secrets", "random", "bootid", "machineid", "tls", "shell")


def probe(name):
    m = Machine(["run", name], patience=120)
    m.expect("# ")
    m.send("echo @shell $RANDOM$RANDOM; python3 /probe.py; e''cho end\n")
    out = m.expect("\nend")
    m.send("exit\n")  # leaving would keep it, and the next would go on with it
    m.rest()
    return dict(re.findall(r"@(\w+) (.+)$", out, re.M))


def bake_debian(w):
    with open(debian(), "rb") as f, tarfile.open(fileobj=f) as whole:
        assert whole.next() is not None
    extra = Layer().add("probe.py", PROBE.encode()).add("etc/machine-id", b"0" * 32 + b"\n")
    extra.add("etc/wslx/restore.d/10-note", b"#!/bin/sh\ndate +%s > /run/hook\n", mode=0o755)
    path = w / "image"
    with open(debian(), "rb") as f:
        root = f.read()
    write_layout(path, [root, extra.end()], compress=lambda d: d,
                 config={"os": "linux", "architecture": "amd64", "config": {"Cmd": ["bash"]}})
    # A kernel in its first seconds re-keys when its last key is a second old: by itself, and the proof
    # that twins are equal would fail.
    bake(path, "--settle-window", "400", name="deb")
    subprocess.run(["rm", "-r", path], check=True)


@contextlib.contextmanager
def forced(what):
    os.environ["WSLX_FORCE"] = what
    try:
        yield
    finally:
        del os.environ["WSLX_FORCE"]


def no_two_restores_are_twins():
    with Work() as w:
        bake_debian(w)
        seen = [probe("deb") for _ in range(RESTORES)]
        for kind in KINDS:
            values = [s[kind] for s in seen]
            assert len(set(values)) == RESTORES, (kind, values)
        # Without what makes them differ, what is drawn first after the barrier is the same bit by
        # bit. (Later the kernel re-keys by itself: in its first minutes it does so every few seconds,
        # and the last time was just before the barrier.)
        with forced("twins"):
            twins = [probe("deb") for _ in range(3)]
        for kind in ("bootid", "machineid"):
            assert len({t[kind] for t in twins}) == 1, (kind, twins)
        out, _ = output("deb", "cat", "/run/hook")
        assert abs(int(out.split()[0]) - time.time()) < 5, out
        own_seed_survives()
    return f"{RESTORES} restores, {len(KINDS)} kinds of randomness"


def a_machine_that_was_kept_at_once_wakes_up_like_any_other():
    """Before it was idle, and so before its agent has heard of the first restore."""
    with Work() as w:
        bake(busybox_image(w / "image", extra=[
            ("etc/wslx/restore.d/note", "#!/bin/sh\necho woken >> /srv/in/note\n")]))
        script = ("trap 'until [ $(grep -c woken /srv/in/note) = 2 ]; do sleep 0.1; done; echo again;"
                  " exit 5' INT; cat /srv/in/note; echo busy; while :; do :; done")
        m = Machine(["run", "m", "--", "sh", "-c", script], patience=60)
        assert m.expect("busy\n") == "woken\nbusy\n"
        m.leave()
        m = Machine(["run", "m"], patience=60)
        m.send("\x03")
        m.expect("again\n")
        m.rest()
        assert m.status == 5, m.status


def without_fresh_entropy_nothing_of_the_image_runs():
    with Work() as w:
        bake(busybox_image(w / "image"))
        os.environ["WSLX_FAULT"] = "share-entropy"
        try:
            done = wslx("run", "m", "--", "sh", "-c", "echo started; touch /x")
        finally:
            del os.environ["WSLX_FAULT"]
        assert done.returncode == 1 and "started" not in done.stdout, done
        assert done.stderr.replace("\r", "") == (
            "wslx: the machine could not re-key its random numbers: PID 1: Stale file handle; "
            "it is stopped\n"), done
        assert output("m", "sh", "-c", "echo started")[0] == "started\n"


def a_machine_is_kept_when_its_terminal_goes_and_goes_on():
    with Work() as w:
        bake(busybox_image(w / "image"))
        m = Machine(["run", "m"], patience=60)
        m.expect("# ")
        m.send("X=kept; echo on disk > /note; e''cho set\n")
        m.expect("\nset")
        assert wslx("list", "--running").stdout == "m\n"
        os.close(m.fd)  # the terminal is gone
        os.waitpid(m.pid, 0)
        assert "m@saved" in wslx("list").stdout and wslx("list", "--running").stdout == ""
        refused = wslx("run", "m", "--", "true")
        assert refused.returncode == 3 and "--fresh" in refused.stderr, refused
        m = Machine(["run", "m"], patience=60)
        m.send("echo $X $(cat /note); e''cho again\n")
        assert "kept on disk" in m.expect("\nagain")
        stopped = wslx("stop", "m")
        assert stopped.returncode == 0, stopped.stderr
        m.rest()
        m = Machine(["run", "m"], patience=60)
        m.send("echo $X; exit 5\n")
        assert "kept" in m.rest() and m.status == 5
        assert "m@saved" not in wslx("list").stdout, "what has ended does not go on"
        out, _ = output("m", "ls", "/")
        assert "note" not in out


def fresh_forgets_what_was_kept():
    with Work() as w:
        bake(busybox_image(w / "image"))
        m = Machine(["run", "m", "--distro", "d"], patience=60)
        m.expect("# ")
        m.send("echo x > /note; e''cho set\n")
        m.expect("\nset")
        m.leave()
        assert m.status == 0 and "d@saved" in wslx("list").stdout
        out, status = output("m", "ls", "/", options=("--distro", "d", "--fresh"))
        assert status == 0 and "note" not in out and "d@saved" not in wslx("list").stdout
        assert wslx("stop", "d").returncode == 1


def own_seed_survives():
    """In a snapshot that a user takes of a running machine; restored by the agent's own path."""
    m = Machine(["run", "deb", "--distro", "seeded"], patience=120)
    m.expect("# ")
    m.send("RANDOM=42; echo $RANDOM; exec 7< <(:); python3 -i\n")
    m.expect(">>> ")
    m.send("import random, os; random.seed(5); x = random.random(); print('se''eded')\n")
    m.expect("\nseeded")
    done = wslx("snap", "vm", "--distro", "seeded", "--name", "s")
    assert done.returncode == 0, done.stderr
    m.leave()
    drawn, fresh = set(), set()
    for _ in range(3):
        r = restore("s")
        # The agent works beside; one second of the guest's is ample.
        r.send("import time; time.sleep(1); print('@', random.random(), os.urandom(16).hex())\n")
        out = r.expect("\n@ ") + r.expect("\n")
        words = out.split("@ ")[-1].split()
        drawn.add(words[0])
        fresh.add(words[1])
        r.leave()
    assert len(drawn) == 1 and len(fresh) == 3, (drawn, fresh)


if __name__ == "__main__":
    run([
        a_busybox_image_is_at_its_prompt_at_once,
        an_image_says_who_runs_what_where,
        shares_are_there_and_lead_nowhere_else,
        the_disk_travels_with_the_snapshot,
        a_registry_is_enough,
        a_machine_is_kept_when_its_terminal_goes_and_goes_on,
        fresh_forgets_what_was_kept,
        pauses_between_steps_are_not_the_end,
        a_service_that_polls_is_settled,
        a_busy_guest_never_settles_and_is_named,
        an_image_that_ends_is_said_to,
        without_fresh_entropy_nothing_of_the_image_runs,
        no_two_restores_are_twins,
        a_machine_that_was_kept_at_once_wakes_up_like_any_other,
    ])
