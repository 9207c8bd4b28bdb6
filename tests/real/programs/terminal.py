# Holds a terminal for another program, as a terminal emulator does: bytes from a FIFO are typed, what
# the program writes goes to a file. Both ends of the terminal so belong to one tree of processes.
#   terminal.py FIFO SCREEN PROGRAM ARGUMENT...
import fcntl
import os
import pty
import select
import struct
import sys
import termios

fifo = os.open(sys.argv[1], os.O_RDWR)
screen = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
pid, master = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    os.environ["TERM"] = "xterm"
    os.execvp(sys.argv[3], sys.argv[3:])
poll = select.epoll()
poll.register(fifo, select.EPOLLIN)
poll.register(master, select.EPOLLIN)
while True:
    for fd, _ in poll.poll():
        try:
            data = os.read(fd, 65536)
        except OSError:
            data = b""
        if fd == fifo:
            os.write(master, data)
        elif data:
            os.write(screen, data)
        else:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
