# SPDX-License-Identifier: MIT
"""What the runners under tests/ share: programs, snapshots of them, and waiting for events.

Nothing here sleeps. A result file is watched with inotify, the end of a process with a pidfd, and
the end of a command with its own exit. Every wait has a limit, and running into it is a failure.
"""
import ctypes
import os
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

TESTS = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(TESTS)
WSLX = os.environ.get("WSLX", os.path.join(TOP, "build", "wslx"))

libc = ctypes.CDLL(None, use_errno=True)
IN_MODIFY, IN_CLOSE_WRITE, IN_NONBLOCK = 0x2, 0x8, 0o4000
PR_SET_CHILD_SUBREAPER = 36


class Failed(Exception):
    """A test failed; the text says how."""


class Skipped(Exception):
    """A test cannot run here; the text says why."""


def need(condition, text):
    if not condition:
        raise Failed(text)


def start_reaper():
    """Go on in a child; the parent adopts and reaps whatever is orphaned, as init would.

    Restored processes have no parent of their own, and not every first process of a container reaps.
    The keys of a terminal act on programs that tests start, also when this was started by `command &`,
    which has them ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    runner = os.fork()
    if not runner:
        return
    while True:
        try:
            pid, status = os.wait()
        except KeyboardInterrupt:
            continue
        if pid == runner:
            os._exit(os.waitstatus_to_exitcode(status) & 255)


# ---- files that grow ----------------------------------------------------------------------------


class GrowingFile:
    """A file that another process appends to."""

    def __init__(self, path):
        self.path = path
        with open(path, "a"):
            pass
        os.chmod(path, 0o666)
        self.fd = libc.inotify_init1(IN_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0 or libc.inotify_add_watch(self.fd, path.encode(), IN_MODIFY) < 0:
            raise OSError(ctypes.get_errno(), "inotify: " + path)

    def text(self):
        with open(self.path, errors="replace") as f:
            return f.read()

    def wait_for(self, pattern, seconds, unless=None, start=0):
        """The match of a regular expression; None once @unless (a pidfd) ended, or time is up."""
        until = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        if unless is not None:
            poll.register(unless, select.POLLIN)
        ended = False
        while True:
            match = re.search(pattern, self.text()[start:], re.M)
            left = until - time.monotonic()
            if match or ended or left <= 0:
                return match
            for fd, _ in poll.poll(left * 1000):
                if fd == self.fd:
                    os.read(self.fd, 65536)
                else:
                    ended = True  # look once more, then give up

    def close(self):
        os.close(self.fd)


# ---- processes ----------------------------------------------------------------------------------


def state_of(pid):
    """The state letter of a process, or None if there is none."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return None


def comm_of(pid):
    """The short name of a process, or None if there is none."""
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return None


def tree_of(pid):
    """A process and all below it, itself first."""
    found = [pid]
    for p in found:
        try:
            for tid in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{tid}/children") as f:
                    found += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return found


def marked(token, folder):
    """All living processes with this token in their environment, or working in or named after a folder.

    A program that sets its title writes over its environment.
    """
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            text = b""
            for file in ("environ", "cmdline"):
                with open(f"/proc/{name}/{file}", "rb") as f:
                    text += f.read()
            ours = token.encode() in text or folder.encode() in text or os.readlink(f"/proc/{name}/cwd") == folder
            if ours and state_of(int(name)) not in ("Z", "X", None):
                found.append(int(name))
        except OSError:
            pass
    return found


def reap(pids):
    """Collect those that ended and are our children."""
    again = True
    while again:
        again = False
        for pid in pids:
            try:
                again |= os.waitpid(pid, os.WNOHANG)[0] == pid
            except OSError:
                pass


def wait_gone(pids, seconds):
    """Wait until all of these ended; those that did not within the time."""
    until = time.monotonic() + seconds
    for pid in pids:
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            continue
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(max(0, until - time.monotonic()) * 1000)
        os.close(fd)
    reap(pids)
    return [p for p in pids if state_of(p) not in ("Z", "X", None)]


def reap_once_ended(pid):
    """Wait in a thread for the end of a child of ours and reap it then, as a shell would.

    Its pidfd is no use here: that tells of the end before a tracer of the child has let go of it, and
    until then the child cannot be reaped.
    """

    def wait():
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        except OSError:
            return
        reap([pid])

    threading.Thread(target=wait, daemon=True).start()


class Place:
    """A directory, a store and a token of one test's own, and its processes' end."""

    def __init__(self, name, uid=None):
        base = os.environ.get("ZOO_TMP", tempfile.gettempdir())
        self.dir = tempfile.mkdtemp(prefix="zoo-", dir=base)
        self.name = name
        self.uid = uid
        self.token = "ZOO_TEST=" + os.path.basename(self.dir)
        self.home = os.path.join(self.dir, "store")
        self.seen = set()
        self.files = []
        self.processes = []
        os.chmod(self.dir, 0o755)
        if uid is not None:
            os.chown(self.dir, uid, uid)

    def growing_file(self, name):
        """A file of this place that a program will append to; closed at the end of the test."""
        f = GrowingFile(os.path.join(self.dir, name))
        self.files.append(f)
        return f

    def env(self, more=None):
        env = dict(os.environ, WSLX_HOME=self.home, LC_ALL="C.UTF-8")
        env.pop("WSLX_FAULT", None)
        env.pop("WSLX_FORCE", None)
        key, value = self.token.split("=")
        env[key] = value
        env.update(more or {})
        return env

    def start(self, argv, env=None, **more):
        """Start a program in a session of its own, its output in the file `output`."""
        options = dict(stdin=subprocess.DEVNULL, cwd=self.dir, start_new_session=True, env=self.env(env))
        if self.uid is not None:
            options.update(user=self.uid, group=self.uid, extra_groups=[])
        options.update(more)
        with open(os.path.join(self.dir, "output"), "ab") as out:
            if self.uid is not None:
                os.fchown(out.fileno(), self.uid, self.uid)
            options.setdefault("stdout", out)
            options.setdefault("stderr", out)
            process = subprocess.Popen(argv, **options)
        self.seen.add(process.pid)
        self.processes.append(process)  # a forgotten Popen would be reaped behind our back
        return process

    def wslx(self, *args, env=None, seconds=60):
        """Run wslx; its exit code, output and errors."""
        options = {}
        if self.uid is not None:
            options = dict(user=self.uid, group=self.uid, extra_groups=[])
        full = self.env(env)
        full.pop("ZOO_TEST")  # it is no leftover of itself
        out = tempfile.TemporaryFile("w+")
        err = tempfile.TemporaryFile("w+")
        # Files, not pipes: a restored process might otherwise keep our end open.
        p = subprocess.Popen([WSLX, *args], env=full, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                             cwd=self.dir, **options)
        try:
            p.wait(seconds)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
            raise Failed(f"wslx {' '.join(args)} did not end within {seconds} s") from None
        out.seek(0)
        err.seek(0)
        return Done(args, p.returncode, out.read(), err.read())

    def snap(self, pid, name, *more, stop=True, env=None):
        """Take a snapshot; with @stop the tree must be gone at the moment the command ends."""
        pids = tree_of(pid)
        self.seen.update(pids)
        if stop:
            for p in pids:
                reap_once_ended(p)
        done = self.wslx("snap", "proc", "--pid", str(pid), "--name", name, *(["--stop"] if stop else []),
                         *more, env=env)
        if done.code == 0 and stop:
            living = [f"{p} ({state_of(p)})" for p in pids if state_of(p) not in ("Z", "X", None)]
            need(not living, f"still there after snap --stop: {' '.join(living)}")
            need(not wait_gone(pids, 10), "not to be reaped")
        return done

    def restore(self, name, *more, env=None):
        """Restore a snapshot; the pid of its first process is left in .pid."""
        done = self.wslx("restore", "proc", "--name", name, *more, env=env)
        if done.code == 0:
            numbers = re.findall(r"\d+", done.out)
            need(numbers, f"restore does not print the pid: {done.out!r}")
            done.pid = int(numbers[-1])
            self.seen.update(tree_of(done.pid))
        return done

    def leftovers(self):
        """Processes of the test; not the one that settles a snapshot, which ends by itself."""
        return [p for p in marked(self.token, self.dir) if comm_of(p) != "wslx-settle"]

    def finish_processes(self):
        """End whatever is left of the test, and reap it."""
        while left := marked(self.token, self.dir):
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            self.seen.update(left)
            if wait_gone(left, 5):
                break  # SIGKILL does not help: leave it to a person
        reap(self.seen)

    def finish(self):
        """End whatever is left of the test, and remove its directory."""
        self.finish_processes()
        for f in self.files:
            f.close()
        if not os.environ.get("ZOO_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)


class Done:
    """What a command of wslx did."""

    def __init__(self, args, code, out, err):
        self.args, self.code, self.out, self.err = args, code, out, err
        self.pid = None

    def ok(self):
        need(self.code == 0, f"wslx {' '.join(self.args[:2])}: exit {self.code}: {self.err.strip() or self.out}")
        return self

    def refused(self):
        need(self.code == 3, f"exit {self.code}, want 3: {self.err.strip() or self.out}")
        first, *others = self.err.strip().split("\n")
        need(first.startswith("wslx: "), f"a refusal without a sentence: {self.err!r}")
        need(all(line.startswith("  ") for line in others),
             f"after its first sentence a refusal lists one obstacle a line, indented: {self.err!r}")
        return self


# ---- reports ------------------------------------------------------------------------------------


class Tap:
    """Results in the Test Anything Protocol, from several threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.count = self.failed = self.skipped = 0
        self.failures = []

    def result(self, name, error=None, skip=None, seconds=0.0, note=None):
        with self.lock:
            self.count += 1
            word = "not ok" if error else "ok"
            tail = f" # SKIP {skip}" if skip else f" # {seconds * 1000:.0f} ms"
            for line in (note or "").strip().split("\n"):
                if line:
                    print(f"# {line}")
            print(f"{word} {self.count} - {name}{tail}")
            if error:
                self.failed += 1
                self.failures.append((name, error))
                sys.stdout.flush()
                for line in error.strip().split("\n"):  # a harness of TAP shows only what is here
                    print(f"#   {name}: {line}", file=sys.stderr)
            if skip:
                self.skipped += 1
            sys.stdout.flush()

    def done(self, started):
        print(f"1..{self.count}")
        print(f"# {self.count - self.failed - self.skipped} passed, {self.skipped} skipped, "
              f"{self.failed} failed, {time.monotonic() - started:.1f} s")
        for name, error in self.failures:
            first = error.strip().split("\n")[0]
            print(f"# failed: {name}: {first}")
        return 1 if self.failed else 0
