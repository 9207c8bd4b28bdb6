# asyncio on epoll: timers, a server, and a child that answers over pipes; checked at SIGUSR1.
import asyncio
import signal
import sys


def say(text):
    with open(sys.argv[1], "a") as f:
        print(text, file=f, flush=True)


async def main():
    loop, go = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, go.set)
    ticks, answers = [0] * 5, []

    async def tick(n):
        while not go.is_set():
            await asyncio.sleep(0.001 * (n + 1))
            ticks[n] += 1

    async def echo(reader, writer):
        writer.write((await reader.readline()).upper())
        writer.close()

    async def ask(child):
        n = 0
        while not go.is_set():
            n += 1
            child.stdin.write(b"%d\n" % n)
            answers.append(int(await child.stdout.readline()) == n)
            if n == 20:
                say("READY")

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    child = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    await asyncio.gather(ask(child), *(tick(n) for n in range(5)))
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"still there\n")
    line = await reader.readline()
    child.stdin.close()
    status = await child.wait()
    good = all(ticks) and all(answers) and line == b"STILL THERE\n" and status == 0
    say("PASS" if good else f"FAIL {ticks} {answers.count(False)} {line} {status}")


asyncio.run(main())
