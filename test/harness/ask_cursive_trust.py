"""Asks cursive's certificate_utils: SIGNER.pem TRUSTED.pem…, as nova does with what it has fetched.

Prints `accepted`, `refused: REASON`, or the name of a Python exception that escapes; never ends where
cursive never ends.
"""
import sys

from cryptography import x509
from cursive import certificate_utils, exception


def read(path):
    with open(path, "rb") as file:
        return x509.load_pem_x509_certificate(file.read())


def main(signer, *trusted):
    context = certificate_utils.CertificateVerificationContext(
        [(path, read(path)) for path in trusted])
    try:
        context.update(read(signer))
        context.verify()
    except exception.SignatureVerificationError as error:
        return "refused: %s" % error
    except Exception as error:
        return type(error).__name__
    return "accepted"


print(main(*sys.argv[1:]))
