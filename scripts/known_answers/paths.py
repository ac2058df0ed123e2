"""Certificates and who vouches for them: what nova's validation and volseal's `--trusted` say."""
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from known_answers.path_material import (
    FUTURE,
    PAST,
    SIGNER,
    Issued,
    ca,
    crl,
    key,
    named,
    signed_with_pss,
    usage,
)

SCHEMA = "volseal/path-vector/1"
UNKNOWN = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.55738.666.1"), b"\x05\x00")

ACCEPT = {"outcome": "accept"}
ENDLESS = {"outcome": "endless"}
PATH = {"outcome": "accepted", "trust": "path"}
PINNED = {"outcome": "accepted", "trust": "pinned"}


def refuse(message):
    return {"outcome": "refuse", "message": message}


NO_ISSUER = refuse(
    "Certificate chain building failed. Could not locate the signing certificate"
    " for the base certificate in the set of trusted certificates."
)
TOO_LONG = refuse(
    "Certificate validation failed. The signing certificate '0' is not configured"
    " to support certificate chains of sufficient length."
)
NOT_NOW = refuse("The certificate is outside its valid date range.")


def no_issuer_of(place):
    """The whole message, by a fault of cursive's: the certificate's place in what nova is given."""
    return refuse("certificate '%d'" % place)


def crash(error):
    return {"outcome": "crash", "error": error}


def failed(check):
    return {"outcome": "refused", "check": check}


def vector(name, reason, certificates, nova, volseal, **more):
    """`certificates`: from the root, which is trusted, to the signer; `trusted` names others."""
    *above, signer = certificates
    trusted = more.get("trusted", above[:1])
    untrusted = [one for one in above if one not in trusted]
    return {
        "schema": SCHEMA,
        "name": "path-" + name,
        "reason": reason,
        "madeBy": more.get("made_by", "python-cryptography"),
        "signer": signer.pem,
        "trusted": [one.pem for one in trusted],
        "untrusted": [one.pem for one in untrusted],
        "crls": more.get("crls", []),
        "expect": {"nova": nova, "volseal": volseal},
    }


def chain(middle=None, root=None, signer=None):
    """Root, intermediate and signer; what is given of each is other than usual."""
    top = Issued("root", **(root or {}))
    between = Issued("intermediate", top, **{"extensions": ca(0), **(middle or {})})
    return [top, between, Issued("signer", between, **{"extensions": SIGNER, **(signer or {})})]


def whole():
    root = Issued("root")
    signer = Issued("signer", root, SIGNER)
    top, between, below = chain()
    curve = Issued("root", private=key("root", "p384"))
    impostor, stranger = Issued("root", private=key("impostor")), Issued("another root")
    rows = (
        ("root-and-signer", "A trusted root and a signer under it.", [root, signer], ACCEPT, PATH),
        ("intermediate", "A CA between the two; its pathlen 0 allows no further CA.",
         [top, between, below], ACCEPT, PATH),
        ("ecdsa", "A CA on P-384.", [curve, Issued("signer", curve, SIGNER)], ACCEPT, PATH),
        ("root-not-given", "The intermediate is trusted, and the root is not there: nova goes on to a root.",
         [between, below], no_issuer_of(0), PATH),
        ("missing-intermediate", "Nobody has the certificate between the two.",
         [top, below], NO_ISSUER, failed("signature")),
        ("unrelated-root", "The root that is trusted has issued nothing of this.",
         [stranger, signer], NO_ISSUER, failed("signature")),
        ("another-key", "A trusted root of the right name with another key.",
         [impostor, signer], NO_ISSUER, failed("signature")),
        ("nine-certificates", "volseal follows eight certificates; that limit is its own.",
         nine(), ACCEPT, failed("signature")),
    )  # fmt: skip
    for row in rows:
        yield vector(*row)


def nine():
    made = [Issued("root", extensions=ca(12))]
    for place in range(7):
        made.append(Issued(named("CA %d" % place), made[-1], ca(9 - place), key("CA")))
    return [*made, Issued("signer", made[-1], SIGNER)]


def dates():
    rows = (
        ("expired-signer", "The signer's certificate expired in 2021.", {"signer": {"dates": PAST}}, NOT_NOW),
        ("signer-not-valid-yet", "The signer's certificate begins in 2125.", {"signer": {"dates": FUTURE}}, NOT_NOW),
        ("expired-intermediate", "nova drops it, and finds no issuer.", {"middle": {"dates": PAST}}, NO_ISSUER),
        ("expired-root", "nova drops it, and finds no issuer of the intermediate.",
         {"root": {"dates": PAST}}, no_issuer_of(1)),
    )  # fmt: skip
    for name, reason, other, nova in rows:
        yield vector(name, reason, chain(**other), nova, failed("dates"))


def middle(extensions):
    return chain(middle={"extensions": extensions})


def signer(extensions):
    return chain(signer={"extensions": extensions})


def authority():
    """basicConstraints, pathlen and keyUsage."""
    constraints, may_sign = ca(0)
    no_ca = (x509.BasicConstraints(ca=False, path_length=None), True)
    endless = chain({"extensions": ca(None)}, {"extensions": ca(None)})
    root = Issued("root", extensions=ca(1))
    again = Issued("root", root, ca(1), private=key("root, next"))
    between = Issued("intermediate", again, ca(0))
    rows = (
        ("ca-false", "The intermediate says that it is no CA.",
         middle([no_ca, may_sign]), NO_ISSUER, failed("basic-constraints")),
        ("no-basic-constraints", "The intermediate does not say that it is a CA.",
         middle([may_sign]), NO_ISSUER, failed("basic-constraints")),
        ("pathlen-missing", "CAs without pathlen, as most are: cursive compares None. From 0.3 on it accepts.",
         endless, crash("TypeError"), PATH),
        ("pathlen-exceeded", "pathlen 0 of the root allows no intermediate.",
         chain(root={"extensions": ca(0)}), TOO_LONG, failed("path-length")),
        ("pathlen-self-issued", "A root issued its next key to itself: nova counts it, RFC 5280 6.1.4 (l) does not.",
         [root, again, between, Issued("signer", between, SIGNER)], TOO_LONG, PATH),
        ("key-usage-no-cert-sign", "The intermediate's key may sign CRLs only.",
         middle([constraints, (usage("crl_sign"), True)]), NO_ISSUER, failed("key-usage")),
        ("ca-without-key-usage", "RFC 5280 6.1.4 (n) asks only where there is a keyUsage; nova wants one.",
         middle([constraints]), NO_ISSUER, PATH),
    )  # fmt: skip
    for row in rows:
        yield vector(*row)


def signers():
    """nova looks at no extension of the signer's certificate."""
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    coder = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    critical, harmless = (UNKNOWN, True), (UNKNOWN, False)
    rows = (
        ("signer-key-usage", "The signer's key is for encrypting keys.",
         [(usage("key_encipherment"), True)], failed("key-usage")),
        ("signer-of-tls", "The signer's certificate is a web server's.",
         [*SIGNER, (server, False)], failed("extended-key-usage")),
        ("signer-of-code", "The signer's certificate is for signing code.", [*SIGNER, (coder, False)], PATH),
        ("signer-without-extensions", "Nothing is forbidden.", [], PATH),
        ("critical-extension-of-signer", "An unknown critical extension (RFC 5280 4.2).",
         [*SIGNER, critical], failed("critical-extensions")),
        ("unknown-extension", "An unknown extension that is not critical.", [*SIGNER, harmless], PATH),
    )  # fmt: skip
    for name, reason, extensions, volseal in rows:
        yield vector(name, reason, signer(extensions), ACCEPT, volseal)


def of_intermediates():
    """Nor at these extensions of a CA."""
    tree = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example")]))
    inside = (x509.NameConstraints(permitted_subtrees=[tree], excluded_subtrees=None), True)
    outside = (x509.NameConstraints(permitted_subtrees=None, excluded_subtrees=[tree]), True)
    root, between, _ = middle([*ca(0), inside])
    stranger = Issued(named("signer", "Elsewhere"), between, SIGNER, key("signer"))
    rows = (
        ("critical-extension-of-ca", "An unknown critical extension of the intermediate.",
         middle([*ca(0), (UNKNOWN, True)]), failed("critical-extensions")),
        ("name-permitted", "The intermediate may name what is in the tree O=Example, and does.",
         middle([*ca(0), inside]), PATH),
        ("name-not-permitted", "The signer is in the tree O=Elsewhere.",
         [root, between, stranger], failed("name-constraints")),
        ("name-excluded", "The intermediate may not name what is in the tree O=Example.",
         middle([*ca(0), outside]), failed("name-constraints")),
    )  # fmt: skip
    for name, reason, certificates, volseal in rows:
        yield vector(name, reason, certificates, ACCEPT, volseal)


def revocation():
    """nova knows no CRLs."""
    certificates = top, between, below = chain()
    rows = (
        ("crl-clean", "A CRL of every CA, on which nothing is.", [crl(top), crl(between)], PATH),
        ("revoked-signer", "The signer is on its CA's CRL.", [crl(top), crl(between, below)], failed("revocation")),
        ("revoked-intermediate", "The intermediate is on the root's CRL.",
         [crl(top, between), crl(between)], failed("revocation")),
        ("crl-missing", "Only the root has a CRL, so that nobody knows of the signer.",
         [crl(top)], failed("revocation")),
    )  # fmt: skip
    for name, reason, lists, volseal in rows:
        yield vector(name, reason, certificates, ACCEPT, volseal, crls=lists)


def algorithms():
    sha1, weak = {"algorithm": hashes.SHA1()}, failed("signature-algorithm")
    rows = (
        ("sha1-signer", "The signer's certificate is signed with SHA-1.", chain(signer=sha1), ACCEPT, weak),
        ("sha1-intermediate", "The intermediate's certificate is signed with SHA-1.", chain(sha1), ACCEPT, weak),
        ("sha1-root", "A root's own signature proves nothing, nor does its hash.", chain(root=sha1), ACCEPT, PATH),
        ("rsa-1024-root", "A root whose key is too small.", under("rsa-1024"), ACCEPT, failed("key")),
        ("dsa-root", "A root with a DSA key.", under("dsa"), ACCEPT, weak),
        ("ed25519-root", "A root with an Ed25519 key.", under("ed25519"), crash("TypeError"), weak),
    )
    for row in rows:
        yield vector(*row)
    root = Issued("root")
    reason = "The signer's certificate is signed with RSA-PSS."
    certificates = [root, signed_with_pss(root)]
    yield vector("rsa-pss", reason, certificates, crash("UnsupportedAlgorithm"), PATH, made_by="openssl")


def under(kind):
    root = Issued("root", private=key("root", kind))
    return [root, Issued("signer", root, SIGNER)]


def loops():
    first, second = Issued("first CA"), Issued("second CA")
    by_second = Issued("first CA", second, private=first.private)
    by_first = Issued("second CA", first, private=second.private)
    below = Issued("signer", first, SIGNER)
    alone, beside = [by_second, by_first, below], [by_second, by_first, first, below]
    yield vector("loop", "Two CAs issued one another, and neither is a root: nova goes round for ever.",
                 alone, ENDLESS, failed("signature"), trusted=[Issued("another root")])  # fmt: skip
    yield vector("loop-beside-root", "The same beside a root, which nova, as it comes first, takes.",
                 beside, ACCEPT, PATH, trusted=[first])  # fmt: skip


def choices():
    """Two certificates of one CA, of which one leads nowhere: nova takes the first, and does not go back."""
    root = Issued("root")
    dead = Issued("CA", Issued("another root"))
    alive = Issued("CA", root, private=dead.private)
    below = Issued("signer", dead, SIGNER)
    yield vector("dead-end-first", "Two certificates of one CA; the first leads nowhere.",
                 [dead, alive, root, below], no_issuer_of(1), PATH, trusted=[root])  # fmt: skip
    yield vector("dead-end-last", "Two certificates of one CA; the last leads nowhere.",
                 [alive, dead, root, below], ACCEPT, PATH, trusted=[root])  # fmt: skip


def pinned():
    plain = Issued("signer", extensions=[])
    whole_ca = Issued("signer", extensions=ca(1))
    old = Issued("signer", extensions=ca(1), dates=PAST)
    rows = (
        ("pinned", "The signer's certificate is trusted itself; it is no CA, which nova wants.", plain, NO_ISSUER, PINNED),
        ("pinned-ca", "The same, and it says that it is a CA.", whole_ca, ACCEPT, PINNED),
        ("pinned-expired", "Whoever is trusted must be valid all the same.", old, NOT_NOW, failed("dates")),
    )
    for name, reason, one, nova, volseal in rows:
        yield vector(name, reason, [one, one], nova, volseal)


GROUPS = (
    whole, dates, authority, signers, of_intermediates, revocation, algorithms, loops, choices, pinned,
)  # fmt: skip


def vectors():
    for group in GROUPS:
        yield from group()
