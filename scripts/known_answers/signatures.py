"""Signatures and images that are not quite what they should be."""
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import utils

from known_answers import keys
from known_answers.material import (
    above_the_modulus,
    der_integer,
    der_sequence,
    faulty_pss,
    numbers_of,
    openssl_pss,
    openssl_sign,
    python_pss,
)
from known_answers.vector import ACCEPT, IMAGE, INVALID, content_of, inline, vector

content = content_of(IMAGE)
MISMATCH = "signature-mismatch"


def flipped(octets, bit):
    changed = bytearray(octets)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def refused(name, reason, maker, signature, key, **more):
    return vector(name, reason, maker, signature, key.certificate, INVALID, MISMATCH, **more)


def rsa_signatures():
    key = keys.rsa(2048)
    good = openssl_pss(key, "SHA-256", content)
    modulus = key.private.private_numbers().public_numbers.n
    sha1 = python_pss(key, "SHA-256", content, mgf=hashes.SHA1())
    rows = (
        ("truncated", "The last byte is missing: a signature is as long as the modulus (RFC 8017 §8.1.2).", good[:-1]),
        ("extended", "One byte too many.", good + b"\0"),
        ("leading-zero", "The same number with a zero in front, one byte too long.", b"\0" + good),
        ("half", "Only the first half.", good[:128]),
        ("one-byte", "A signature of one byte.", b"\1"),
        ("first-bit-flipped", "The first bit of the signature is another.", flipped(good, 7)),
        ("last-bit-flipped", "The last bit of the signature is another.", flipped(good, 8 * 255)),
        ("zero", "The number 0.", bytes(256)),
        ("one", "The number 1, which is its own power.", bytes(255) + b"\1"),
        ("modulus", "The modulus itself, which is no number below it (RFC 8017 §5.2.2).", modulus.to_bytes(256, "big")),
        ("above-modulus", "A valid signature plus the modulus.", above_the_modulus(key, "SHA-256", content)),
        ("mgf1-sha-1", "The mask is made with SHA-1, the default of RFC 8017; cursive wants the image's hash.", sha1),
        ("trailer-cc", "A PSS signature that ends with CC instead of BC.", faulty_pss(key, "SHA-256", content, trailer=0xCC)),
        ("padding-not-zero", "The byte in front of the salt's mark is not zero (RFC 8017 §9.1.2, step 10).", faulty_pss(key, "SHA-256", content, filler=b"\x02")),
    )  # fmt: skip
    for name, reason, signature in rows:
        yield refused("rsa-signature-" + name, reason, "python-cryptography", signature, key)
    for hash_name in ("SHA-224", "SHA-256", "SHA-384", "SHA-512"):
        yield refused(
            "rsa-signature-pkcs1-%s" % hash_name.lower(),
            "PKCS#1 v1.5, as openssl dgst makes without -sigopt rsa_padding_mode:pss.",
            "openssl", openssl_sign(key, hash_name, content), key, hash_name=hash_name,
        )  # fmt: skip
    yield refused(
        "rsa-signature-of-another-key", "Another key than the certificate's has signed.",
        "openssl", openssl_pss(keys.another_rsa(), "SHA-256", content), key,
    )  # fmt: skip


def der_signatures():
    key = keys.curve("secp384r1")
    yield from der_of("ecdsa", key, "ECC_SECP384R1")
    yield from der_of("dsa", keys.dsa(2048, 256), "DSA")


def der_of(family, key, key_type):
    good = openssl_sign(key, "SHA-256", content)
    r, s = numbers_of(good)
    size, order = (48, P384_ORDER) if family == "ecdsa" else (32, key.private.private_numbers().public_numbers.parameter_numbers.q)
    pair = der_integer(r) + der_integer(s)
    negative = bytes([2, size]) + (r | 1 << (8 * size - 1)).to_bytes(size, "big")
    rows = (
        ("truncated", "The last byte is missing.", good[:-1]),
        ("extended", "A byte behind the sequence.", good + b"\0"),
        ("raw", "r and s one behind the other (IEEE P1363), not their DER.", r.to_bytes(size, "big") + s.to_bytes(size, "big")),
        ("long-length", "The sequence's length takes more bytes than it needs: BER, not DER.", der_sequence(pair, long_form=True)),
        ("leading-zero", "r has a zero in front that it does not need: BER, not DER.", der_sequence(der_integer(r, b"\0\0") + der_integer(s))),
        ("r-zero", "r is 0.", utils.encode_dss_signature(0, s)),
        ("s-zero", "s is 0.", utils.encode_dss_signature(r, 0)),
        ("r-and-s-swapped", "s in front of r.", utils.encode_dss_signature(s, r)),
        ("r-above-order", "r plus the order of the group.", utils.encode_dss_signature(r + order, s)),
        ("r-negative", "r is a negative number.", der_sequence(negative + der_integer(s))),
        ("empty-sequence", "A sequence of nothing.", b"\x30\0"),
    )  # fmt: skip
    for name, reason, signature in rows:
        yield refused("%s-signature-%s" % (family, name), reason, "python-cryptography", signature, key, key_type=key_type)
    if family == "ecdsa":
        yield vector(
            "ecdsa-signature-s-negated",
            "s and the order minus s are both valid: a signature of ECDSA is not the only one.",
            "python-cryptography", utils.encode_dss_signature(r, order - s), key.certificate,
            ACCEPT, "accepted", key_type=key_type,
        )  # fmt: skip


# SEC 2, §2.5.1
P384_ORDER = int(
    "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
    "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973",
    16,
)


def images():
    key = keys.rsa(2048)
    good = openssl_pss(key, "SHA-256", content)
    rows = (
        ("first-bit-flipped", "The first bit of the image is another.", flipped(content, 7)),
        ("last-bit-flipped", "The last bit of the image is another.", flipped(content, 8 * 1008)),
        ("truncated", "The image's last byte is missing.", content[:-1]),
        ("extended", "A zero byte behind the image.", content + b"\0"),
        ("emptied", "A signature of another image than the empty one that is there.", b""),
    )
    for name, reason, image in rows:
        yield refused("image-" + name, reason, "openssl", good, key, image=inline(image))
    for hash_name, signed in (("SHA-512", "SHA-256"), ("SHA-224", "SHA-256"), ("SHA-256", "SHA-384")):
        yield refused(
            "image-hashed-with-%s-named-%s" % (signed.lower(), hash_name.lower()),
            "Signed with %s, which is not the hash that is named." % signed,
            "openssl", openssl_pss(key, signed, content), key, hash_name=hash_name,
        )  # fmt: skip


def sizes():
    """Around the pieces in which hashes, pipes and verifiers take an image."""
    for length in (0, 1, 63, 64, 65, 111, 112, 1023, 1024, 1025, 65536, 1048577):
        image = {"repeat": IMAGE["repeat"], "length": length}
        for key, key_type, hash_name in size_keys(length):
            signature = sign_any(key, hash_name, content_of(image))
            yield vector(
                "image-of-%d-bytes-%s" % (length, hash_name.lower()),
                "The empty image can be signed as any other." if length == 0 else "An image of %d bytes." % length,
                "openssl", signature, key.certificate, ACCEPT, "accepted",
                image=image, hash_name=hash_name, key_type=key_type,
            )  # fmt: skip
    zeros = {"repeat": "\0", "length": 65537}
    key = keys.curve("secp384r1")
    yield vector(
        "image-of-zeros", "An image of zero bytes only.", "openssl",
        openssl_sign(key, "SHA-384", content_of(zeros)), key.certificate, ACCEPT, "accepted",
        image=zeros, hash_name="SHA-384", key_type="ECC_SECP384R1",
    )  # fmt: skip


def size_keys(length):
    yield keys.rsa(2048), "RSA-PSS", "SHA-256"
    if length in (0, 111, 112):
        yield keys.curve("secp384r1"), "ECC_SECP384R1", "SHA-512"


def sign_any(key, hash_name, image):
    sign = openssl_pss if key.name.startswith("rsa") else openssl_sign
    return sign(key, hash_name, image)


def vectors():
    for group in (rsa_signatures, der_signatures, images, sizes):
        yield from group()
