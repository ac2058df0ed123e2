"""Certificates of CAs and signers, and CRLs, made by python-cryptography (RSA-PSS by openssl)."""
import datetime
import functools

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from known_answers.material import DAYS, openssl, write

ALWAYS = (datetime.datetime(2020, 1, 1), datetime.datetime(2126, 1, 1))
PAST = (datetime.datetime(2020, 1, 1), datetime.datetime(2021, 1, 1))
FUTURE = (datetime.datetime(2125, 1, 1), datetime.datetime(2126, 1, 1))

KINDS = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "rsa-1024": lambda: rsa.generate_private_key(65537, 1024),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "dsa": lambda: dsa.generate_private_key(2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}


@functools.lru_cache(maxsize=None)
def key(name, kind="rsa"):
    """One key for each role, in all vectors."""
    return KINDS[kind]()


def usage(*names):
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in every})


def ca(pathlen=3):
    constraints = x509.BasicConstraints(ca=True, path_length=pathlen)
    return [(constraints, True), (usage("key_cert_sign", "crl_sign"), True)]


SIGNER = [
    (x509.BasicConstraints(ca=False, path_length=None), True),
    (usage("digital_signature"), True),
]


def named(common_name, organization="Example"):
    return x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
        x509.NameAttribute(NameOID.COMMON_NAME, common_name),
    ])  # fmt: skip


class Issued:
    """A certificate and its private key; an issuer of None makes it its own."""

    def __init__(self, name, issuer=None, extensions=None, private=None, **more):
        self.name = name if isinstance(name, x509.Name) else named(name)
        self.private = private or key(name)
        by = issuer or self
        builder = x509.CertificateBuilder().subject_name(self.name).issuer_name(by.name)
        builder = builder.public_key(self.private.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        begin, end = more.get("dates", ALWAYS)
        builder = builder.not_valid_before(begin).not_valid_after(end)
        for extension, critical in ca() if extensions is None else extensions:
            builder = builder.add_extension(extension, critical)
        algorithm = more.get("algorithm", hashes.SHA256())
        is_edwards = isinstance(by.private, ed25519.Ed25519PrivateKey)
        self.certificate = builder.sign(by.private, None if is_edwards else algorithm)

    @property
    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


def crl(issuer, *revoked):
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.name)
    builder = builder.last_update(ALWAYS[0]).next_update(ALWAYS[1])
    builder = builder.add_extension(x509.CRLNumber(1), False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.private.public_key())
    builder = builder.add_extension(identifier, False)
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(ALWAYS[0]).build())
    signed = builder.sign(issuer.private, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


class Read:
    """A certificate that somebody else has made."""

    def __init__(self, pem):
        self.pem = pem.decode("ascii")


def pem_of(private):
    pkcs8, clear = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return private.private_bytes(serialization.Encoding.PEM, pkcs8, clear)


EXTENSIONS = b"basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"


def signed_with_pss(issuer):
    """python-cryptography up to 38 cannot make it."""
    signer = write("signer.key", pem_of(key("signer")))
    request = openssl("req", "-new", "-key", signer, "-subj", "/O=Example/CN=signer")
    by = ("-CA", write("by.pem", issuer.pem.encode()), "-CAkey", write("by.key", pem_of(issuer.private)))
    padding = ("-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32")
    extensions = ("-extfile", write("extensions", EXTENSIONS))
    sign = ("x509", "-req", "-set_serial", "7", "-days", DAYS, "-sha256")
    return Read(openssl(*sign, *by, *padding, *extensions, stdin=request))
