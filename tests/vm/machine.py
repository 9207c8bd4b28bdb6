# SPDX-License-Identifier: MIT
"""What the machine's tests stand on: a machine on a pseudo-terminal, kernels, and TAP."""
import glob
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import tty

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KERNELS = os.environ.get("WSLX_KERNELS", f"{TOP}/build/kernels")
WSLX = os.environ.get("WSLX", f"{TOP}/build/wslx")
BUSYBOX = "/bin/busybox"
# How many times slower than usual a machine may be, with a sanitizer for instance.
SLOWER = float(os.environ.get("WSLX_SLOWER", "1"))


class Skip(Exception):
    pass


def kernel(flavour="cloud-amd64"):
    found = glob.glob(f"{KERNELS}/{flavour}/boot/vmlinuz-*")
    if not found:
        raise Skip(f"no {flavour} kernel in WSLX_KERNELS; see tests/vm/fetch-kernels")
    return found[0]


def disk():
    path = f"{KERNELS}/debian.ext4"
    if not os.path.exists(path):
        raise Skip("no Debian root in WSLX_KERNELS; see tests/vm/fetch-kernels --root")
    return path


def boot_args(flavour="cloud-amd64", tools=(), scripts=None, append="quiet"):
    """Options to boot busybox as /bin/sh and under the names of @tools."""
    args = ["boot", "--kernel", kernel(flavour), "--append", append]
    for name in ("sh", "busybox", *tools):
        args += ["--add", f"{BUSYBOX}:/bin/{name}"]
    for path, name in (scripts or {}).items():
        args += ["--add", f"{path}:{name}"]
    return args


class Machine:
    """A verb of wslx on a pseudo-terminal; every wait is for something the machine says."""

    def __init__(self, args, patience=240, raw=True, born=None):
        self.patience = patience * SLOWER
        self.seen = b""
        self.started = time.monotonic()
        self.fd, terminal = pty.openpty()
        if raw:
            tty.setraw(terminal)  # what comes back is the guest's echo, never the terminal's
        self.pid = os.fork()
        if not self.pid:
            os.login_tty(terminal)
            if born:
                born()
            os.execvp(WSLX, [WSLX, *args])
        os.close(terminal)
        Work.machines.append(self.pid)

    def _read(self, seconds):
        if not select.select([self.fd], [], [], seconds)[0]:
            return None
        try:
            return os.read(self.fd, 1 << 16)
        except OSError:  # the other end is closed
            return b""

    def _how_it_is(self, data):
        """Why there is no more to read: time is up (None), or the other end is closed."""
        if data is None:
            return " in time"
        pid, status = os.waitpid(self.pid, 0)
        return f" before it ended with status {os.waitstatus_to_exitcode(status)}"

    def expect(self, what, patience=None):
        """All output up to and including @what."""
        end = time.monotonic() + (patience * SLOWER if patience else self.patience)
        what = what.encode()
        while what not in self.seen:
            data = self._read(max(0, end - time.monotonic()))
            if not data:
                raise AssertionError(f"{what!r} did not come{self._how_it_is(data)}; the last was "
                                     f"{self.seen[-800:]!r}")
            self.seen += data.replace(b"\r", b"")
        at = self.seen.index(what) + len(what)
        out, self.seen = self.seen[:at], self.seen[at:]
        return out.decode(errors="replace").replace("\r", "")

    def send(self, text):
        os.write(self.fd, text.encode())

    def rest(self):
        """Everything until the machine's end; then its exit status is known."""
        out = self.seen
        while data := self._read(self.patience):
            out += data
        self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return out.decode(errors="replace").replace("\r", "")

    def leave(self):
        self.send("\x01x")
        return self.rest()

    def cpu_ticks(self):
        fields = open(f"/proc/{self.pid}/stat").read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])


MEMORY = "/dev/shm"


def remove_what_the_dead_left():
    """Images of RAM of a test that was killed are memory that nobody gets back."""
    for path in glob.glob(f"{MEMORY}/wslx-vm-*-*"):
        pid = path.split("-")[2]
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(path, ignore_errors=True)


class Work:
    """A directory for sockets, disks and a store of its own; one in memory for images of RAM."""

    machines = []  # process groups that tests have started

    def __enter__(self):
        remove_what_the_dead_left()
        self.path = tempfile.mkdtemp(prefix="wslx-vm-")
        os.environ["WSLX_HOME"] = self / "store"
        self.memory = tempfile.mkdtemp(prefix=f"wslx-vm-{os.getpid()}-", dir=MEMORY)
        os.environ["XDG_RUNTIME_DIR"] = self.memory
        return self

    def __exit__(self, *unused):
        for pid in self.machines:
            try:
                if os.waitpid(pid, os.WNOHANG) == (0, 0):
                    os.killpg(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
            except ChildProcessError:
                pass  # it has ended, and the test has seen that
        self.machines.clear()
        for path in (self.path, self.memory) * 2:
            shutil.rmtree(path, ignore_errors=True)  # somebody may still be bringing the rest

    def __truediv__(self, name):
        return f"{self.path}/{name}"


def wslx(*args):
    return subprocess.run([WSLX, *args], capture_output=True, text=True, timeout=600 * SLOWER,
                          stdin=subprocess.DEVNULL)


def snap(socket, name, *more):
    """Snapshot the machine that listens at @socket. Return: its pause in milliseconds."""
    done = wslx("snap", "vm", "--machine", socket, "--name", name, "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["pause_ms"]


def restore(name, *more, patience=240, raw=True):
    return Machine(["restore", "vm", "--name", name, *more], patience=patience, raw=raw)


def run(tests):
    """TAP for functions that are named by their promise; arguments choose some of them."""
    tests = [t for t in tests if len(sys.argv) < 2 or t.__name__ in sys.argv[1:]]
    print(f"1..{len(tests)}")
    failed = 0
    for n, test in enumerate(tests, 1):
        name = test.__name__
        try:
            note = test()
            print(f"ok {n} - {name}" + (f" # {note}" if note else ""))
        except Skip as why:
            print(f"ok {n} - {name} # SKIP {why}")
        except Exception:
            failed += 1
            print(f"not ok {n} - {name}")
            sys.stdout.flush()
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", file=sys.stderr)  # which a harness of TAP shows, too
        sys.stdout.flush()
    sys.exit(1 if failed else 0)
