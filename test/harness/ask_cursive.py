"""Verifies images with the real cursive, as glance, nova and cinder do.

Reads one JSON object a line from standard input: certificate (its bytes as Latin-1 text), signature, hash, keyType,
image (path); certificateId where it is not a given. A null is a property that is missing. Answers each with one line: {"ok": true} or {"ok": false, "error": "Class: text"}.
Only the network is left out: the key manager is an object that loads the PEM as castellan's
BarbicanKeyManager does.
"""
import json
import sys

import castellan.key_manager
from castellan.common.objects import x_509
from cryptography import x509
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import serialization

from cursive import signature_utils


class OneCertificate:
    def __init__(self, pem):
        self.pem = pem

    def get(self, context, certificate_id):
        certificate = x509.load_pem_x509_certificate(self.pem.encode("latin-1"), default_backend())
        return x_509.X509(certificate.public_bytes(serialization.Encoding.DER))


def verify(request):
    manager = OneCertificate(request["certificate"])
    castellan.key_manager.API = lambda *args, **kwargs: manager
    signature_utils.key_manager.API = castellan.key_manager.API
    verifier = signature_utils.get_verifier(
        None,
        request.get("certificateId", "id"),
        request["hash"],
        request["signature"],
        request["keyType"],
    )
    with open(request["image"], "rb") as image:
        for piece in iter(lambda: image.read(1 << 20), b""):
            verifier.update(piece)
    verifier.verify()


for line in sys.stdin:
    try:
        verify(json.loads(line))
        answer = {"ok": True}
    except Exception as error:  # whatever cursive raises is its answer
        answer = {"ok": False, "error": "%s: %s" % (type(error).__name__, error)}
    print(json.dumps(answer), flush=True)
