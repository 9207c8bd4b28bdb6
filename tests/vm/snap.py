#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Snapshots: live, restored many times, side by side, under load, tampered with."""
import glob
import os
import random
import shutil
import signal
import time

from machine import Machine, Work, boot_args, disk, restore, run, snap, wslx

ECHO = 'while read l; do echo "<$l>"; done\n'


def echoing(work, tools=("sleep",)):
    """A machine that answers lines, and where it can be asked for snapshots."""
    socket = work / "socket"
    m = Machine([*boot_args(tools=tools), "--control", socket])
    m.expect("/ # ")
    m.send("echo set''tled\n")
    m.expect("settled")
    return m, socket


def a_live_snapshot_goes_on_twice():
    with Work() as w:
        m, socket = echoing(w)
        m.send("X=before\n" + ECHO.replace("$l", "$X $l"))
        m.send("one\n")
        m.expect("<before one>")
        pause = snap(socket, "s")
        m.send("two\n")
        m.expect("<before two>")
        m.leave()
        for _ in range(2):
            r = restore("s")
            r.send("three\n")
            r.expect("<before three>")
            r.leave()
    return f"pause {pause:.2f} ms"


def ten_restores_run_side_by_side():
    with Work() as w:
        m, socket = echoing(w)
        m.send(ECHO)
        snap(socket, "s")
        m.leave()
        clones = [restore("s") for _ in range(10)]
        for n, c in enumerate(clones):
            c.send(f"clone {n}\n")
        for n, c in enumerate(clones):
            c.expect(f"<clone {n}>")
        dirty = 0
        for c in clones:
            for line in open(f"/proc/{c.pid}/smaps_rollup"):
                if line.startswith("Private_Dirty:"):
                    dirty += int(line.split()[1])
            c.leave()
    assert dirty / 10 < 12 * 1024, f"{dirty / 10} KiB each"
    return f"{dirty / 10 / 1024:.1f} MiB private each"


def lines_arrive_whenever_the_snapshot_was_taken(rounds=200):
    """In the guest's read(), in its interrupt handlers, while it echoes or answers, in its HLT."""
    rng = random.Random(11)
    with Work() as w:
        m, socket = echoing(w)
        m.send(ECHO)
        for n in range(rounds):
            m.send(f"line {n}\n")
            if n % 3:
                time.sleep(rng.uniform(0, 0.006))  # anywhere on the line's way
            else:
                m.expect(f"<line {n}>")
            snap(socket, "s", "--replace")
            # Typed at once, and to a guest that may still be busy with the other line.
            r = restore("s", patience=30)
            r.send(f"clone {n}\n")
            r.expect(f"<clone {n}>")
            r.leave()
            if n % 3:
                m.expect(f"<line {n}>")
        m.leave()
    return f"{rounds} snapshots"


def a_restored_machine_can_be_snapped_again(generations=20):
    with Work() as w:
        m, socket = echoing(w)
        m.send("N=0; while read l; do N=$((N+1)); echo \"<$N>\"; done\n")
        for generation in range(1, generations + 1):
            m.send("again\n")
            m.expect(f"<{generation}>")
            snap(socket, f"s{generation}")
            m.leave()
            m = restore(f"s{generation}", "--control", socket)
        m.send("again\n")
        m.expect(f"<{generations + 1}>")
        m.leave()


def clones_have_the_right_time_and_different_random_numbers():
    with Work() as w:
        m, socket = echoing(w, tools=("sleep", "date", "head", "od", "dmesg", "grep", "cut"))
        m.send("cut -d. -f1 /proc/uptime; echo up''time\n")
        m.expect("uptime\n")
        snap(socket, "s")
        m.leave()
        time.sleep(3)  # the gap that the clock has to notice
        seen = set()
        for _ in range(3):
            r = restore("s")
            # The agent needs a moment of its own before it has been told.
            r.send("sleep 1; date +t%s; echo r$(head -c 16 /dev/urandom | od -An -tx1); echo d''one\n")
            out = r.expect("done")
            now = int(out.split("\nt")[-1].split()[0])
            assert abs(now - time.time()) <= 2, (now, time.time())
            seen.add(out.split("\nr")[-1].split("\n")[0])
            r.send("dmesg | grep -icE 'lockup|stall|hung'; echo d''one\n")
            assert "\n0\n" in r.expect("done")
            r.leave()
        assert len(seen) == 3, seen


def a_gap_of_days_is_no_lockup():
    """For the guest: it has put its clock back, and another machine's restore steps it."""
    with Work() as w:
        m, socket = echoing(w, tools=("sleep", "date", "dmesg", "grep", "cut"))
        m.send("while :; do :; done &\n")
        m.send("date -s @$(($(date +%s) - 864000)) >/dev/null; echo p''ast\n")
        m.expect("past")
        snap(socket, "s", "--fast")
        m.leave()
        r = restore("s")
        r.send("sleep 25; date +t%s; dmesg | grep -iE 'lockup|stall|hung'; echo d''one\n")
        told = r.expect("done").split("\nt")[-1].split("\n")
        r.leave()
    assert abs(int(told[0]) - time.time()) <= 2 and told[1:] == ["done"], told


def a_stopped_process_is_a_stopped_machine():
    with Work() as w:
        m, socket = echoing(w, tools=("sleep", "date", "dmesg", "grep", "cut"))
        for work in ("", "while :; do :; done & "):
            m.send(f"{work}cut -d. -f1 /proc/uptime; echo n''ow\n")
            before = int(m.expect("now").split()[-2])
            os.kill(m.pid, signal.SIGSTOP)
            time.sleep(30)  # longer than the kernel's watchdogs wait
            os.kill(m.pid, signal.SIGCONT)
            m.send("sleep 5; dmesg | grep -iE 'lockup|stall|hung'; date +t%s; "
                   "cut -d. -f1 /proc/uptime; echo d''one\n")
            out = m.expect("done")
            assert "lockup" not in out.split("\nt")[0].split("d''one")[-1], out
            now, uptime = out.split("\nt")[-1].split()[:2]
            assert abs(int(now) - time.time()) <= 2, out
            assert int(uptime) - before < 25, out
        m.leave()


def a_kernel_that_knows_generations_reseeds_itself():
    with Work() as w:
        m = Machine([*boot_args("amd64", tools=("sleep", "dmesg", "grep")), "--control", w / "c"])
        m.expect("/ # ")
        snap(w / "c", "s")
        m.leave()
        m = restore("s")
        m.send("until dmesg | grep 'reseeded due to virtual machine fork'; do sleep 1; done\n")
        m.expect("crng reseeded due to virtual machine fork")
        m.leave()


LOAD = """
set -e
cd /root
cat > work.c <<'END'
#include <stdio.h>
#include <math.h>
int main(int argc, char **argv)
{
	double x = argc;
	unsigned long h = 5381;
	for (int i = 1; i < 300000; i++) {
		x = sqrt(x * i + sin(x));
		h = h * 33 ^ (unsigned long)(x * 1e6);
	}
	printf("%.17g %lu\\n", x, h);
	return 0;
}
END
: > log
for i in $(seq 1 ROUNDS); do
	gcc -O1 -DROUND=$i -o work work.c -lm
	./work >> log
	seq $i $((i + 20000)) | gzip -9 > seq.$i.gz
	sync
	gzip -dc seq.$i.gz | sha256sum >> log
	sha256sum work seq.*.gz >> log
	echo "round $i"
done
python3 -c 'print(sum(pow(3, n, 1000003) for n in range(100000)))' >> log
echo "digest $(sha256sum < log)"
"""


def load_machine(w, name, rounds):
    with open(w / "load.sh", "w") as f:
        f.write(LOAD.replace("ROUNDS", str(rounds)))
    with open(w / "start.sh", "w") as f:
        f.write("mount -t ext4 /dev/vda /mnt && mount -t proc proc /mnt/proc && "
                "cp /load.sh /mnt/root/ && chroot /mnt /bin/bash /root/load.sh; "
                "dmesg | grep -iE 'lockup|stall|I/O error|EXT4-fs error'; "
                "umount /mnt/proc; umount /mnt; echo unmounted; while read l; do :; done\n")
    tools = ("mount", "umount", "chroot", "cp", "dmesg", "grep", "mkdir")
    args = boot_args(tools=tools, scripts={w / "load.sh": "/load.sh", w / "start.sh": "/s.sh"})
    m = Machine([*args, "--memory", "384M", "--disk", f"{disk()},cow", "--control", w / name],
                patience=1200)
    m.expect("/ # ")
    m.send("mkdir -p /mnt; sh /s.sh\n")
    m.expect("round 1\n")
    return m


def digest(out):
    assert "lockup" not in out and "error" not in out, out
    found = {part.split()[0] for part in out.split("digest ")[1:]}
    assert len(found) == 1, found
    return found.pop()


def a_loaded_machine_ends_the_same_however_often_it_is_interrupted(rounds=20, work_rounds=8):
    rng = random.Random(7)
    with Work() as w:
        whole = load_machine(w, "socket0", work_rounds)
        want = digest(whole.expect("unmounted"))
        whole.leave()
        m = load_machine(w, "socket", work_rounds)
        pauses, told = [], ""
        for n in range(rounds):
            time.sleep(rng.uniform(0.1, 1.5))  # anywhere in its work
            pauses.append(snap(w / "socket", "s", "--replace"))
            told += m.leave()
            m = restore("s", "--control", w / "socket", patience=1200)
            # The terminal's echo says that it runs, and so that it listens.
            m.send(f"<again {n}>\n")
            told += m.expect(f"<again {n}>")
        if "unmounted" not in told:
            told += m.expect("unmounted")
        told += m.leave()
        assert digest(told) == want, told
    return f"{rounds} interruptions, pause at most {max(pauses):.2f} ms"


def a_tampered_snapshot_is_refused_in_one_sentence():
    with Work() as w:
        m, socket = echoing(w)
        m.send(ECHO)
        snap(socket, "s")
        m.leave()
        shutil.rmtree(f"{w.memory}/wslx")  # with it, pages on the disk are not looked at
        refused = 0
        for blob in glob.glob(w / "store/blobs/sha256/*"):
            with open(blob, "r+b") as f:
                data = f.read()
                f.seek(len(data) // 2)
                f.write(bytes([data[len(data) // 2] ^ 1]))
            done = wslx("restore", "vm", "--name", "s")
            refused += done.returncode == 1 and len(done.stderr.splitlines()) == 1
            with open(blob, "wb") as f:
                f.write(data)
        assert refused == len(glob.glob(w / "store/blobs/sha256/*")) > 2, refused
        m = restore("s")  # and whole again
        m.send("x\n")
        m.expect("<x>")
        m.leave()


def a_disk_that_is_written_in_place_is_an_obstacle():
    with Work() as w:
        with open(w / "disk", "wb") as f:
            f.truncate(1 << 20)
        m = Machine([*boot_args(), "--disk", w / "disk", "--control", w / "socket"])
        m.expect("/ # ")
        done = wslx("snap", "vm", "--machine", w / "socket", "--name", "s")
        assert done.returncode == 3 and "written in place" in done.stderr, done
        assert wslx("list").stdout.count("\n") <= 1
        m.send("echo a''live\n")
        m.expect("alive")
        m.leave()


if __name__ == "__main__":
    run([
        a_live_snapshot_goes_on_twice,
        ten_restores_run_side_by_side,
        lines_arrive_whenever_the_snapshot_was_taken,
        a_restored_machine_can_be_snapped_again,
        clones_have_the_right_time_and_different_random_numbers,
        a_gap_of_days_is_no_lockup,
        a_stopped_process_is_a_stopped_machine,
        a_kernel_that_knows_generations_reseeds_itself,
        a_tampered_snapshot_is_refused_in_one_sentence,
        a_disk_that_is_written_in_place_is_an_obstacle,
        a_loaded_machine_ends_the_same_however_often_it_is_interrupted,
    ])
