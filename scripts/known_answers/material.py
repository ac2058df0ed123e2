"""Keys, certificates and signatures, made by openssl and python-cryptography."""
import os
import subprocess
import tempfile

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

HASHES = {
    "SHA-224": hashes.SHA224(),
    "SHA-256": hashes.SHA256(),
    "SHA-384": hashes.SHA384(),
    "SHA-512": hashes.SHA512(),
}

# A hundred years: the vectors must not expire.
DAYS = "36524"
CONFIG = """
[req]
distinguished_name = name
x509_extensions = signer
[name]
[signer]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
"""

directory = tempfile.TemporaryDirectory(prefix="volseal-vectors-")


def path(name):
    return os.path.join(directory.name, name)


def write(name, content):
    with open(path(name), "wb") as file:
        file.write(content)
    return path(name)


def openssl(*args, stdin=None):
    return subprocess.run(
        ["openssl", *args], input=stdin, check=True, capture_output=True
    ).stdout


class Key:
    """A private key, and the certificate that goes with it."""

    def __init__(self, name, *command):
        self.name = name
        self.file = path(name + ".key")
        openssl(*command, "-out", self.file)
        with open(self.file, "rb") as file:
            self.pem = file.read()
        self.certificate = self.certify()

    @property
    def private(self):
        return serialization.load_pem_private_key(self.pem, None)

    def certify(self, *more):
        config = write("openssl.cnf", CONFIG.encode())
        return openssl(
            "req", "-new", "-x509", "-config", config, "-key", self.file,
            "-subj", "/CN=volseal vector %s" % self.name, "-days", DAYS, *more,
        )  # fmt: skip

    def request(self):
        config = write("openssl.cnf", CONFIG.encode())
        subject = "/CN=volseal vector %s" % self.name
        return openssl("req", "-new", "-config", config, "-key", self.file, "-subj", subject)


def rsa(bits, exponent=65537):
    options = ["rsa_keygen_bits:%d" % bits, "rsa_keygen_pubexp:%d" % exponent]
    pkeyopts = [part for option in options for part in ("-pkeyopt", option)]
    return Key("rsa-%d-%d" % (bits, exponent), "genpkey", "-algorithm", "RSA", *pkeyopts)


def curve(name):
    command = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:" + name]
    return Key(name, "genpkey", *command, "-pkeyopt", "ec_param_enc:named_curve")


def dsa(bits, q):
    parameters = path("dsa-%d.parameters" % bits)
    sizes = ["-pkeyopt", "dsa_paramgen_bits:%d" % bits, "-pkeyopt", "dsa_paramgen_q_bits:%d" % q]
    openssl("genpkey", "-genparam", "-algorithm", "DSA", *sizes, "-out", parameters)
    return Key("dsa-%d" % bits, "genpkey", "-paramfile", parameters)


def openssl_sign(key, name, content, *options):
    """As the guides sign: `openssl dgst`."""
    digest = "-" + name.lower().replace("-", "")
    image = write("image", content)
    signature = path("signature")
    sigopts = [part for option in options for part in ("-sigopt", option)]
    openssl("dgst", digest, "-sign", key.file, *sigopts, "-out", signature, image)
    with open(signature, "rb") as file:
        return file.read()


def openssl_pss(key, name, content, salt="max"):
    options = ("rsa_padding_mode:pss", "rsa_pss_saltlen:%s" % salt)
    return openssl_sign(key, name, content, *options)


def python_pss(key, name, content, salt=padding.PSS.MAX_LENGTH, mgf=None):
    """As the OpenStack client's signer does, with any salt and mask."""
    hash_ = HASHES[name]
    mask = padding.MGF1(mgf if mgf is not None else hash_)
    return key.private.sign(content, padding.PSS(mgf=mask, salt_length=salt), hash_)


def python_dss(key, name, content):
    """DSA and ECDSA."""
    private = key.private
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return private.sign(content, ec.ECDSA(HASHES[name]))
    return private.sign(content, HASHES[name])


def digest(name, content):
    state = hashes.Hash(HASHES[name])
    state.update(content)
    return state.finalize()


def mgf1(seed, length, name):
    blocks = range(-(-length // HASHES[name].digest_size))
    mask = b"".join(digest(name, seed + count.to_bytes(4, "big")) for count in blocks)
    return mask[:length]


def faulty_pss(key, name, content, trailer=0xBC, filler=b"\0"):
    """EMSA-PSS with the longest salt but one (RFC 8017 §9.1.1), with a fault where one is named."""
    numbers = key.private.private_numbers()
    modulus = numbers.public_numbers.n
    bits = modulus.bit_length() - 1
    length = -(-bits // 8)
    hash_length = HASHES[name].digest_size
    salt = os.urandom(length - hash_length - 3)
    fingerprint = digest(name, bytes(8) + digest(name, content) + salt)
    block = filler + b"\1" + salt
    mask = mgf1(fingerprint, len(block), name)
    masked = bytearray(a ^ b for a, b in zip(block, mask))
    masked[0] &= 0xFF >> (8 * length - bits)
    encoded = bytes(masked) + fingerprint + bytes([trailer])
    signature = pow(int.from_bytes(encoded, "big"), numbers.d, modulus)
    return signature.to_bytes(-(-modulus.bit_length() // 8), "big")


def above_the_modulus(key, name, content):
    """A valid signature plus the modulus: the same number to whoever only computes (RFC 8017 §5.2.2)."""
    modulus = key.private.private_numbers().public_numbers.n
    size = -(-modulus.bit_length() // 8)
    while True:
        number = int.from_bytes(python_pss(key, name, content), "big") + modulus
        if number < 1 << (8 * size):
            return number.to_bytes(size, "big")


def numbers_of(signature):
    return utils.decode_dss_signature(signature)


def der_integer(number, more=b""):
    """An INTEGER of DER; `more` is put in front of its content."""
    content = more + number.to_bytes(number.bit_length() // 8 + 1, "big")
    return bytes([2, len(content)]) + content


def der_sequence(content, long_form=False):
    length = bytes([len(content)])
    if long_form or len(content) > 127:
        length = b"\x81" + length
    return b"\x30" + length + content
