"""What can stand in the four properties: base64 as Python reads it, and names."""
import re

from known_answers import keys
from known_answers.material import openssl_pss, openssl_sign
from known_answers.vector import ACCEPT, IMAGE, INVALID, content_of, crash, encode, refusal, vector

content = content_of(IMAGE)

MALFORMED = "signature-malformed"
LENIENT = (MALFORMED, "accepted")
BASE64 = refusal("The signature data was not properly encoded using base64")
NOTHING = refusal("Error occurred while creating the verifier")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def lines(text, width, end):
    return "".join(line + end for line in re.findall(".{1,%d}" % width, text))


def with_both_foreign(key):
    """A signature whose base64 has + and /, so many that what is left of it are whole quads."""
    while True:
        text = encode(openssl_pss(key, "SHA-256", content))
        if "+" in text and "/" in text and (text.count("+") + text.count("/")) % 4 == 0:
            return text


def trailing_bits(text):
    """256 bytes end with a character that carries four bits of no byte."""
    last = text.index("=") - 1
    return text[:last] + ALPHABET[ALPHABET.index(text[last]) + 1] + text[last + 1 :]


def padded():
    """The base64 of 256 bytes: 342 characters and ==."""
    key = keys.rsa(2048)
    good = encode(openssl_pss(key, "SHA-256", content))
    url_safe = with_both_foreign(key).replace("+", "-").replace("/", "_")
    skipped = "Python skips what is no base64; volseal's strict rules want one line of it."
    rows = (
        ("lines-of-64", "The lines of a mail or a PEM file. " + skipped, lines(good, 64, "\n"), ACCEPT, LENIENT),
        ("lines-of-76-crlf", "The lines of base64, with the ends of another system. " + skipped, lines(good, 76, "\r\n"), ACCEPT, LENIENT),
        ("final-newline", "A line's end behind it, as base64 FILE prints it. " + skipped, good + "\n", ACCEPT, LENIENT),
        ("spaces-around", skipped, "  " + good + " ", ACCEPT, LENIENT),
        ("foreign-characters", skipped, "~*" + good[:9] + "!{}" + good[9:], ACCEPT, LENIENT),
        ("nul", skipped, good[:50] + "\0" + good[50:], ACCEPT, LENIENT),
        ("url-safe", "Url-safe base64: Python skips - and _, so that other bytes come out.", url_safe, INVALID, (MALFORMED, "signature-mismatch")),
        ("bytes-text", "The text of a Python bytes object, as the official client stores it: its b is base64 too, which shifts all.", "b'%s'" % good, INVALID, (MALFORMED, "signature-mismatch")),
        ("text-behind-padding", "Python stops where the padding is complete.", good + "QUJD", ACCEPT, LENIENT),
        ("junk-behind-padding", "Python stops where the padding is complete.", good + "=A=\t%", ACCEPT, LENIENT),
        ("padding-too-long", "Python stops where the padding is complete.", good + "==", ACCEPT, LENIENT),
        ("padding-in-two-lines", "The newline within the padding is skipped.", good[:-1] + "\n=", ACCEPT, LENIENT),
        ("trailing-bits", "The last character carries bits of no byte, which Python drops.", trailing_bits(good), ACCEPT, LENIENT),
        ("padding-missing", "Without its padding.", good[:-2], BASE64, MALFORMED),
        ("padding-too-short", "With one = of two.", good[:-1], BASE64, MALFORMED),
        ("padding-broken-by-text", "The character between the two = takes the first one back and is the quad's third: one byte too many.", good[:-1] + "A=", INVALID, (MALFORMED, "signature-mismatch")),
        ("padding-in-front", "Padding with nothing before it counts as nothing.", "==" + good, ACCEPT, LENIENT),
        ("padding-after-one", "One = after one character counts as nothing.", good[:1] + "=" + good[1:], ACCEPT, LENIENT),
        ("padding-in-the-middle", "Complete padding in the middle ends it there: too short a signature.", good[:22] + "==" + good[22:], INVALID, (MALFORMED, "signature-mismatch")),
        ("cut", "The text breaks off within a quad.", good[:101], BASE64, MALFORMED),
        ("cut-at-quad", "The text breaks off after a quad: base64, but too short a signature.", good[:100], INVALID, "signature-mismatch"),
        ("twice", "Base64 of base64.", encode(good.encode()), INVALID, "signature-mismatch"),
        ("hex", "Hexadecimal is base64 as well, of other bytes.", openssl_pss(key, "SHA-256", content).hex(), INVALID, "signature-mismatch"),
        ("slashes", "Three characters are no quad.", "///", BASE64, MALFORMED),
        ("empty", "Nothing.", "", NOTHING, MALFORMED),
        ("only-foreign", "Nothing that is base64.", " -_- ", NOTHING, MALFORMED),
        ("only-padding", "Nothing but padding.", "====", NOTHING, MALFORMED),
        ("not-ascii", "Characters that are not ASCII escape cursive as an error of Python's.", "\u00e9" + good, crash("ValueError"), MALFORMED),
        ("full-width", "Letters that only look like base64.", "\uff21" + good[1:], crash("ValueError"), MALFORMED),
    )  # fmt: skip
    for name, reason, text, cursive, volseal in rows:
        yield vector("base64-" + name, reason, "openssl", text, key.certificate, cursive, volseal)


def unpadded():
    """The base64 of 384 bytes: 512 characters and no padding."""
    key = keys.rsa(3072)
    good = encode(openssl_pss(key, "SHA-256", content))
    rows = (
        ("one-padding-too-many", "= after a whole quad counts as nothing.", good + "="),
        ("four-paddings-too-many", "= after a whole quad counts as nothing.", good + "===="),
    )
    for name, reason, text in rows:
        yield vector("base64-" + name, reason, "openssl", text, key.certificate, ACCEPT, LENIENT)


def hash_names():
    key = keys.rsa(2048)
    good = openssl_pss(key, "SHA-256", content)
    rows = (
        ("lower-case", "sha-256"),
        ("without-dash", "SHA256"),
        ("blank-behind", "SHA-256 "),
        ("cut", "SHA-2"),
        ("sha-1", "SHA-1"),
        ("md5", "MD5"),
        ("sha3-256", "SHA3-256"),
        ("sha-512-256", "SHA-512/256"),
        ("empty", ""),
    )
    for called, name in rows:
        yield vector(
            "hash-name-" + called,
            "%r is no hash that cursive knows: the names are exact." % name,
            "openssl", good, key.certificate,
            refusal("Invalid signature hash method: %s" % name), MALFORMED, hash_name=name,
        )  # fmt: skip


def key_type_names():
    rsa, ec = keys.rsa(2048), keys.curve("secp384r1")
    rows = (
        ("rsa", rsa, "RSA"),
        ("rsa-lower-case", rsa, "rsa-pss"),
        ("rsa-blank-behind", rsa, "RSA-PSS "),
        ("rsa-underscore", rsa, "RSA_PSS"),
        ("eddsa", rsa, "EdDSA"),
        ("empty", rsa, ""),
        ("without-ecc", ec, "SECP384R1"),
        ("ecc-secp256r1", ec, "ECC_SECP256R1"),
        ("ecc-lower-case", ec, "ECC_secp384r1"),
        ("ecdsa", ec, "ECDSA"),
    )
    for called, key, name in rows:
        sign = openssl_pss if key is rsa else openssl_sign
        yield vector(
            "key-type-name-" + called,
            "%r is no key type that cursive knows: the names are exact%s." % (name, HINTS.get(name, "")),
            "openssl", sign(key, "SHA-256", content), key.certificate,
            refusal("Invalid signature key type: %s" % name), MALFORMED, key_type=name,
        )  # fmt: skip


HINTS = {"SECP384R1": ", and begin with ECC_, which glance's and nova's documents leave out"}


def order():
    """What is looked at first, where more than one thing is wrong."""
    key = keys.rsa(2048)
    good = openssl_pss(key, "SHA-256", content)
    yield vector(
        "order-base64-first", "The base64 is looked at before the names and the certificate.",
        "openssl", "///", b"", BASE64, MALFORMED, hash_name="MD5", key_type="RSA",
    )  # fmt: skip
    yield vector(
        "order-hash-second", "The hash is looked at before the key type and the certificate.",
        "openssl", good, b"", refusal("Invalid signature hash method: MD5"), MALFORMED,
        hash_name="MD5", key_type="RSA",
    )  # fmt: skip
    yield vector(
        "order-key-type-third", "The key type is looked at before the certificate.",
        "openssl", good, b"", refusal("Invalid signature key type: RSA"), MALFORMED,
        key_type="RSA",
    )  # fmt: skip


NAMES = (
    "img_signature",
    "img_signature_hash_method",
    "img_signature_key_type",
    "img_signature_certificate_uuid",
)


def missing():
    key = keys.rsa(2048)
    good = openssl_pss(key, "SHA-256", content)
    sets = [(name,) for name in NAMES] + [NAMES[:2], NAMES[1:], NAMES]
    for without in sets:
        yield vector(
            "missing-%s" % ("all" if without == NAMES else "-and-".join(short(n) for n in without)),
            "%s not there. %s" % (", ".join(without) + (" are" if without[1:] else " is"), THREE_WAYS),
            "openssl", good, key.certificate, refusal(MISSING % first_missing(without)),
            "unsigned", without=without,
        )  # fmt: skip


def short(name):
    return name.replace("img_signature_", "").replace("img_signature", "signature").replace("_", "-")


THREE_WAYS = (
    "The services ask cursive only with all four: without one glance takes the image as unsigned and"
    " nova refuses it; cinder takes it as unsigned when all are missing, and refuses it when some are."
)
MISSING = (
    "Required image properties for signature verification do not exist. Cannot verify signature."
    " Missing property: %s"
)


def first_missing(without):
    """cursive asks in this order, and misspells the first."""
    order = (NAMES[3], NAMES[1], NAMES[0], NAMES[2])
    first = next(name for name in order if name in without)
    return "img_signature_uuid" if first == NAMES[3] else first


def vectors():
    for group in (padded, unpadded, hash_names, key_type_names, order, missing):
        yield from group()
