"""Runs programs on terminals of their own, and answers their questions.

Standard input: a JSON list of [argv, question, answer or name of a signal]. Printed for each: its exit
code, what the terminal showed, and whether it showed what was typed, while the question stood and
after the program had ended.
"""
import fcntl
import json
import os
import pty
import signal
import sys
import termios


def shows_typing(terminal):
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


def converse(argv, question, answer):
    # The program's end of the terminal is kept open here too, so that it can be looked at afterwards.
    master, slave = pty.openpty()
    child = os.fork()
    if child == 0:
        os.close(master)
        become_leader(slave)
        os.execvp(argv[0], argv)
    output = b""
    while question.encode() not in output:
        output += os.read(master, 1024)
    asked = shows_typing(slave)
    if answer.startswith("SIG"):
        os.kill(child, getattr(signal, answer))
    else:
        os.write(master, answer.encode())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    after = shows_typing(slave)
    os.close(slave)
    try:
        while piece := os.read(master, 1024):
            output += piece
    except OSError:
        pass
    return {"code": code, "output": output.decode(), "echo": [asked, after]}


def become_leader(slave):
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for descriptor in (0, 1, 2):
        os.dup2(slave, descriptor)


print(json.dumps([converse(*request) for request in json.load(sys.stdin)]))
