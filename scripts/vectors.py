"""Makes the known-answer vectors anew, or checks those that are there with the real cursive.

    /usr/bin/python3 scripts/vectors.py check
    /usr/bin/python3 scripts/vectors.py make [images | paths]

Needs openssl, and Debian's python3-cursive. `make` draws new keys and signatures, of all vectors or of one
family; what each vector must lead to is written in scripts/known_answers, and nothing is replaced when
cursive contradicts it.
"""
import glob
import json
import os
import subprocess
import sys

import cryptography
from known_answers import algorithms, ask, ask_paths, certificates, paths, signatures, texts
from known_answers.vector import to_text

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "vectors")


class Family:
    """Vectors of one schema: who makes them, and who is asked about them."""

    def __init__(self, schema, groups, peer):
        self.schema = schema
        self.groups = groups
        self.peer = peer

    def has(self, vector):
        return vector["schema"] == self.schema


FAMILIES = {
    "images": Family("volseal/vector/1", (algorithms, signatures, texts, certificates), ask),
    "paths": Family("volseal/path-vector/1", (paths,), ask_paths),
}


def drawn(families):
    """With the versions of the makers, and no name twice."""
    makers = {
        "openssl": subprocess.check_output(["openssl", "version"], text=True).rsplit(" (")[0],
        "python-cryptography": "python-cryptography " + cryptography.__version__,
    }
    groups = [group for family in families for group in family.groups]
    vectors = [vector for group in groups for vector in group.vectors()]
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
    faults = []
    for family in FAMILIES.values():
        faults += family.peer.contradictions([vector for vector in vectors if family.has(vector)])
    if faults:
        sys.exit("\n".join(faults))
    versions = (len(vectors), cryptography.__version__, ask.column())
    print("%d vectors: cursive with cryptography %s says what they expect (%s)" % versions)


def replace(families, vectors):
    for old in committed():
        if any(family.has(old) for family in families):
            os.remove(os.path.join(FOLDER, old["name"] + ".json"))
    for vector in vectors:
        with open(os.path.join(FOLDER, vector["name"] + ".json"), "w") as file:
            file.write(to_text(vector))


def make(*names):
    families = [FAMILIES[name] for name in names or FAMILIES]
    vectors = drawn(families)
    require_agreement(vectors)
    replace(families, vectors)


def check():
    vectors = committed()
    if not vectors:
        sys.exit("no vectors in %s" % os.path.normpath(FOLDER))
    require_agreement(vectors)


COMMANDS = {"make": make, "check": check}
USAGE = "usage: python3 scripts/vectors.py check | make [%s]" % " | ".join(FAMILIES)

if __name__ == "__main__":
    command, *names = sys.argv[1:] or ("",)
    is_known = command == "check" and not names or command == "make" and set(names) <= set(FAMILIES)
    if not is_known:
        sys.exit(USAGE)
    COMMANDS[command](*names)
