# multiprocessing: a pool, a lock, a shared counter and a shared block; checked at SIGUSR1.
import multiprocessing
import signal
import sys
from multiprocessing import shared_memory


def say(text):
    with open(sys.argv[1], "a") as f:
        print(text, file=f, flush=True)


def square(x):
    return x * x


def count(value, lock, over, counted):
    n = 0
    while not over.is_set():
        with lock:
            value.value += 1
        n += 1
    counted.put(n)


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    value, lock = multiprocessing.Value("q", 0, lock=False), multiprocessing.Lock()
    over, counted = multiprocessing.Event(), multiprocessing.Queue()
    counters = [multiprocessing.Process(target=count, args=(value, lock, over, counted)) for _ in range(3)]
    for p in counters:
        p.start()
    block = shared_memory.SharedMemory(create=True, size=1 << 20)
    block.buf[:5] = b"hello"
    pool = multiprocessing.Pool(3)
    before = pool.map(square, range(1000))
    say("READY")
    signal.sigwait([signal.SIGUSR1])
    after = pool.map(square, range(1000))
    over.set()
    total = sum(counted.get() for _ in counters)
    for p in counters:
        p.join()
    again = shared_memory.SharedMemory(block.name)
    good = before == after and total == value.value and bytes(again.buf[:5]) == b"hello"
    again.close()
    block.close()
    block.unlink()
    pool.close()
    pool.join()
    say("PASS" if good else f"FAIL {before == after} {total} {value.value}")
