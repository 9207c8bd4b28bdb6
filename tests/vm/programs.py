#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The same programs in a machine and on the host: what they print must be the same.

    programs.py [PROGRAM...]

Both stand on the tree that tests/vm/fetch-kernels --programs has made, the machine on a disk of
it, the host in a chroot, so that every byte of every program is the same. tests/vm/programs/ has
them, one shell script each. What differs is a wrong instruction: tests/isa is where to look for
it. The note of each test says how long both took. Needs root, for the chroot.
"""
import difflib
import glob
import os
import subprocess
import sys

from machine import KERNELS, Machine, Skip, boot_args, run

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = ("strings", "numbers", "bits32", "sqlite", "perl", "openssl", "gcc", "sums", "python")
PATIENCE = 3000

# The tree is borrowed: what is put into it and over it is gone with the mount namespace.
ON_HOST = """
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount -t tmpfs tmpfs "$1/tmp"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount --bind "$2" "$1/srv"
exec chroot "$1" /bin/dash /srv/run "$3"
"""

IN_MACHINE = """
mkdir -p /mnt && mount -t ext4 /dev/vda /mnt && mount -t tmpfs tmpfs /mnt/tmp && mount -t proc proc /mnt/proc &&
mount -t devtmpfs devtmpfs /mnt/dev && cp /root/* /mnt/srv/ && echo rea''dy
"""


def parts(out, name):
    """What a program printed, its status and its milliseconds."""
    body, _, end = out.partition(f"BEGIN {name}\n")[2].partition(f"END {name} ")
    status, ms = end.split()[:2]
    return body, int(status), int(ms)


def on_host(name):
    # What a shell starts in the background ignores SIGINT, which Python's tests send themselves.
    done = subprocess.run(["env", "--default-signal=INT,QUIT", "unshare", "--mount", "--pid", "--fork", "--propagation", "private",
                           "sh", "-eu", "-c", ON_HOST, "sh", f"{KERNELS}/programs",
                           f"{HERE}/programs", name],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    return parts(done.stdout, name)


class Guest:
    """One machine for all programs, booted when the first one needs it."""

    machine = None

    def run(self, name):
        if not self.machine:
            scripts = {path: f"/root/{os.path.basename(path)}"
                       for path in glob.glob(f"{HERE}/programs/*")}
            args = boot_args(tools=("mkdir", "mount", "cp", "chroot", "dmesg", "grep"), scripts=scripts)
            self.machine = Machine([*args, "--memory", "1G", "--disk",
                                    f"{KERNELS}/programs.ext4,cow"], patience=PATIENCE)
            self.machine.expect("/ # ")
            self.machine.send(IN_MACHINE.strip().replace("\n", " ") + "\n")
            self.machine.expect("ready", patience=120)
        self.machine.send(f"chroot /mnt /bin/dash /srv/run {name}\n")
        out = self.machine.expect(f"END {name} ")
        return parts(out + self.machine.expect("\n"), name)

    def complaints(self):
        self.machine.send("dmesg | grep -iE 'lockup|rcu.*stall|call trace|BUG:|traps:'; echo d''one\n")
        return self.machine.expect("done").splitlines()[1:-1]


guest = Guest()


def test_of(name):
    def same():
        if not os.path.exists(f"{KERNELS}/programs.ext4"):
            raise Skip("no programs in WSLX_KERNELS; see tests/vm/fetch-kernels --programs")
        if os.geteuid():
            raise Skip("a chroot on the host needs root")
        want, status, host_ms = on_host(name)
        assert status == 0, f"on the host: {want[-3000:]}"
        got, status, ms = guest.run(name)
        differing = list(difflib.unified_diff(want.splitlines(), got.splitlines(), "host",
                                              "machine", n=0, lineterm=""))
        assert not differing, "\n".join(line[:400] for line in differing[:60])
        assert status == 0
        return f"{ms / 1000:.1f} s, on the host {host_ms / 1000:.1f} s: {ms / max(host_ms, 1):.0f} times"

    same.__name__ = f"{name}_says_in_a_machine_what_it_says_on_the_host"
    return same


def the_kernel_has_nothing_to_complain_about():
    if not guest.machine:
        raise Skip("there was no machine")
    said = guest.complaints()
    guest.machine.leave()
    assert not said, said


if __name__ == "__main__":
    names = sys.argv[1:] or PROGRAMS
    del sys.argv[1:]  # run() would look for tests of these names
    run([*(test_of(name) for name in names), the_kernel_has_nothing_to_complain_about])
