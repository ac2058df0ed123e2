"""Verifies images with the real cursive, castellan and barbicanclient, as glance, nova and cinder do.

Reads one JSON object a line from standard input; bytes are Latin-1 text:
  signature, hash, keyType, id  text, or null for a property that is missing
  status                        what Barbican answers to a request for the secret
  secretType, contentType       of the secret
  payload, image                bytes
Answers each with one line: {"ok": true} or {"ok": false, "error": "Class: text"}.
Only HTTP itself is left out: the answers of Barbican are in the request.
"""
import json
import logging
import sys

from barbicanclient import exceptions
from barbicanclient.v1 import secrets
from castellan.key_manager import barbican_key_manager
from cursive import signature_utils

logging.disable(logging.CRITICAL)


class Api:
    """barbicanclient's connection: what Barbican answers to GET."""

    def __init__(self, request):
        self.request = request

    def get(self, path, params=None):
        status = self.request["status"]
        if status >= 500:
            raise exceptions.HTTPServerError("error", status)
        if status >= 400:
            raise exceptions.HTTPClientError("error", status)
        return {
            "secret_ref": path,
            "secret_type": self.request["secretType"],
            "content_types": {"default": self.request["contentType"]},
            "status": "ACTIVE",
            "created": "2026-01-01T00:00:00",
        }

    def _get_raw(self, path, **kwargs):
        return self.request["payload"].encode("latin-1")


class Client:
    def __init__(self, request):
        self.secrets = secrets.SecretManager(Api(request))


class KeyManager(barbican_key_manager.BarbicanKeyManager):
    """castellan's, without its configuration."""

    def __init__(self, request):
        self._base_url = "http://barbican/v1"
        self.client = Client(request)

    def _get_barbican_client(self, context):
        return self.client


def verify(request):
    signature_utils.key_manager.API = lambda: KeyManager(request)
    verifier = signature_utils.get_verifier(
        None, request["id"], request["hash"], request["signature"], request["keyType"]
    )
    image = request["image"].encode("latin-1")
    for at in range(0, len(image), 1000):
        verifier.update(image[at : at + 1000])
    verifier.verify()


for line in sys.stdin:
    try:
        verify(json.loads(line))
        answer = {"ok": True}
    except Exception as error:  # whatever is raised is the answer
        answer = {"ok": False, "error": "%s: %s" % (type(error).__name__, error)}
    print(json.dumps(answer), flush=True)
