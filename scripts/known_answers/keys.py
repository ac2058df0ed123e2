"""The keys of the vectors: one of a kind, made when first asked for."""
import functools

from known_answers import material

CURVES = {
    "ECC_SECP384R1": "secp384r1",
    "ECC_SECP521R1": "secp521r1",
    "ECC_SECT409K1": "sect409k1",
    "ECC_SECT409R1": "sect409r1",
    "ECC_SECT571K1": "sect571k1",
    "ECC_SECT571R1": "sect571r1",
}

curve = functools.lru_cache(maxsize=None)(material.curve)
dsa = functools.lru_cache(maxsize=None)(material.dsa)
rsa = functools.lru_cache(maxsize=None)(material.rsa)


@functools.lru_cache(maxsize=None)
def restricted_rsa():
    """A key whose own identifier is id-RSASSA-PSS (RFC 4055 §1.2), without restrictions."""
    return material.Key("rsa-pss-2048", "genpkey", "-algorithm", "RSA-PSS")


@functools.lru_cache(maxsize=None)
def ed25519():
    return material.Key("ed25519", "genpkey", "-algorithm", "ED25519")


@functools.lru_cache(maxsize=None)
def another_rsa():
    return material.rsa(2048, exponent=3)
