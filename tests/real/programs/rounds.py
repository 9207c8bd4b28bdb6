# For many rounds of snapshot and restore: a tree with threads, a child, pipes, a zombie, timers, epoll.
import os
import select
import signal
import sys
import threading

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGALRM])
read_end, write_end = os.pipe()
back_read, back_write = os.pipe()
child = os.fork()
if child == 0:
    while data := os.read(read_end, 100):
        os.write(back_write, data.upper())
    os._exit(0)
zombie = os.fork()
if zombie == 0:
    os._exit(5)
os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
memory = bytearray(os.urandom(8 << 20))
digest = hash(bytes(memory))
event = threading.Event()
threads = [threading.Thread(target=event.wait, daemon=True) for _ in range(8)]
for t in threads:
    t.start()
poll = select.epoll()
poll.register(back_read, select.EPOLLIN)
signal.setitimer(signal.ITIMER_REAL, 1000, 1000)


result = open(sys.argv[1], "a")  # stays open: descriptors are counted once it was written to


def say(text):
    print(text, file=result, flush=True)


say("READY")
round_number = 0
while True:
    signal.sigwait([signal.SIGUSR1])
    round_number += 1
    os.write(write_end, b"round %d" % round_number)
    assert poll.poll(10) == [(back_read, select.EPOLLIN)]
    assert os.read(back_read, 100) == b"ROUND %d" % round_number
    assert hash(bytes(memory)) == digest
    assert os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT | os.WNOHANG).si_status == 5
    assert all(t.is_alive() for t in threads)
    say(f"ROUND {round_number}")
