"""os-brick's encryptors on the command volseal.

The provider of a volume type names the class by its path, and os-brick's own
factory loads it (os_brick.encryptors.get_volume_encryptor):

    volseal_os_brick.VolsealEncryptor      LUKS2
    volseal_os_brick.VolsealLuks1Encryptor LUKS1, which QEMU opens too
"""
from volseal_os_brick.encryptor import VolsealEncryptor
from volseal_os_brick.encryptor import VolsealLuks1Encryptor
from volseal_os_brick.exceptions import VolsealError

__all__ = ['VolsealEncryptor', 'VolsealError', 'VolsealLuks1Encryptor']
