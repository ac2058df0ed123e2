"""The encryptors as nova and cinder use them, with a volseal that notes all.

Run with: python3 -m unittest discover -t . tests
"""
from __future__ import annotations

import json
import logging
import os
import stat
import sys
import tempfile
import unittest

from os_brick import encryptors
from os_brick.encryptors import nop
from os_brick import exception
from os_brick import privileged
from os_brick.privileged import rootwrap
from oslo_concurrency import processutils as putils
from oslo_config import cfg
from oslo_privsep import priv_context

import volseal_os_brick
from volseal_os_brick import configuration

CONF = cfg.CONF
# Every kind of byte that a text conversion would spoil.
KEY = bytes(range(247, 256)) + b'\0\n\r"\\\x80'
VOLUME_ID = '4c1c1c9f-0b0f-4a3a-9d4c-0d8f5a5a6a11'
ENCRYPTION = {
    'encryption_key_id': '8c8a9e31-5b66-4f2b-9c3c-2f1d1a4e7b55',
    'control_location': 'front-end',
    'provider': 'volseal_os_brick.VolsealEncryptor',
    'cipher': 'aes-xts-plain64',
    'key_size': 256,
}
FAKE = """#!%(python)s
import json, os, sys
argv = sys.argv[1:]
files = {}
for name in ('--connection-info', '--encryption'):
    if name in argv:
        path = argv[argv.index(name) + 1]
        modes = [os.stat(p).st_mode & 0o7777
                 for p in (path, os.path.dirname(path))]
        files[name] = {'path': path, 'modes': modes,
                       'content': json.load(open(path))}
with open(%(log)r, 'a') as log:
    print(json.dumps({'argv': argv, 'stdin': sys.stdin.buffer.read().hex(),
                      'environment': dict(os.environ), 'files': files}),
          file=log)
answer = json.load(open(%(answers)r))[argv[0]]
sys.stdout.write(answer['stdout'])
sys.stderr.write(answer.get('stderr', ''))
sys.exit(answer.get('exit', 0))
"""


def answering(exit_code=0, **fields):
    return {'exit': exit_code, 'stdout': json.dumps(fields)}


def refusing(exit_code, code, message, **more):
    return answering(exit_code, ok=False,
                     error={'code': code, 'message': message, **more})


ATTACHED = answering(ok=True, mapping='crypt-os-brick+dev+vdb',
                     path='/dev/mapper/crypt-os-brick+dev+vdb', size=1024,
                     adopted=False, formatted=False)


class Key:
    """castellan's managed objects, as far as an encryptor sees them."""

    def __init__(self, encoded=KEY, kind='symmetric'):
        self.encoded = encoded
        self.kind = kind

    def managed_type(self):
        return self.kind

    def get_encoded(self):
        return self.encoded


class KeyManager:
    def __init__(self, key):
        self.key = key
        self.asked = []

    def get(self, context, key_id):
        self.asked.append((context, key_id))
        return self.key


class EncryptorTestCase(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.log = os.path.join(place.name, 'log')
        self.answers = os.path.join(place.name, 'answers')
        self.command = os.path.join(place.name, 'volseal')
        with open(self.command, 'w') as file:
            file.write(FAKE % {'python': sys.executable, 'log': self.log,
                               'answers': self.answers})
        os.chmod(self.command, stat.S_IRWXU)
        configuration.register(CONF)
        self.addCleanup(CONF.clear_override, 'command', 'volseal')
        CONF.set_override('command', self.command, 'volseal')
        self.answer(attach=ATTACHED, detach=answering(ok=True),
                    extend=answering(ok=True, size=4096))
        self.run_commands_here()

    def run_commands_here(self):
        # As the services' own tests do; test_privsep has the real daemon.
        privileged.default.set_client_mode(False)
        self.addCleanup(privileged.default.set_client_mode, True)

    def answer(self, **answers):
        with open(self.answers, 'w') as file:
            json.dump(answers, file)

    def calls(self):
        with open(self.log) as file:
            return [json.loads(line) for line in file]

    def encryptor(self, key=None, connection=None, data=None, **encryption):
        """As nova makes it: by the provider of the volume type."""
        self.manager = KeyManager(key or Key())
        connection_info = {
            'driver_volume_type': 'iscsi',
            'serial': VOLUME_ID,
            'connector': {'initiator': 'iqn.1994-05.com.redhat:1'},
            'data': {
                'device_path': '/dev/disk/by-id/os-brick+dev+vdb',
                'volume_id': VOLUME_ID,
                'auth_username': 'me', 'auth_password': 'PASSWORD',
                'encrypted': True, 'discard': True, 'multipath_id': None,
                **(data or {}),
            },
            **(connection or {}),
        }
        self.encryption = {**ENCRYPTION, **encryption}
        return encryptors.get_volume_encryptor(
            root_helper='sudo', connection_info=connection_info,
            keymgr=self.manager, **self.encryption)

    def attach(self, **options):
        encryptor = self.encryptor(**options)
        return encryptor.attach_volume('context', **self.encryption)


class AttachTestCase(EncryptorTestCase):
    def test_is_loaded_by_the_provider_of_the_volume_type(self):
        self.assertIs(volseal_os_brick.VolsealEncryptor,
                      type(self.encryptor()))

    def test_is_not_loaded_for_another_control_location(self):
        # os-brick's own rule, before this package is even imported.
        encryptor = self.encryptor(control_location='back-end')
        self.assertIs(nop.NoOpEncryptor, type(encryptor))

    def test_calls_volseal(self):
        self.assertIsNone(self.attach())
        [call] = self.calls()
        files = call['files']
        self.assertEqual(
            ['attach', '--key-file', '-', '--key-type', 'symmetric',
             '--connection-info', files['--connection-info']['path'],
             '--encryption', files['--encryption']['path'], '--json'],
            call['argv'])
        self.assertEqual(
            {'driver_volume_type': 'iscsi', 'serial': VOLUME_ID,
             'data': {'device_path': '/dev/disk/by-id/os-brick+dev+vdb',
                      'volume_id': VOLUME_ID, 'encrypted': True,
                      'discard': True}},
            files['--connection-info']['content'])
        self.assertEqual({**ENCRYPTION, 'provider': 'luks2'},
                         files['--encryption']['content'])

    def test_asks_the_key_manager_of_the_service(self):
        self.attach()
        self.assertEqual([('context', ENCRYPTION['encryption_key_id'])],
                         self.manager.asked)

    def test_gives_the_bytes_of_the_key_on_standard_input_only(self):
        records = []
        handler = logging.Handler(0)
        handler.emit = lambda record: records.append(record.getMessage())
        root = logging.getLogger()
        root.addHandler(handler)
        self.addCleanup(root.removeHandler, handler)
        self.addCleanup(root.setLevel, root.level)
        root.setLevel(0)
        self.attach()
        [call] = self.calls()
        self.assertEqual(KEY.hex(), call.pop('stdin'))
        seen = json.dumps(call) + '\n'.join(records)
        self.assertIn('volseal attach', seen)
        for form in (KEY.hex(), repr(KEY), KEY.decode('latin-1')):
            self.assertNotIn(form, seen)

    def test_leaves_out_the_passwords_of_the_storage(self):
        self.attach()
        self.assertNotIn('PASSWORD', json.dumps(self.calls()))

    def test_its_files_are_private_and_gone_afterwards(self):
        self.attach()
        self.answer(attach=refusing(22, 'busy', 'in use'))
        self.assertRaises(volseal_os_brick.VolsealError, self.attach)
        self.assertEqual(2, len(self.calls()))
        for call in self.calls():
            for file in call['files'].values():
                self.assertEqual([0o600, 0o700], file['modes'])
                self.assertFalse(os.path.exists(os.path.dirname(
                    file['path'])))

    def test_a_passphrase_is_one(self):
        self.attach(key=Key('pässphrase'.encode(), 'passphrase'))
        [call] = self.calls()
        self.assertEqual('pässphrase'.encode().hex(), call['stdin'])
        self.assertIn('passphrase', call['argv'])

    def test_any_other_type_is_hex(self):
        for kind in ('opaque', 'certificate', 'private'):
            self.attach(key=Key(kind=kind))
            self.assertIn('symmetric', self.calls()[-1]['argv'])

    def test_luks1_has_a_class_of_its_own(self):
        self.attach(provider='volseal_os_brick.VolsealLuks1Encryptor')
        [call] = self.calls()
        self.assertEqual(
            'luks', call['files']['--encryption']['content']['provider'])

    def test_never_formats_unless_told(self):
        self.attach()
        self.assertNotIn('--first-use', self.calls()[0]['argv'])

    def test_formats_on_first_use_when_told(self):
        self.addCleanup(CONF.clear_override, 'first_use', 'volseal')
        CONF.set_override('first_use', 'blank', 'volseal')
        self.attach()
        [call] = self.calls()
        argv = call['argv']
        start = argv.index('--first-use')
        self.assertEqual(
            ['--first-use', VOLUME_ID, '--evidence', 'blank',
             '--key-is-random'],
            argv[start:start + 5])

    def test_does_not_vouch_for_keys_when_told(self):
        self.addCleanup(CONF.clear_override, 'first_use', 'volseal')
        self.addCleanup(CONF.clear_override, 'key_is_random', 'volseal')
        CONF.set_override('first_use', 'blank', 'volseal')
        CONF.set_override('key_is_random', False, 'volseal')
        self.attach()
        [call] = self.calls()
        self.assertIn('--first-use', call['argv'])
        self.assertNotIn('--key-is-random', call['argv'])

    def test_takes_the_serial_where_the_volume_id_is_missing(self):
        self.addCleanup(CONF.clear_override, 'first_use', 'volseal')
        CONF.set_override('first_use', 'blank', 'volseal')
        self.attach(data={'volume_id': None}, connection={'serial': 'other'})
        self.assertIn('other', self.calls()[-1]['argv'])
        self.attach(data={'volume_id': None}, connection={'serial': None})
        self.assertNotIn('--first-use', self.calls()[-1]['argv'])

    def test_reads_the_configuration_file_of_the_service(self):
        settings = self.read('[volseal]\n'
                             'first_use = blank\ncommand = /opt/volseal\n')
        self.assertEqual('blank', settings.first_use)
        self.assertEqual('/opt/volseal', settings.command)
        self.assertEqual('never', self.read('[DEFAULT]\n').first_use)
        mistaken = self.read('[volseal]\nfirst_use = always\n')
        self.assertRaises(cfg.ConfigFileValueError,
                          lambda: mistaken.first_use)

    def read(self, text):
        with open(self.log, 'w') as file:
            file.write(text)
        conf = cfg.ConfigOpts()
        configuration.register(conf)
        conf(['--config-file', self.log], project='nova')
        return conf.volseal

    def test_an_answer_without_a_mapping_is_an_error(self):
        for stdout in ('', '[]', '{"ok": true, "encrypted": false}'):
            self.answer(attach={'stdout': stdout})
            self.assertRaises(volseal_os_brick.VolsealError, self.attach)


class RefusalTestCase(EncryptorTestCase):
    def test_without_a_block_device(self):
        # As Ceph's connector, which gives a file handle or no path at all.
        for path in (None, '', object()):
            with self.assertRaises(
                    exception.VolumeEncryptionNotSupported) as refused:
                self.encryptor(data={'device_path': path})
            self.assertEqual(
                'Volume encryption is not supported for iscsi volume %s.' %
                VOLUME_ID, str(refused.exception))

    def test_not_supported(self):
        self.answer(attach=refusing(23, 'no-device', 'there is no device'))
        with self.assertRaises(
                exception.VolumeEncryptionNotSupported) as refused:
            self.attach()
        self.assertEqual('volseal attach: there is no device',
                         str(refused.exception))

    def test_says_why_and_what_to_do(self):
        self.answer(attach=refusing(
            21, 'not-blank', '/dev/vdb holds ext4', hint='is it another?'))
        with self.assertRaises(volseal_os_brick.VolsealError) as refused:
            self.attach()
        error = refused.exception
        self.assertIsInstance(error, exception.BrickException)
        self.assertEqual('volseal attach: /dev/vdb holds ext4 '
                         '(is it another?)', str(error))
        self.assertEqual(('not-blank', 'is it another?', 21),
                         (error.error, error.hint, error.exit_code))

    def test_passes_on_what_is_not_volseals(self):
        self.answer(attach={'exit': 99, 'stdout': 'no filter matched'})
        with self.assertRaises(putils.ProcessExecutionError) as failed:
            self.attach()
        self.assertEqual(99, failed.exception.exit_code)

    def test_is_not_installed(self):
        CONF.set_override('command', '/nonexistent/volseal', 'volseal')
        self.assertRaises(putils.ProcessExecutionError, self.attach)


class DetachTestCase(EncryptorTestCase):
    def test_needs_no_key(self):
        encryptor = self.encryptor()
        self.assertIsNone(encryptor.detach_volume(**self.encryption))
        [call] = self.calls()
        self.assertEqual(
            ['detach', '--connection-info',
             call['files']['--connection-info']['path'], '--json'],
            call['argv'])
        self.assertEqual('', call['stdin'])
        self.assertEqual([], self.manager.asked)

    def test_busy(self):
        self.answer(detach=refusing(22, 'busy', 'mounted at /mnt'))
        self.assertRaisesRegex(volseal_os_brick.VolsealError,
                               'volseal detach: mounted at /mnt',
                               self.encryptor().detach_volume)


class ExtendTestCase(EncryptorTestCase):
    def test_returns_the_decrypted_size(self):
        encryptor = self.encryptor()
        self.assertEqual(
            4096, encryptor.extend_volume('context', **self.encryption))
        [call] = self.calls()
        self.assertEqual('extend', call['argv'][0])
        self.assertEqual(KEY.hex(), call['stdin'])

    def test_no_size_is_an_error(self):
        # nova would take None for success of a volume that is not encrypted.
        self.answer(extend=answering(ok=True))
        self.assertRaises(volseal_os_brick.VolsealError,
                          self.encryptor().extend_volume, 'context')


class ExecuteTestCase(EncryptorTestCase):
    def test_runs_through_the_execute_of_the_service(self):
        seen = []

        def execute(*argv, **options):
            seen.append(options)
            options.pop('root_helper')
            return putils.execute(*argv, **{**options, 'run_as_root': False})

        encryptor = volseal_os_brick.VolsealEncryptor(
            'sudo helper',
            {'driver_volume_type': 'iscsi', 'data': {'device_path': '/d'}},
            KeyManager(Key()), execute, **ENCRYPTION)
        encryptor.attach_volume('context', **ENCRYPTION)
        self.assertEqual(
            [{'process_input': KEY, 'run_as_root': True,
              'check_exit_code': True}], seen)


@unittest.skipUnless(os.geteuid() == 0, 'needs root: it starts privsep')
class PrivsepTestCase(EncryptorTestCase):
    """Through os-brick's privsep daemon, over whose socket the key goes."""

    def run_commands_here(self):
        privileged.default.set_client_mode(True)
        privileged.default.start(priv_context.Method.FORK)
        self.addCleanup(privileged.default.stop)
        # The daemon, not this process, runs what is run as root.
        self.assertNotEqual(
            os.getpid(), int(rootwrap.execute(
                'sh', '-c', 'echo $PPID', run_as_root=True)[0]))

    def test_the_key_arrives_as_it_is(self):
        self.attach()
        [call] = self.calls()
        self.assertEqual(KEY.hex(), call['stdin'])

    def test_a_refusal_comes_back(self):
        self.answer(attach=refusing(20, 'wrong-key', 'the key does not fit'))
        with self.assertRaises(volseal_os_brick.VolsealError) as refused:
            self.attach()
        self.assertEqual(20, refused.exception.exit_code)


if __name__ == '__main__':
    unittest.main()
