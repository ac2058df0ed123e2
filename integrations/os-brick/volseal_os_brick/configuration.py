"""The group [volseal] in the service's own configuration file."""
from __future__ import annotations

from oslo_config import cfg

GROUP = 'volseal'

OPTS = [
    cfg.StrOpt(
        'command',
        default='volseal',
        help='The program, as root finds it. It is run through os-brick, as '
             'cryptsetup is.'),
    cfg.StrOpt(
        'first_use',
        default='never',
        choices=[
            ('never', 'A volume without a LUKS header is refused.'),
            ('blank', 'It is formatted if it is blank wherever a header or a '
                      'signature could be.'),
        ],
        help='Whether a volume may be formatted when it is attached. Cinder '
             'creates the volumes of an encrypted type without a header and '
             'expects whoever attaches them first to make it: without this '
             'option such a volume cannot be used. A volume that has a header '
             'is never formatted. Storage that does not zero new volumes '
             'needs a word about each: volseal attach --evidence vouched.'),
    cfg.BoolOpt(
        'key_is_random',
        default=True,
        help='Your word that the symmetric keys were drawn at random, as '
             'those are that Cinder has a key manager create. A volume that '
             'is formatted with such a key gets a cheap key derivation, so '
             'that to attach it takes neither seconds nor a gigabyte. Say '
             'false if [key_manager]/fixed_key was made up by a person.'),
]


def register(conf: cfg.ConfigOpts) -> None:
    """Makes the options known; doing it again changes nothing."""
    conf.register_opts(OPTS, group=GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [(GROUP, OPTS)]
