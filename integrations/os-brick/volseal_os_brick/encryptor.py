"""The encryptors that os-brick's factory loads."""
from __future__ import annotations

from typing import Any, Callable, Optional

from os_brick.encryptors import base
from os_brick import exception
from oslo_config import cfg
from oslo_log import log as logging

from volseal_os_brick import command
from volseal_os_brick import configuration
from volseal_os_brick import exceptions

CONF = cfg.CONF
LOG = logging.getLogger(__name__)

# connection_info may hold passwords of the storage; volseal needs these only.
TOP_FIELDS = ('driver_volume_type', 'serial')
DATA_FIELDS = ('device_path', 'volume_id', 'multipath_id', 'encrypted',
               'discard')
ENCRYPTION_FIELDS = ('control_location', 'encryption_key_id', 'cipher',
                     'key_size')


class VolsealEncryptor(base.VolumeEncryptor):
    """Attaches LUKS2 volumes through volseal.

    The same volumes as os-brick's Luks2Encryptor, on disk and by the names
    of their mappings; each can detach what the other has attached.
    """

    #: os-brick's name of the format, which volseal calls the provider.
    provider = 'luks2'

    def __init__(self, root_helper: str,
                 connection_info: dict[str, Any],
                 keymgr: Any,
                 execute: Optional[Callable[..., tuple[str, str]]] = None,
                 *args: Any, **kwargs: Any) -> None:
        super().__init__(root_helper, connection_info, keymgr, execute,
                         *args, **kwargs)
        data = connection_info['data']
        self._volume_id = (data.get('volume_id') or
                           connection_info.get('serial'))
        self.symlink_path = data.get('device_path')
        if not self.symlink_path or not isinstance(self.symlink_path, str):
            # Such as RBD, whose connector gives no block device.
            raise exception.VolumeEncryptionNotSupported(
                volume_id=self._volume_id,
                volume_type=connection_info.get('driver_volume_type'))
        self._connection_info = {
            **_only(connection_info, TOP_FIELDS),
            'data': _only(data, DATA_FIELDS),
        }
        configuration.register(CONF)
        self._settings = CONF[configuration.GROUP]
        self._volseal = command.Volseal(
            self._settings.command, self._execute, self._root_helper)

    def attach_volume(self, context: Any, **kwargs: Any) -> None:
        """Opens the volume and lets its link lead to the decrypted side."""
        answer = self._with_key('attach', context, kwargs, *self._first_use())
        if not answer.get('mapping'):
            raise _unexpected('attach', answer)
        if answer.get('formatted'):
            LOG.info('Volume %s was formatted for its first use.',
                     self._volume_id)

    def detach_volume(self, **kwargs: Any) -> None:
        """Closes the volume; that it is closed already is no error."""
        self._volseal.run('detach',
                          {'connection-info': self._connection_info})

    def extend_volume(self, context: Any, **kwargs: Any) -> int:
        """Makes the open volume as large as its device has become.

        :returns: the size of the decrypted side in bytes
        """
        answer = self._with_key('extend', context, kwargs)
        if not isinstance(answer.get('size'), int):
            raise _unexpected('extend', answer)
        return answer['size']

    def _with_key(self, action: str, context: Any,
                  encryption: dict[str, Any], *options: str) -> command.Json:
        documents = {'connection-info': self._connection_info,
                     'encryption': self._metadata(encryption)}
        key = self._get_key(context)
        return self._volseal.run(
            action, documents, '--key-file', '-', '--key-type',
            _key_type(key), *options, secret=_bytes_of(key))

    def _metadata(self, encryption: dict[str, Any]) -> command.Json:
        """Cinder's, with the format's name instead of this class's."""
        return {'control_location': 'front-end',
                **_only(encryption, ENCRYPTION_FIELDS),
                'provider': self.provider}

    def _first_use(self) -> list[str]:
        settings = self._settings
        if settings.first_use == 'never' or not self._volume_id:
            return []
        argv = ['--first-use', self._volume_id,
                '--evidence', settings.first_use]
        # volseal does not take the word for keys of type passphrase.
        return argv + (['--key-is-random'] if settings.key_is_random else [])


class VolsealLuks1Encryptor(VolsealEncryptor):
    """The same for LUKS1, which QEMU can open by itself."""

    provider = 'luks'


def _only(fields: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: fields[name] for name in names
            if fields.get(name) is not None}


def _key_type(key: Any) -> str:
    """A passphrase opens a volume as it is, any other key as hex."""
    managed_type = getattr(key, 'managed_type', None)
    if managed_type is not None and managed_type() == 'passphrase':
        return 'passphrase'
    return 'symmetric'


def _bytes_of(key: Any) -> bytes:
    encoded = key.get_encoded()
    return encoded.encode('utf-8') if isinstance(encoded, str) else encoded


def _unexpected(action: str,
                answer: command.Json) -> exceptions.VolsealError:
    """Nothing is handed on that is not known to be encrypted."""
    return exceptions.VolsealError(
        action, {'code': 'internal',
                 'message': 'unexpected answer %r' % (answer,)}, 0)
