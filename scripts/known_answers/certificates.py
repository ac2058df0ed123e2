"""Certificates as key managers come to hold them."""
import base64
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from known_answers import keys
from known_answers.material import DAYS, openssl, openssl_pss, write
from known_answers.vector import ACCEPT, IMAGE, INVALID, VARIES, content_of, crash, vector

content = content_of(IMAGE)
MALFORMED = "signature-malformed"
REFUSED = (crash("ValueError"), MALFORMED)


def relabelled(pem, label):
    return pem.replace(b"CERTIFICATE", label)


def dated(key, begin, end):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "volseal vector of another time")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.private.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(datetime.datetime(begin, 1, 1))
    builder = builder.not_valid_after(datetime.datetime(end, 1, 1))
    certificate = builder.sign(key.private, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM)


def version_one(key):
    """As the guides make it: a request that is signed with its own key, no extensions."""
    request = write("request", key.request())
    return openssl("x509", "-req", "-in", request, "-signkey", key.file, "-days", DAYS)


def exponent_one(key):
    """The exponent of the key becomes 1: then every number is its own signature."""
    der = bytearray(openssl("x509", "-outform", "DER", stdin=key.certificate))
    place = der.index(bytes.fromhex("020103"))
    der[place + 2] = 1
    text = base64.encodebytes(bytes(der)).decode()
    return ("-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n" % text).encode()


def accepted():
    """By cursive and by volseal, strict or not."""
    key = keys.rsa(2048)
    pem = key.certificate
    other = keys.curve("secp384r1")
    rows = (
        ("plain", "One PEM block.", pem),
        ("crlf", "Lines with the ends of another system.", pem.replace(b"\n", b"\r\n")),
        ("no-final-newline", "Nothing behind the last dash.", pem.rstrip(b"\n")),
        ("text-prefix", "What openssl x509 -text prints.", openssl("x509", "-text", stdin=pem)),
        ("text-behind", "Text behind the block.", pem + b"This is no PEM.\n"),
        ("key-in-front", "A private key in front of the certificate (another's, which nobody uses).", other.pem + pem),
        ("key-behind", "A private key behind the certificate.", pem + other.pem),
        ("chain", "The first certificate counts.", pem + other.certificate),
        ("version-1", "As the guides make it: version 1, no extensions.", version_one(key)),
    )  # fmt: skip
    for name, reason, certificate in rows:
        yield certified(name, reason, certificate, ACCEPT, "accepted")


def certified(name, reason, certificate, cursive, volseal):
    signature = openssl_pss(keys.rsa(2048), "SHA-256", content)
    return vector("certificate-" + name, reason, "openssl", signature, certificate, cursive, volseal)


def judged_otherwise():
    """volseal's strict rules differ."""
    key = keys.rsa(2048)
    pem = key.certificate
    der = openssl("x509", "-outform", "DER", stdin=pem)
    damaged = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"
    untrusted = ("certificate-untrusted", "accepted")
    lenient = ("accepted", MALFORMED)
    rows = (
        ("expired", "cursive asks for no dates.", dated(key, 2016, 2017), ACCEPT, untrusted),
        ("not-yet-valid", "cursive asks for no dates.", dated(key, 2120, 2126), ACCEPT, untrusted),
        ("of-another-key", "A certificate of another key.", keys.another_rsa().certificate, INVALID, "signature-mismatch"),
        ("chain-other-first", "The first certificate counts, though the second has signed.", keys.another_rsa().certificate + pem, INVALID, "signature-mismatch"),
        ("label-x509", "An old PEM label that python-cryptography reads as well.", relabelled(pem, b"X509 CERTIFICATE"), ACCEPT, (MALFORMED, "accepted")),
        ("der", "DER where key managers hold PEM.", der, crash("ValueError"), lenient),
        ("damaged-block-behind", "python-cryptography reads every block, and fails at the damaged one.", pem + damaged, crash("ValueError"), lenient),
        ("blanks-in-base64", "python-cryptography takes no blanks there; at some version between 38 and 50 it began to.", pem.replace(b"MII", b"M II", 1), (crash("ValueError"), VARIES, VARIES), lenient),
    )  # fmt: skip
    for row in rows:
        yield certified(*row)
    name = "certificate-exponent-1"
    signature = faked(key)
    reason = (
        "With an RSA exponent of 1 everybody can sign: the signature is the encoded message."
        " python-cryptography 38 takes such a key, 50 does not."
    )
    yield vector(
        name, reason, "python-cryptography", signature, exponent_one(keys.another_rsa()),
        (ACCEPT, VARIES, VARIES), (MALFORMED, "accepted"),
    )  # fmt: skip


def faked(key):
    """What the private key's power undoes: the encoded message of a good signature."""
    numbers = key.private.public_key().public_numbers()
    signature = openssl_pss(key, "SHA-256", content)
    number = pow(int.from_bytes(signature, "big"), numbers.e, numbers.n)
    return number.to_bytes(256, "big")


def no_certificate():
    key = keys.rsa(2048)
    pem = key.certificate
    rows = (
        ("trusted-label", "openssl's own form, TRUSTED CERTIFICATE.", openssl("x509", "-trustout", "-addtrust", "emailProtection", stdin=pem)),
        ("request", "A request for a certificate.", key.request()),
        ("public-key", "Only the public key.", openssl("pkey", "-pubout", stdin=key.pem)),
        ("empty", "Nothing.", b""),
        ("base64-of-pem", "Base64 of PEM, stored once too often encoded.", base64.encodebytes(pem)),
        ("text", "Text.", b"the certificate\n"),
        ("cut", "The block breaks off.", pem[: len(pem) // 2]),
    )  # fmt: skip
    for name, reason, certificate in rows:
        yield certified(name, reason, certificate, *REFUSED)


def vectors():
    for group in (accepted, judged_otherwise, no_certificate):
        yield from group()
