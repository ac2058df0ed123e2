"""The listening sockets that listen.py passes on."""
import socket

import eventlet

FIRST_FD = 3


def inherited_socket(index=0):
    return socket.socket(fileno=FIRST_FD + index)


def serve_inherited():
    """Whatever this process wants to listen on, it gets the one socket that it was started with."""
    eventlet.listen = lambda *args, **kwargs: inherited_socket()
