#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Machines with a network, all of it on loopback: both ways, over restores, side by side."""
import hashlib
import http.server
import os
import re
import select
import socket
import subprocess
import threading
import urllib.request

from bake import TOOLS, bake, busybox_image, output
from machine import Machine, Work, boot_args, disk, kernel, restore, run, snap, wslx

TOOLS_NET = ("sleep", "cat", "ip", "wget", "nc", "httpd", "sha256sum", "mkdir", "ping", "udhcpc",
             "grep", "kill")
BIG = 50 << 20


class Server(http.server.ThreadingHTTPServer):
    """What a guest can ask for on this host: /big, or anything else for a word."""

    def __init__(self):
        self.big = os.urandom(1 << 20) * (BIG >> 20)
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.shutdown()
        self.server_close()

    @property
    def port(self):
        return self.server_address[1]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.server.big if self.path == "/big" else b"of the host\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *unused):
        pass


def free_port(kind=socket.SOCK_STREAM, family=socket.AF_INET):
    with socket.socket(family, kind) as s:
        s.bind(("localhost" if family == socket.AF_INET else "::1", 0))
        return s.getsockname()[1]


def get(port, path="", host="127.0.0.1"):
    with urllib.request.urlopen(f"http://{host}:{port}/{path}", timeout=60) as answer:
        return answer.read()


def boot(*more, flavour="cloud-amd64"):
    m = Machine([*boot_args(flavour, tools=TOOLS_NET), *more], patience=120)
    m.expect("/ # ")
    return m


def ask(m, command):
    """What a command prints at the guest's prompt, after its own echo, and its status."""
    m.send(f'{command}; e""cho "=$?=end"\n')
    out = m.expect("=end\n")
    status = re.search(r"=(\d+)=end\n$", out)
    return out[:status.start()].rstrip("\n"), int(status[1])


def tell(m, command):
    out, status = ask(m, command)
    assert status == 0, (command, out, status)
    return out


def bytes_pass_whole_in_both_directions():
    web = free_port()
    with Server() as host:
        m = boot("--net", "user,host", "--publish", f"{web}:80")
        assert "of the host" in tell(m, f"wget -qO- http://10.0.2.2:{host.port}/")
        tell(m, f"mkdir /w; wget -qO /w/big http://10.0.2.2:{host.port}/big")
        digest = hashlib.sha256(host.big).hexdigest()
        assert digest in tell(m, "sha256sum /w/big")
        tell(m, "httpd -p 80 -h /w")
        assert get(web, "big") == host.big
        tell(m, "ping -c 2 10.0.2.2")
        tell(m, "ping -c 2 fec0::2")
        m.leave()


def both_kernels_have_it_and_ipv6_too():
    web = free_port(family=socket.AF_INET6)
    m = boot("--publish", f"[::1]:{web}:80", flavour="amd64")
    tell(m, "mkdir /w; echo six > /w/a; httpd -p 80 -h /w")
    assert get(web, "a", "[::1]") == b"six\n"
    m.leave()


def the_hosts_loopback_is_closed_by_default():
    with Server() as host:
        m = boot("--net", "user")
        for address in ("10.0.2.2", "10.0.2.3", "127.0.0.1", "[fec0::2]"):
            out, status = ask(m, f"wget -T 3 -qO- http://{address}:{host.port}/")
            assert status != 0 and "of the host" not in out, (address, out)
        # Neither by a route that sends loopback addresses out.
        tell(m, "ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.9/32 via 10.0.2.2; "
                "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet")
        out, status = ask(m, f"wget -T 3 -qO- http://127.0.0.9:{host.port}/")
        assert status != 0 and "of the host" not in out, out
        m.leave()


def a_lease_can_be_had_and_renewed_after_a_restore():
    with Work() as w:
        m = boot("--net", "user", "--control", w / "c")
        lease = "udhcpc -n -q -i eth0 -s /bin/cat 2>&1 < /dev/null"
        assert "lease of 10.0.2.15 obtained" in tell(m, lease)
        snap(w / "c", "s")
        m.leave()
        r = restore("s")
        assert "lease of 10.0.2.15 obtained" in tell(r, lease)
        r.leave()


def services_are_reached_again_at_once_and_connections_reset():
    with Work() as w, Server() as host, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        web, before = free_port(), free_port()
        m = boot("--net", "user,host", "--publish", f"{before}:80", "--control", w / "c")
        tell(m, "mkdir /w; echo served > /w/a; httpd -p 80 -h /w")
        assert get(before, "a") == b"served\n"
        # One that sends all the time, and one that only listens and would never notice by itself.
        peer = listener.getsockname()[1]
        m.send(f"nc 10.0.2.2 {peer} < /dev/zero > /dev/null &\n")
        busy = listener.accept()[0]
        m.send(f'sleep 1000 | (nc 10.0.2.2 {peer}; e""cho "=over=end"); :\n')
        idle = listener.accept()[0]
        idle.sendall(b"connected\n")
        m.expect("\nconnected\n")
        snap(w / "c", "s")
        idle.sendall(b"goes on\n")
        m.expect("goes on\n")  # the machine that was not stopped
        m.leave()
        busy.close()
        idle.close()
        ports = [free_port() for _ in range(2)]
        clones = [restore("s", "--net", "user,host", "--publish", f"{p}:80") for p in ports]
        for c, port in zip(clones, ports):
            c.expect("=over=end\n", patience=60)
            c.send("\x03")
            assert get(port, "a") == b"served\n"
            assert "of the host" in tell(c, f"wget -qO- http://10.0.2.2:{host.port}/")
            # The other one is not left half open either.
            tell(c, "while grep ' 01 ' /proc/net/tcp; do sleep 1; done")
            c.leave()


def a_restored_machine_can_be_without_a_network_and_have_it_again():
    with Work() as w:
        m = boot("--net", "user", "--control", w / "c")
        m.send("sleep 2; e''cho set\n")
        m.expect("\nset")
        carrier = "cat /sys/class/net/eth0/carrier"
        assert "1" in tell(m, carrier).split("\n")
        snap(w / "c", "s")
        m.leave()
        r = restore("s", "--net", "none", "--control", w / "c")
        assert tell(r, "until " + carrier + " | grep 0; do sleep 1; done").split("\n")[-1] == "0"
        assert ask(r, "ping -c 1 -W 2 10.0.2.2")[1] != 0
        snap(w / "c", "t")
        r.leave()
        r = restore("t")
        assert tell(r, "until " + carrier + " | grep 1; do sleep 1; done").split("\n")[-1] == "1"
        tell(r, "ping -c 4 10.0.2.2")
        r.leave()


def refused(code, sentence, *args):
    done = wslx(*args)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == code and len(lines) == 1 and sentence in lines[0], done


def what_cannot_be_published_says_why_before_the_machine_runs():
    with Work() as w, Server() as host:
        taken = f"{host.port}:80"
        refused(1, f"--publish {taken}: something on this host uses that port already",
                *boot_args(), "--publish", taken)
        refused(1, "this is not [ADDRESS:]PORT:GUESTPORT", *boot_args(), "--publish", "80")
        refused(1, "--publish needs a network", *boot_args(), "--net", "none", "--publish", "8:8")
        refused(1, "none of user, user,host, none", *boot_args(), "--net", "tap")
        m = Machine([*boot_args(), "--control", w / "c"])
        m.expect("/ # ")
        snap(w / "c", "s")
        m.leave()
        refused(3, "started without a network", "restore", "vm", "--name", "s", "--publish", "8:8")
        m = restore("s")
        m.send("echo a''live\n")
        m.expect("alive")
        m.leave()


def the_network_ends_with_its_machine():
    m = boot("--net", "user")
    tell(m, "ping -c 1 10.0.2.2")
    helper = [int(c) for c in open(f"/proc/{m.pid}/task/{m.pid}/children").read().split()]
    assert len(helper) == 1, helper
    with open(f"/proc/{helper[0]}/status") as f:
        status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1" and int(status["CapPrm"], 16) == 0, status
    assert "0" not in status["Uid"].split(), status["Uid"]
    fds = [os.readlink(f"/proc/{helper[0]}/fd/{n}") for n in os.listdir(f"/proc/{helper[0]}/fd")]
    assert set(re.sub(r":.*", "", f) for f in fds) == {"/dev/null", "socket"}, fds
    end = os.pidfd_open(helper[0])
    os.kill(m.pid, 9)
    os.waitpid(m.pid, 0)
    assert select.select([end], [], [], 10)[0], "the helper has outlived its machine"
    os.close(end)


def the_network_has_nothing_of_its_machines_memory():
    def maps(pid):
        with open(f"/proc/{pid}/maps") as f:
            text = f.read()
        return {what for what in (".ram\n", ".code\n", "wslx-code") if what in text}

    with Work() as w:
        m = boot("--net", "user", "--control", w / "c")
        tell(m, "ping -c 1 10.0.2.2")
        snap(w / "c", "s")
        m.leave()
        # The third one begins with what the others have learned, before it has a network.
        for n in range(3):
            r = restore("s")
            tell(r, "ping -c 1 10.0.2.2")
            (helper,) = open(f"/proc/{r.pid}/task/{r.pid}/children").read().split()
            own = maps(r.pid)
            assert {".ram\n", "wslx-code"} <= own and (".code\n" in own) == (n > 0), own
            assert not maps(helper) & {".ram\n", "wslx-code"}, maps(helper)
            r.leave()


def a_network_that_dies_takes_the_link_down_and_nothing_else():
    m = boot("--net", "user")
    tell(m, "ping -c 1 10.0.2.2")
    (helper,) = open(f"/proc/{m.pid}/task/{m.pid}/children").read().split()
    os.kill(int(helper), 9)
    assert tell(m, "until cat /sys/class/net/eth0/carrier | grep 0; do sleep 1; done").split("\n")[-1] == "0"
    before = m.cpu_ticks()
    m.send("sleep 3; e''cho alive\n")
    m.expect("\nalive")
    assert m.cpu_ticks() - before < 50, "it looks again and again at a wire that is cut"
    m.leave()


IMAGE_TOOLS = (*TOOLS, "wget", "ip", "httpd", "ping")


def baked_machines_have_a_network_and_an_address_of_their_own():
    with Work() as w, Server() as host:
        bake(busybox_image(w / "image", {"Cmd": ["sh"]}, tools=IMAGE_TOOLS))
        url = f"http://10.0.2.2:{host.port}/"
        out, status = output("m", "wget", "-qO-", url, options=("--net", "user,host"))
        assert status == 0 and "of the host" in out, out
        macs = set()
        clones = []
        for n in range(2):
            port = free_port()
            m = Machine(["run", "m", "--distro", f"d{n}", "--publish", f"{port}:80"], patience=60)
            m.expect("# ")
            tell(m, f"mkdir -p /w; echo {n} > /w/n; httpd -p 80 -h /w")
            macs.add(re.search(r"ether ([\w:]+)", tell(m, "ip link show eth0"))[1])
            assert "nameserver 10.0.2.3" in tell(m, "cat /etc/resolv.conf")
            clones.append((m, port))
        assert len(macs) == 2 and "02:00:00:00:00:01" not in macs, macs
        for n, (m, port) in enumerate(clones):
            assert get(port, "n") == b"%d\n" % n
        # One is kept, and goes on with its address and its service.
        m, port = clones[0]
        mac = re.search(r"ether ([\w:]+)", tell(m, "ip link show eth0"))[1]
        m.leave()
        m = Machine(["run", "m", "--distro", "d0", "--publish", f"{port}:80"], patience=60)
        assert mac in tell(m, "ip link show eth0")
        assert get(port, "n") == b"0\n"
        m.send("exit\n")
        m.rest()
        clones[1][0].send("exit\n")
        clones[1][0].rest()
        out, status = output("m", "ping", "-c", "1", "-W", "1", "10.0.2.2", options=("--net", "none"))
        assert status != 0, out
        bake("rootfs:" + unpacked(w), "--net", "none", name="quiet")
        assert "eth0" not in output("quiet", "ip", "link")[0]
        refused(3, "started without a network", "run", "quiet", "--publish", "8:8", "--", "true")


def unpacked(w):
    """A root with busybox, as a directory."""
    os.makedirs(w / "root/bin")
    subprocess.run(["cp", "/bin/busybox", w / "root/bin/busybox"], check=True)
    for tool in IMAGE_TOOLS:
        os.symlink("busybox", w / f"root/bin/{tool}")
    return w / "root"


ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7))
print("lis" "tens", flush=True)
while True:
    s.sendto(*s.recvfrom(65536))
"""


def programs_of_a_debian_root_are_reached_and_reach():
    web, echo = free_port(), free_port(socket.SOCK_DGRAM)
    with Server() as host:
        m = Machine(["boot", "--kernel", kernel(), "--memory", "512M", "--disk", f"{disk()},cow", "--append",
                     "quiet wslx.root=/dev/vda wslx.init=/bin/bash", "--net", "user,host", "--publish", f"{web}:80",
                     "--publish", f"{echo}:7/udp"], patience=600)
        m.expect("# ")
        m.send(f"python3 -c 'import urllib.request as u; "
               f"print(u.urlopen(\"http://10.0.2.2:{host.port}/\").read())'; echo d''one\n")
        assert "of the host" in m.expect("done")
        m.send("mkdir /w; echo debian > /w/a; cd /w; python3 -m http.server 80 &\n")
        m.expect("Serving HTTP")
        assert get(web, "a") == b"debian\n"
        m.send(f"cat > echo.py << 'END'\n{ECHO}END\npython3 echo.py &\n")
        m.expect("listens")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(30)
            for n in (1, 1472, 9000, 30000):
                s.sendto(bytes(n), ("127.0.0.1", echo))
                assert s.recv(65536) == bytes(n), n
        m.leave()


if __name__ == "__main__":
    run([
        what_cannot_be_published_says_why_before_the_machine_runs,
        bytes_pass_whole_in_both_directions,
        both_kernels_have_it_and_ipv6_too,
        the_hosts_loopback_is_closed_by_default,
        a_lease_can_be_had_and_renewed_after_a_restore,
        services_are_reached_again_at_once_and_connections_reset,
        a_restored_machine_can_be_without_a_network_and_have_it_again,
        the_network_ends_with_its_machine,
        the_network_has_nothing_of_its_machines_memory,
        a_network_that_dies_takes_the_link_down_and_nothing_else,
        baked_machines_have_a_network_and_an_address_of_their_own,
        programs_of_a_debian_root_are_reached_and_reach,
    ])
