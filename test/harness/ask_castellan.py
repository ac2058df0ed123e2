"""castellan's Barbican key manager, and cursive on top of it, as glance, nova and cinder use them.

Reads one JSON object from standard input: keystone, barbican (addresses), user, password, project,
and a request: {"do": "store", type, payload, name} | {"do": "get" | "delete", id} |
{"do": "verify", certificate (an id), signature, hash, keyType, image (path)}. Payloads are base64.
Answers with one line: {"ok": true, ...} or {"ok": false, "error": "Class: text"}.
"""
import base64
import json
import sys

from castellan import key_manager
from castellan.common.credentials.keystone_password import KeystonePassword
from castellan.common.objects import (
    opaque_data,
    passphrase,
    private_key,
    symmetric_key,
    x_509,
)
from oslo_config import cfg

from cursive import signature_utils

TYPES = {
    "certificate": lambda payload, name: x_509.X509(payload, name=name),
    "opaque": lambda payload, name: opaque_data.OpaqueData(payload, name=name),
    "passphrase": lambda payload, name: passphrase.Passphrase(payload, name=name),
    "private": lambda payload, name: private_key.PrivateKey("RSA", 2048, payload, name=name),
    "symmetric": lambda payload, name: symmetric_key.SymmetricKey(
        "aes", len(payload) * 8, payload, name=name
    ),
}


def configure(asked):
    conf = cfg.CONF
    conf([], project="castellan", default_config_files=[])
    key_manager.API(conf)  # registers the options
    conf.set_override("backend", "barbican", "key_manager")
    conf.set_override("auth_endpoint", asked["keystone"], "barbican")
    conf.set_override("barbican_endpoint", asked["barbican"], "barbican")


def credentials(asked):
    return KeystonePassword(
        auth_url=asked["keystone"],
        username=asked["user"],
        password=asked["password"],
        project_name=asked["project"],
        user_domain_name="Default",
        project_domain_name="Default",
    )


def store(context, request):
    payload = base64.b64decode(request["payload"])
    managed = TYPES[request["type"]](payload, request["name"])
    return {"id": key_manager.API().store(context, managed)}


def get(context, request):
    managed = key_manager.API().get(context, request["id"])
    payload = managed.get_encoded()
    if isinstance(payload, str):
        payload = payload.encode()
    return {
        "type": managed.managed_type(),
        "payload": base64.b64encode(payload).decode(),
    }


def delete(context, request):
    key_manager.API().delete(context, request["id"])
    return {}


def verify(context, request):
    verifier = signature_utils.get_verifier(
        context,
        request["certificate"],
        request["hash"],
        request["signature"],
        request["keyType"],
    )
    with open(request["image"], "rb") as image:
        for piece in iter(lambda: image.read(1 << 20), b""):
            verifier.update(piece)
    verifier.verify()
    return {}


REQUESTS = {"store": store, "get": get, "delete": delete, "verify": verify}


def answer(asked):
    request = asked["request"]
    configure(asked)
    try:
        return {"ok": True, **REQUESTS[request["do"]](credentials(asked), request)}
    except Exception as error:  # whatever castellan or cursive raises is its answer
        return {"ok": False, "error": "%s: %s" % (type(error).__name__, error)}


print(json.dumps(answer(json.load(sys.stdin))))
