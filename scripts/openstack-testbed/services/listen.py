"""Binds loopback ports, says which, and becomes the service that it is then told to be.

Usage: listen.py REPORT_FD PORT...   (0 takes any free port)

A service that inherits its sockets cannot lose its port to another program. The ports go to
REPORT_FD as one JSON line; then one JSON line is read from standard input: the command. When there
is none, because who started us has died, nothing is left behind. The sockets become descriptors 3,
4 and so on.
"""
import errno
import json
import os
import random
import socket
import sys
import time

# Below the ports that Linux gives to outgoing connections, so that a service that is started again
# finds its port free.
RANGE = range(20000, 32000)
PATIENCE_SECONDS = 5


def bound(port):
    """A socket on that port, or None when the port is taken."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return listener


def listen(port):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        listener = bound(port or random.choice(RANGE))
        if listener is not None:
            return listener
        if time.monotonic() > deadline:
            sys.exit("port %d is in use by another program" % port)
        if port:
            time.sleep(0.05)


def become(command, listeners):
    # First out of the way of each other, then to their places.
    held = [os.dup(listener.fileno()) for listener in listeners]
    high = [os.dup2(fd, 100 + index) for index, fd in enumerate(held)]
    os.closerange(3, 100)
    for index, fd in enumerate(high):
        os.dup2(fd, 3 + index)
        os.close(fd)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.execvp(command[0], command)


def main():
    listeners = [listen(int(port)) for port in sys.argv[2:]]
    ports = [listener.getsockname()[1] for listener in listeners]
    with os.fdopen(int(sys.argv[1]), "w") as report:
        print(json.dumps(ports), file=report)
    line = sys.stdin.readline()
    if line:
        become(json.loads(line), listeners)


main()
