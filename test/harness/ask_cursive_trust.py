"""Asks cursive's certificate_utils about certificates, as nova does with what it has fetched.

Reads one JSON object a line from standard input: signer, and certificates, those that nova is told to trust (PEM
each); their ids are their places in the list, from 0 on. Answers each with one line: {"outcome": "accept"}, "refuse" with
cursive's message, "crash" with the name of the Python error that escapes, or "endless" where cursive never ends.
"""
import json
import logging
import os
import resource
import sys

from cryptography import x509
from cursive import certificate_utils, exception

# Of processor time: a path takes milliseconds; what has not ended by then goes on for ever.
SECONDS = 3

logging.disable(logging.CRITICAL)


def read(pem):
    return x509.load_pem_x509_certificate(pem.encode("ascii"))


def verify(signer, certificates):
    trusted = [(str(place), read(pem)) for place, pem in enumerate(certificates)]
    context = certificate_utils.CertificateVerificationContext(trusted)
    try:
        context.update(read(signer))
        context.verify()
    except exception.SignatureVerificationError as error:
        return {"outcome": "refuse", "message": str(error)}
    except Exception as error:  # whatever is raised is the answer
        return {"outcome": "crash", "error": type(error).__name__}
    return {"outcome": "accept"}


def in_child(request):
    """In a process of its own, which the kernel ends when it has had its time."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.write(writing, json.dumps(verify(**request)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.wait()
    return text or json.dumps({"outcome": "endless"})


for line in sys.stdin:
    print(in_child(json.loads(line)), flush=True)
