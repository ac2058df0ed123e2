"""Makes the known-answer vectors anew, or checks those that are there with the real cursive.

    /usr/bin/python3 scripts/vectors.py check
    /usr/bin/python3 scripts/vectors.py make

Needs openssl, and Debian's python3-cursive. `make` draws new keys and signatures; what each vector
must lead to is written in scripts/known_answers, and nothing is replaced when cursive contradicts it.
"""
import glob
import json
import os
import subprocess
import sys

import cryptography
from known_answers import algorithms, ask, certificates, signatures, texts
from known_answers.vector import to_text

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors")
GROUPS = (algorithms, signatures, texts, certificates)


def all_vectors():
    """With the versions of the makers, and no name twice."""
    makers = {
        "openssl": subprocess.check_output(["openssl", "version"], text=True).rsplit(" (")[0],
        "python-cryptography": "python-cryptography " + cryptography.__version__,
    }
    vectors = [vector for group in GROUPS for vector in group.vectors()]
    names = {vector["name"] for vector in vectors}
    assert len(names) == len(vectors), "two vectors have the same name"
    return [{**vector, "madeBy": makers[vector["madeBy"]]} for vector in vectors]


def committed():
    vectors = []
    for file in sorted(glob.glob(os.path.join(FOLDER, "*.json"))):
        with open(file) as text:
            vectors.append(json.load(text))
    return vectors


def require_agreement(vectors):
    faults = list(ask.contradictions(vectors))
    if faults:
        sys.exit("\n".join(faults))
    versions = (len(vectors), cryptography.__version__, ask.column())
    print("%d vectors: cursive with cryptography %s says what they expect (%s)" % versions)


def replace(vectors):
    for file in glob.glob(os.path.join(FOLDER, "*.json")):
        os.remove(file)
    for vector in vectors:
        with open(os.path.join(FOLDER, vector["name"] + ".json"), "w") as file:
            file.write(to_text(vector))


def make():
    vectors = all_vectors()
    require_agreement(vectors)
    replace(vectors)


def check():
    vectors = committed()
    if not vectors:
        sys.exit("no vectors in %s" % os.path.normpath(FOLDER))
    require_agreement(vectors)


COMMANDS = {"make": make, "check": check}

if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        sys.exit("usage: python3 scripts/vectors.py make|check")
    COMMANDS[sys.argv[1]]()
