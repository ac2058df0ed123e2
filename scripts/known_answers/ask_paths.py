"""What the certificate_utils of the cursive that is installed, which only nova calls, says of paths."""
import json
import os
import subprocess
import sys

SCRIPT = os.path.join(
    os.path.dirname(__file__), "..", "..", "test", "harness", "ask_cursive_trust.py"
)


def ask(vectors):
    lines = "".join(json.dumps(request(vector)) + "\n" for vector in vectors)
    answers = subprocess.run(
        [sys.executable, SCRIPT], input=lines, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    return [json.loads(line) for line in answers.splitlines()]


def request(vector):
    """nova knows no difference between trusted and untrusted."""
    return {"signer": vector["signer"], "certificates": vector["trusted"] + vector["untrusted"]}


def contradictions(vectors):
    for vector, said in zip(vectors, ask(vectors)):
        expected = vector["expect"]["nova"]
        if said != expected:
            yield "%s: expected %s, cursive says %s" % (vector["name"], expected, said)
