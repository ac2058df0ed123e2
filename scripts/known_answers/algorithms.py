"""Every key type with every hash, and the keys that some refuse."""
from known_answers import keys
from known_answers.material import HASHES, openssl_pss, openssl_sign, python_dss, python_pss
from known_answers.vector import ACCEPT, IMAGE, INVALID, VARIES, content_of, crash, refusal, vector

content = content_of(IMAGE)


def rsa_pss():
    for bits in (2048, 3072, 4096):
        for hash_name in HASHES:
            yield from salts(keys.rsa(bits), bits, hash_name)


def salts(key, bits, hash_name):
    """PSS.MAX_LENGTH is the longest salt only up to cryptography 41, and any salt from 42 on."""
    length = HASHES[hash_name].digest_size
    other = (INVALID, ACCEPT, ACCEPT)
    rows = (
        ("max", "openssl", openssl_pss(key, hash_name, content), ACCEPT, "accepted"),
        ("digest", "openssl", openssl_pss(key, hash_name, content, "digest"), other, REFUSED_SALT),
        ("0", "python-cryptography", python_pss(key, hash_name, content, 0), other, REFUSED_SALT),
    )
    for salt, maker, signature, cursive, volseal in rows:
        yield vector(
            "rsa-%d-%s-salt-%s" % (bits, hash_name.lower(), salt),
            SALT_REASONS[salt] % {"digest": length, "max": bits // 8 - length - 2},
            maker, signature, key.certificate, cursive, volseal, hash_name=hash_name,
        )  # fmt: skip


REFUSED_SALT = "signature-incompatible"
SALT_REASONS = {
    "max": "The longest salt that fits, %(max)d bytes, is the one that every cursive accepts.",
    "digest": "A salt of %(digest)d bytes, as openssl dgst makes from 3.1 on; cursive with"
    " cryptography up to 41 demands %(max)d.",
    "0": "No salt at all; cursive with cryptography up to 41 demands %(max)d bytes.",
}


def other_salts():
    key = keys.rsa(2048)
    for salt in (1, 221):
        yield vector(
            "rsa-2048-sha-256-salt-%d" % salt,
            "A salt of %d bytes is valid by RFC 8017; cursive with cryptography up to 41 demands"
            " exactly 222." % salt,
            "python-cryptography", python_pss(key, "SHA-256", content, salt), key.certificate,
            (INVALID, ACCEPT, ACCEPT), REFUSED_SALT,
        )  # fmt: skip


def odd_rsa():
    rows = (
        (keys.rsa(2049), "rsa-2049", "accepted", "With 2049 bits the encoded message is a byte"
         " shorter than the modulus (RFC 8017 §8.1.1)."),
        (keys.another_rsa(), "rsa-2048-exponent-3", "accepted", "The exponent 3 is small, but as"
         " good as another with PSS."),
        (keys.restricted_rsa(), "rsa-2048-id-rsassa-pss", "accepted", "The key's own identifier is"
         " id-RSASSA-PSS without restrictions; cursive takes it as any RSA key."),
        (keys.rsa(1024), "rsa-1024", ("signature-malformed", "accepted"), "cursive has no lower"
         " limit for RSA; volseal's strict rules ask for 2048 bits."),
    )  # fmt: skip
    for key, name, volseal, reason in rows:
        signature = openssl_pss(key, "SHA-256", content)
        yield vector(name, reason, "openssl", signature, key.certificate, ACCEPT, volseal)


def ecdsa():
    for key_type, name in keys.CURVES.items():
        for hash_name in HASHES:
            yield curve_vector(keys.curve(name), key_type, hash_name)


def curve_vector(key, key_type, hash_name):
    by_openssl = key_type != "ECC_SECP521R1"
    sign = openssl_sign if by_openssl else python_dss
    gone = refusal("Invalid signature key type: %s" % key_type)
    binary = "SECT" in key_type
    return vector(
        "%s-%s" % (key_type.lower().replace("_", "-"), hash_name.lower()),
        GONE if binary else "ECDSA (FIPS 186-5 §6.4) with the DER of r and s.",
        "openssl" if by_openssl else "python-cryptography",
        sign(key, hash_name, content), key.certificate,
        (ACCEPT, ACCEPT, gone) if binary else ACCEPT, "accepted",
        hash_name=hash_name, key_type=key_type,
    )  # fmt: skip


GONE = (
    "A curve that python-cryptography dropped in 47: a cursive that starts with it (0.2.4 or later)"
    " does not know the key type."
)


def wrong_curves():
    rows = (
        ("prime256v1", "ECC_SECP384R1"),
        ("secp384r1", "ECC_SECP521R1"),
        ("secp521r1", "ECC_SECP384R1"),
        ("secp256k1", "ECC_SECP521R1"),
    )
    for name, key_type in rows:
        key = keys.curve(name)
        yield vector(
            "curve-%s-named-%s" % (name, key_type.lower().replace("_", "-")),
            "cursive does not compare the curve of the key with the one that is named; volseal's"
            " strict rules do.",
            "openssl", openssl_sign(key, "SHA-256", content), key.certificate,
            ACCEPT, ("signature-malformed", "accepted"), key_type=key_type,
        )  # fmt: skip


def dsa():
    for bits, maker, sign in ((2048, "openssl", openssl_sign), (3072, "python-cryptography", python_dss)):
        for hash_name in HASHES:
            key = keys.dsa(bits, 256)
            yield vector(
                "dsa-%d-%s" % (bits, hash_name.lower()),
                "DSA (FIPS 186-4 §4) with a q of 256 bits; a longer digest is cut to them.",
                maker, sign(key, hash_name, content), key.certificate, ACCEPT, "accepted",
                hash_name=hash_name, key_type="DSA",
            )  # fmt: skip
    small = keys.dsa(1024, 160)
    yield vector(
        "dsa-1024",
        "cursive has no lower limit for DSA; volseal's strict rules ask for 2048 bits and a q of"
        " 224.",
        "openssl", openssl_sign(small, "SHA-256", content), small.certificate,
        ACCEPT, ("signature-malformed", "accepted"), key_type="DSA",
    )  # fmt: skip


def key_of_another_class():
    signature = openssl_pss(keys.rsa(2048), "SHA-256", content)
    certificates = (
        ("rsa-key-named-dsa", "DSA", keys.rsa(2048)),
        ("rsa-key-named-ecc-secp384r1", "ECC_SECP384R1", keys.rsa(2048)),
        ("ec-key-named-rsa-pss", "RSA-PSS", keys.curve("secp384r1")),
        ("dsa-key-named-rsa-pss", "RSA-PSS", keys.dsa(2048, 256)),
        ("ed25519-key-named-rsa-pss", "RSA-PSS", keys.ed25519()),
    )
    for name, key_type, key in certificates:
        yield vector(
            name, "The certificate's key is not of the class that the key type names.",
            "openssl", signature, key.certificate,
            refusal("Invalid public key type for signature key type: %s" % key_type),
            "signature-malformed", key_type=key_type,
        )  # fmt: skip


def too_small():
    key = keys.rsa(512)
    yield vector(
        "rsa-512-sha-512",
        "SHA-512 does not fit into an RSA key of 512 bits, not even with an empty salt.",
        "openssl", openssl_pss(key, "SHA-256", content), key.certificate,
        (crash("ValueError"), VARIES, VARIES), "signature-malformed", hash_name="SHA-512",
    )  # fmt: skip


def vectors():
    for group in (rsa_pss, other_salts, odd_rsa, ecdsa, wrong_curves, dsa, key_of_another_class, too_small):
        yield from group()
