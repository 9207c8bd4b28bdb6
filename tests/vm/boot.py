#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stock kernels boot, run a command, and hand its status over; what cannot boot says why."""
import fcntl
import hashlib
import os
import struct
import tempfile
import termios

from machine import Machine, boot_args, disk, kernel, run, wslx

SCRIPT = """#!/bin/sh
echo "kernel $(uname -r)"
echo "clock $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
echo "sum $(head -c 100000 /dev/zero | sha256sum)"
stty size
cat /sys/class/misc/hw_random/rng_current
dmesg | grep -iE 'soft lockup|rcu.*stall|call trace|BUG:|unable to handle' && exit 99
exit 7
"""


def boots(flavour):
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as script:
        script.write(SCRIPT)
        script.flush()
        tools = ("uname", "cat", "head", "sha256sum", "stty", "dmesg", "grep")
        args = boot_args(flavour, tools, {script.name: "/new/dir/test.sh"})
        m = Machine([*args, "--", "/bin/sh", "/new/dir/test.sh"])
        out = m.rest()
    assert m.status == 7, (m.status, out)
    assert f"sum {hashlib.sha256(bytes(100000)).hexdigest()}" in out, out
    assert "kernel 6.1." in out and "clock tsc" in out and "virtio_rng" in out, out
    return out


def the_cloud_kernel_boots_and_hands_the_status_over():
    boots("cloud-amd64")


def the_generic_kernel_boots_and_hands_the_status_over():
    boots("amd64")


def an_idle_machine_uses_no_cpu():
    m = Machine(boot_args(tools=("sleep",)))
    m.expect("/ # ")
    m.send("sleep 1; echo set''tled\n")
    m.expect("settled")
    before = m.cpu_ticks()
    m.send("sleep 10; echo d''one\n")
    m.expect("done")
    used = m.cpu_ticks() - before
    m.leave()
    assert used <= 30, f"{used} ticks in 10 s"
    return f"{used} ticks in 10 s"


def the_console_follows_the_terminal():
    m = Machine(boot_args(tools=("stty", "sleep")))
    m.expect("/ # ")
    fcntl.ioctl(m.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 132, 0, 0))
    m.send('while [ "$(stty size)" != "50 132" ]; do sleep 1; done; echo resi\'\'zed\n')
    m.expect("resized")
    m.leave()


def the_power_button_switches_it_off():
    m = Machine(boot_args(tools=("dd", "od")))
    m.expect("/ # ")
    m.send("exec 3</dev/input/event0; echo op''en\n")
    m.expect("open")
    m.send("dd bs=24 count=1 <&3 2>/dev/null | od -An -tu2 -j16 -N6; exit 3\n")
    m.send("\x01p")
    out = m.rest()
    assert "1   116     1" in out, out  # EV_KEY, KEY_POWER, down
    assert m.status == 3


def a_restart_and_a_panic_are_told_apart():
    ends = {"reboot -f": "started again", "echo c >/proc/sysrq-trigger": "kernel has panicked"}
    for flavour in ("cloud-amd64", "amd64"):
        for command, sentence in ends.items():
            m = Machine(boot_args(flavour, tools=("reboot",)))
            m.expect("/ # ")
            m.send(f"{command}\n")
            assert "\nwslx: the guest" in (out := m.rest()) and sentence in out, out
            assert m.status == 1, m.status


def a_disk_keeps_what_was_flushed_and_its_base_does_not_change():
    with tempfile.TemporaryDirectory() as tmp:
        base, overlay = f"{tmp}/base", f"{tmp}/overlay"
        with open(base, "wb") as f:
            f.write(bytes(range(256)) * 4096)
        tools = ("dd", "printf", "sync")
        args = [*boot_args(tools=tools), "--disk", f"{base},cow={overlay}"]
        write = "printf persistent | dd of=/dev/vda bs=512 seek=100 conv=fsync"
        with open(f"{tmp}/write.sh", "w") as f:
            f.write(f"{write}\nexit 0\n")
        with open(f"{tmp}/read.sh", "w") as f:
            f.write("dd if=/dev/vda bs=512 skip=100 count=1\n")
        m = Machine([*args, "--add", f"{tmp}/write.sh:/w", "--", "/bin/sh", "/w"])
        m.rest()
        assert m.status == 0
        m = Machine([*args, "--add", f"{tmp}/read.sh:/r", "--", "/bin/sh", "/r"])
        assert "persistent" in m.rest()
        assert open(base, "rb").read() == bytes(range(256)) * 4096


def log_in(m):
    """An agetty draws its prompt anew when the next one starts, and forgets what was typed by then."""
    m.expect("login: ")
    m.send("root\n")
    while "assword: " not in m.expect(": "):
        m.send("root\n")
    m.send("root\n")


def debian_with_systemd_comes_up_and_goes_down():
    m = Machine(["boot", "--kernel", kernel(), "--memory", "512M", "--disk", f"{disk()},cow",
                 "--append", "quiet wslx.root=/dev/vda"], patience=600)
    m.expect("wslx hvc0")
    log_in(m)
    m.expect("# ")
    m.send("systemctl is-system-running --wait; systemctl --failed --no-legend | cat; echo d''one\n")
    out = m.expect("done")
    m.send("\x01p")  # systemd-logind has the button
    m.rest()
    assert "\nrunning\n" in out.replace("\x1b[?2004l", "\n"), out
    assert m.status == 0


def refused(args, sentence):
    done = wslx("boot", *args)
    assert done.returncode == 1, done
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and sentence in lines[0], done.stderr


def what_cannot_boot_says_why_in_one_sentence():
    with tempfile.TemporaryDirectory() as tmp:
        cut, junk = f"{tmp}/cut", f"{tmp}/junk"
        with open(kernel(), "rb") as f:
            data = f.read()
        with open(cut, "wb") as f:
            f.write(data[: len(data) // 2])
        with open(junk, "wb") as f:
            f.write(b"junk" * 1000)
        refused(["--kernel", cut, "--initrd", junk], "neither a cpio archive")
        initrd = f"{tmp}/initrd"
        assert wslx("boot", "--kernel", kernel(), "--write-initrd", initrd).returncode == 0
        with open(initrd, "r+b") as f:
            f.truncate(os.path.getsize(initrd) * 2 // 3)
        refused(["--kernel", kernel(), "--initrd", initrd], "was it cut short?")
        refused(["--kernel", cut], "was it cut short?")
        refused(["--kernel", junk], "neither a bzImage nor an ELF")
        refused(["--kernel", f"{tmp}/none"], "No such file")
        refused(["--kernel", kernel(), "--memory", "32M"], "does not fit into 32 MiB")
        refused(["--kernel", kernel(), "--disk", f"{tmp},ro"], "disk")


if __name__ == "__main__":
    run([
        what_cannot_boot_says_why_in_one_sentence,
        the_cloud_kernel_boots_and_hands_the_status_over,
        the_generic_kernel_boots_and_hands_the_status_over,
        an_idle_machine_uses_no_cpu,
        the_console_follows_the_terminal,
        the_power_button_switches_it_off,
        a_restart_and_a_panic_are_told_apart,
        a_disk_keeps_what_was_flushed_and_its_base_does_not_change,
        debian_with_systemd_comes_up_and_goes_down,
    ])
