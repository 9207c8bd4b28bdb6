#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How a machine that has a name is left: by signals, terminals that hang up, and death of either of
its two processes.
"""
import array
import ctypes
import os
import pty
import select
import signal
import socket
import subprocess
import termios
import tty

from bake import bake, busybox_image
from machine import WSLX, Machine, Skip, Work, run, wslx


class Baked(Work):
    """A store with the snapshot m of a busybox image."""

    def __enter__(self):
        super().__enter__()
        bake(busybox_image(self / "image"))
        return self


def started(*args, **how):
    m = Machine(["run", "m", *args], patience=60, **how)
    m.expect("# ")
    m.send("X=kept; e''cho set\n")
    m.expect("\nset")
    return m


def goes_on():
    """What was kept is there, and ends by itself."""
    m = Machine(["run", "m"], patience=60)
    m.send("echo [$X]; exit 7\n")
    out = m.rest()
    assert "[kept]" in out and m.status == 7, (m.status, out)
    assert not is_kept()


def is_kept():
    return "m@saved" in wslx("list").stdout


def supervisor_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        children = [int(c) for c in f.read().split()]
    (found,) = [c for c in children if open(f"/proc/{c}/comm").read() == "wslx-keep\n"]
    return found


def await_end(pidfd):
    assert select.select([pidfd], [], [], 30)[0], "it does not end"
    os.close(pidfd)


def signals_to_what_was_started_keep_it():
    with Baked():
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            m = started()
            os.kill(m.pid, number)
            out = m.rest()
            assert m.status == 0 and "wslx: " not in out, (number, m.status, out)
            assert wslx("list", "--running").stdout == ""
            goes_on()


def a_terminal_of_another_session_hangs_up_without_a_signal():
    with Baked():
        master, slave = os.openpty()
        tty.setraw(slave)
        p = subprocess.Popen([WSLX, "run", "m"], stdin=slave, stdout=subprocess.PIPE, stderr=slave,
                             start_new_session=True)
        os.close(slave)
        os.write(master, b"X=kept; e''cho set\n")
        seen = b""
        while b"\nset" not in seen:
            seen += os.read(p.stdout.fileno(), 4096)
        os.close(master)
        p.communicate(timeout=60)
        assert p.returncode == 0 and is_kept()
        goes_on()


def a_key_that_interrupts_ends_it_and_keeps_nothing():
    """At a terminal that is not the guest's."""
    with Baked():
        pid, master = pty.fork()
        if not pid:
            os.dup2(os.open("/dev/null", os.O_RDWR), 0)
            os.execv(WSLX, [WSLX, "run", "m", "--", "sh", "-c", "echo up; sleep 1000"])
        seen = b""
        while b"up" not in seen:
            assert select.select([master], [], [], 60)[0], seen
            seen += os.read(master, 4096)
        os.write(master, b"\x03")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        os.close(master)
        assert not is_kept() and wslx("list", "--running").stdout == ""


def what_cannot_be_kept_runs_on_and_may_be_asked_again():
    with Baked() as w:
        m = started()
        os.rename(w / "store/key", w / "key")
        for act in (lambda: m.send("\x01x"), lambda: os.kill(m.pid, signal.SIGTERM)):
            act()
            m.expect("wslx: ")
            m.send("e''cho alive\n")
            m.expect("\nalive")
        os.rename(w / "key", w / "store/key")
        m.leave()
        assert m.status == 0
        goes_on()


def a_supervisor_that_dies_does_not_take_the_machine_with_it():
    with Baked():
        m = started()
        supervisor = supervisor_of(m.pid)
        end = os.pidfd_open(supervisor)
        os.kill(supervisor, signal.SIGKILL)
        await_end(end)
        m.send("\x01x")
        m.expect("wslx stop keeps it")
        os.kill(m.pid, signal.SIGTERM)
        m.expect("wslx stop keeps it")
        m.send("e''cho [$X]\n")
        m.expect("\n[kept]")
        done = wslx("stop", "m")
        assert done.returncode == 0, done.stderr
        m.rest()
        assert m.status == 0 and wslx("list", "--running").stdout == ""
        # What could not be forgotten is told.
        m = Machine(["run", "m"], patience=60)
        m.send("echo [$X]\n")
        m.expect("[kept]")
        supervisor = supervisor_of(m.pid)
        end = os.pidfd_open(supervisor)
        os.kill(supervisor, signal.SIGKILL)
        await_end(end)
        m.send("exit 7\n")
        out = m.rest()
        assert m.status == 1 and "what was kept of m is still there" in out, (m.status, out)
        goes_on()


def a_machine_that_is_killed_leaves_no_socket_and_no_raw_terminal():
    with Baked() as w:
        master, slave = os.openpty()
        before = termios.tcgetattr(slave)
        os.close(master)
        os.close(slave)
        m = started(raw=False)
        assert termios.tcgetattr(m.fd) != before and os.path.exists(w / "store/run/m.sock")
        end = os.pidfd_open(supervisor_of(m.pid))
        os.kill(m.pid, signal.SIGKILL)
        await_end(end)
        after = termios.tcgetattr(m.fd)
        assert after == before, (before, after)
        out = m.rest()
        assert m.status == -signal.SIGKILL and "wslx: " not in out, (m.status, out)
        assert not os.path.exists(w / "store/run/m.sock")
        # Its name is free, and nothing was kept.
        m = started()
        assert not is_kept()
        m.send("exit\n")
        m.rest()


def each_of_the_two_has_what_it_needs_and_no_more():
    with Baked() as w:
        secret = os.open("/dev/zero", os.O_RDONLY)
        os.set_inheritable(secret, True)
        m = started()
        os.close(secret)
        supervisor = supervisor_of(m.pid)

        def opened(pid):
            folder = f"/proc/{pid}/fd"
            return sorted(os.readlink(f"{folder}/{fd}").split(":")[0] for fd in os.listdir(folder))

        def maps(pid):
            with open(f"/proc/{pid}/maps") as f:
                text = f.read()
            return {what for what in (".ram\n", "wslx-code") if what in text}

        lock = w / "store/run/m.lock"
        inside = [f for f in opened(m.pid) if f.startswith(w / "store")]
        assert len(inside) == 2 and inside[0].startswith(w / "store/disks/") and inside[1] == lock, inside
        has = [f for f in opened(supervisor) if not f.startswith("/dev/pts/")]
        assert has == sorted(["/dev/null", "anon_inode", lock, "socket"]), has
        assert maps(m.pid) == {".ram\n", "wslx-code"} and maps(supervisor) == set()
        assert os.getsid(supervisor) == supervisor
        with open(f"/proc/{m.pid}/status") as f:
            assert "Seccomp:\t2\n" in f.read()
        m.send("exit\n")
        m.rest()


def line_to(supervisor, pid):
    """The machine's end of the line to its supervisor, which is a pair of sockets."""
    pidfd_getfd = 438
    process = os.pidfd_open(pid)
    numbers = sorted(int(fd) for fd in os.listdir(f"/proc/{pid}/fd")
                     if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"))
    fd = ctypes.CDLL(None, use_errno=True).syscall(pidfd_getfd, process, numbers[0], 0)
    os.close(process)
    if fd < 0:
        raise Skip(f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
    found = socket.socket(fileno=fd)
    found.getpeername()
    return found


def a_supervisor_believes_nobody_but_its_machine():
    with Baked() as w:
        m = started()
        m.leave()
        assert is_kept()
        m = Machine(["run", "m"], patience=60)
        m.send("echo [$X]\n")
        m.expect("[kept]")
        with open(w / "victim", "w") as f:
            f.write("x")
        supervisor = supervisor_of(m.pid)
        line = line_to(supervisor, m.pid)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [line.fileno()]))]
        line.sendmsg([b"rm\n" + (w / "victim").encode()], rights)
        line.send(b"e")
        line.close()
        end = os.pidfd_open(supervisor)
        os.kill(m.pid, signal.SIGKILL)
        await_end(end)
        m.rest()
        assert os.path.exists(w / "victim") and is_kept() and not os.path.exists(w / "store/run/m.sock")
        goes_on()


if __name__ == "__main__":
    run([
        signals_to_what_was_started_keep_it,
        a_terminal_of_another_session_hangs_up_without_a_signal,
        a_key_that_interrupts_ends_it_and_keeps_nothing,
        what_cannot_be_kept_runs_on_and_may_be_asked_again,
        a_supervisor_that_dies_does_not_take_the_machine_with_it,
        a_machine_that_is_killed_leaves_no_socket_and_no_raw_terminal,
        each_of_the_two_has_what_it_needs_and_no_more,
        a_supervisor_believes_nobody_but_its_machine,
    ])
