"""Decodes texts as cursive and castellan do.

Reads {"what": "base64" | "certificate", "texts": [...]} from standard input; answers with a JSON list:
the decoded bytes as hex, or null where an error is raised.
"""
import json
import sys

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from oslo_serialization import base64


def certificate(text):
    loaded = x509.load_pem_x509_certificate(text.encode("latin-1"))
    return loaded.public_bytes(serialization.Encoding.DER)


DECODERS = {"base64": base64.decode_as_bytes, "certificate": certificate}


def decode(decoder, text):
    try:
        return decoder(text).hex()
    except (TypeError, ValueError):
        return None


request = json.load(sys.stdin)
decoder = DECODERS[request["what"]]
print(json.dumps([decode(decoder, text) for text in request["texts"]]))
