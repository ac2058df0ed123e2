"""What the cursive that is installed says of vectors, each with the error's class and text."""
import json
import os
import subprocess
import sys

import cryptography
from known_answers.material import write
from known_answers.vector import VARIES, certificate_of, content_of

SCRIPT = os.path.join(
    os.path.dirname(__file__), "..", "..", "test", "harness", "ask_cursive.py"
)
OWN_ERRORS = ("InvalidSignature", "SignatureVerificationError")


def column():
    """Which of the three expectations is that of the python-cryptography here."""
    major = int(cryptography.__version__.split(".")[0])
    return "strict" if major <= 41 else "lenient" if major <= 46 else "newest"


def ask(vectors):
    requests = [request(vector, index) for index, vector in enumerate(vectors)]
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    answers = subprocess.run(
        [sys.executable, SCRIPT], input=lines, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return [outcome(json.loads(line)) for line in answers.splitlines()]


def request(vector, index):
    properties = vector["properties"]
    return {
        "certificate": certificate_of(vector).decode("latin-1"),
        "signature": properties.get("img_signature"),
        "hash": properties.get("img_signature_hash_method"),
        "keyType": properties.get("img_signature_key_type"),
        "certificateId": properties.get("img_signature_certificate_uuid"),
        "image": write("asked-%d" % index, content_of(vector["image"])),
    }


def outcome(answer):
    if answer["ok"]:
        return {"outcome": "accept"}
    error, _, message = answer["error"].partition(": ")
    if error not in OWN_ERRORS:
        return {"outcome": "crash", "error": error}
    refusal = {"outcome": "refuse", "error": error}
    return {**refusal, "message": message} if message else refusal


def contradictions(vectors):
    """Lines about the vectors of which the cursive here says something else than they expect."""
    which = column()
    for vector, said in zip(vectors, ask(vectors)):
        expected = vector["expect"]["cursive"][which]
        if expected != VARIES and said != expected:
            yield "%s: expected %s, cursive says %s" % (vector["name"], expected, said)
