"""One vector: what it holds, how it becomes a file, and how its parts are read again."""
import base64
import json

SCHEMA = "volseal/vector/1"

# The image of every vector that is not about the image: longer than one block of any hash.
IMAGE = {"repeat": "An image that volseal's known-answer vectors sign. ", "length": 1009}

ACCEPT = {"outcome": "accept"}
INVALID = {"outcome": "refuse", "error": "InvalidSignature"}


def refusal(reason):
    """cursive's own error; it adds the first sentence and the full stop."""
    message = "Signature verification for the image failed: %s." % reason
    return {"outcome": "refuse", "error": "SignatureVerificationError", "message": message}


def crash(error):
    """An error of Python that cursive lets through; its text differs from version to version."""
    return {"outcome": "crash", "error": error}


# Where the versions of a range differ, or nobody has asked them all.
VARIES = {"outcome": "varies"}


def content_of(image):
    if "base64" in image:
        return base64.b64decode(image["base64"], validate=True)
    unit = image["repeat"].encode()
    return (unit * (image["length"] // len(unit) + 1))[: image["length"]]


def inline(content):
    return {"base64": base64.b64encode(content).decode()}


def certificate_of(vector):
    certificate = vector["certificate"]
    if "base64" in certificate:
        return base64.b64decode(certificate["base64"], validate=True)
    return certificate["text"].encode()


def as_certificate(content):
    try:
        return {"text": content.decode("ascii")}
    except UnicodeDecodeError:
        return inline(content)


def encode(signature):
    return base64.b64encode(signature).decode()


CERTIFICATE_ID = "5e55f4c3-7d3a-4d0b-8a3e-6f1c2d9b8a70"


def properties_of(signature, hash_name, key_type):
    """The four properties; one that is None is not there."""
    text = encode(signature) if isinstance(signature, bytes) else signature
    properties = {
        "img_signature": text,
        "img_signature_hash_method": hash_name,
        "img_signature_key_type": key_type,
        "img_signature_certificate_uuid": CERTIFICATE_ID,
    }
    return {name: value for name, value in properties.items() if value is not None}


def vector(name, reason, made_by, signature, certificate, cursive, volseal, **more):
    """`cursive`: one answer for all versions, or one each; `volseal`: one code, or strict's and cursive's."""
    answers = cursive if isinstance(cursive, tuple) else (cursive, cursive, cursive)
    codes = volseal if isinstance(volseal, tuple) else (volseal, volseal)
    hash_name, key_type = more.get("hash_name", "SHA-256"), more.get("key_type", "RSA-PSS")
    properties = properties_of(signature, hash_name, key_type)
    return {
        "schema": SCHEMA,
        "name": name,
        "reason": reason,
        "madeBy": made_by,
        "image": more.get("image", IMAGE),
        "properties": {k: v for k, v in properties.items() if k not in more.get("without", ())},
        "certificate": as_certificate(certificate),
        "expect": {
            "cursive": dict(zip(("strict", "lenient", "newest"), answers)),
            "volseal": dict(zip(("strict", "cursive"), codes)),
        },
    }


def to_text(value):
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"
