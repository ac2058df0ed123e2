/**
 * "Encrypting and validating OpenStack services" (Red Hat), 4.4 "Validating Image Service (glance)
 * images" and 4.5 "Validating snapshots": the guide's commands with its names, and what volseal does
 * instead. The id of the certificate is recorded by hand there, as that of the image.
 */
export interface Step {
  readonly what: string
  /** Lines of bash; variables are kept from step to step. */
  readonly command: string
}

export interface Story {
  readonly title: string
  readonly official: readonly Step[]
  readonly ours: readonly Step[]
}

const PROPERTIES = `  --property img_signature="$signature" \\
  --property img_signature_certificate_uuid="$certificate" \\
  --property img_signature_hash_method="SHA-256" \\
  --property img_signature_key_type="RSA-PSS"`

export const STORIES: readonly Story[] = [
  {
    title: '4.4 Validating images',
    official: [
      {
        what: 'a key and its certificate',
        command: `openssl genrsa -out private_key.pem 1024
openssl rsa -pubout -in private_key.pem -out public_key.pem
openssl req -new -key private_key.pem -out cert_request.csr -subj "/CN=signing"
openssl x509 -req -days 14 -in cert_request.csr -signkey private_key.pem -out x509_signing_cert.crt`,
      },
      {
        what: 'the certificate in Barbican',
        command: `href=$(openstack secret store --name signing-cert --algorithm RSA \\
  --secret-type certificate --payload-content-type "application/octet-stream" \\
  --payload-content-encoding base64 --payload "$(base64 x509_signing_cert.crt)" \\
  -c 'Secret href' -f value)
certificate=\${href##*/}`,
      },
      {
        what: 'the signature',
        command: `openssl dgst -sha256 -sign private_key.pem -sigopt rsa_padding_mode:pss \\
  -out cirros.signature cirros.img`,
      },
      {
        what: 'in base64, in a variable',
        command: `base64 -w 0 cirros.signature > cirros.signature.b64
signature=$(cat cirros.signature.b64)`,
      },
      {
        what: 'the image in Glance',
        command: `image=$(openstack image create --container-format bare --disk-format qcow2 \\
${PROPERTIES} \\
  --file cirros.img cirros_signed -c id -f value)`,
      },
    ],
    ours: [
      {
        what: 'a key and its certificate',
        command: `volseal keypair create --type RSA-PSS --out key.pem
volseal cert create --key key.pem --subject "CN=signing" --days 14 --out cert.pem`,
      },
      {
        what: 'all the rest, read back and verified',
        command:
          'volseal sign cirros.img --key key.pem --cert cert.pem --publish --name cirros_signed',
      },
    ],
  },
  {
    title: '4.5 Validating snapshots',
    official: [
      {
        what: 'the snapshot, downloaded',
        command: 'openstack image save --file snapshot.img "$snapshot"',
      },
      {
        what: 'the signature',
        command: `openssl dgst -sha256 -sign private_key.pem -sigopt rsa_padding_mode:pss \\
  -out snapshot.signature snapshot.img
signature=$(base64 -w 0 snapshot.signature)`,
      },
      {
        what: 'the properties',
        command: `openstack image set \\
${PROPERTIES} \\
  "$snapshot"`,
      },
      { what: 'the download, removed', command: 'rm snapshot.img' },
    ],
    ours: [
      {
        what: 'all of it, read back and verified',
        command: 'volseal images resign "$snapshot" --key key.pem --cert cert.pem',
      },
    ],
  },
]
