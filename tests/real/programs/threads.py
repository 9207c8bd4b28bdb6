# Four threads that each compute a chain of digests, beside a large dict; checked from scratch at the end.
import hashlib
import queue
import signal
import sys
import threading

SIZE = 300_000
table = {f"key {i}": (i, f"value {i * 7919}", [i, -i]) for i in range(SIZE)}
work, done = queue.Queue(100), queue.Queue()
stop = threading.Event()
lock = threading.RLock()
order = []


def chain(name):
    steps, digest = 0, name.encode()
    while not stop.is_set():
        digest = hashlib.sha256(digest).digest()
        steps += 1
        if steps % 5000 == 0:
            with lock:
                order.append((name, steps))
    done.put((name, steps, digest))


def serve():
    while (item := work.get()) is not None:
        done.put(table[f"key {item}"])


def say(text):
    with open(sys.argv[1], "a") as f:
        print(text, file=f, flush=True)


threads = [threading.Thread(target=chain, args=(f"chain {n}",)) for n in range(4)]
threads.append(threading.Thread(target=serve))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
for t in threads:
    t.start()
ids = [t.native_id for t in threads]
generator = (a * b for a in range(1000) for b in range(1000))
for _ in range(123_456):
    next(generator)
say("READY")
signal.sigwait([signal.SIGUSR1])

assert next(generator) == 123 * 456, "a suspended generator lost its place"
for i in range(0, SIZE, 1000):
    work.put(i)
for i in range(0, SIZE, 1000):
    assert done.get(timeout=30) == (i, f"value {i * 7919}", [i, -i])
stop.set()
work.put(None)
for t in threads:
    t.join(30)
    assert not t.is_alive(), t
assert len(table) == SIZE
for i, (key, value) in enumerate(table.items()):
    assert key == f"key {i}" and value == (i, f"value {i * 7919}", [i, -i]), key
for _ in range(4):
    name, steps, digest = done.get(timeout=30)
    again = name.encode()
    for _ in range(steps):
        again = hashlib.sha256(again).digest()
    assert again == digest, f"{name} went wrong within {steps} steps"
    assert [s for n, s in order if n == name] == list(range(5000, steps + 1, 5000)), name
assert [t.native_id for t in threads] == ids
say("PASS")
