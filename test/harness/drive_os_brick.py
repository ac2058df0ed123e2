"""Attaches, extends and detaches volumes with the real os-brick, in the virtual machine.

Reads a JSON object from each line of standard input: provider, device (a link to the volume's
device), key (hex), action (attach, extend, detach), and encryption, the metadata as nova has it;
if wished, volumeId, and configuration, the text of the service's own configuration file. Answers in
a line of its own with {"commands": [[argv, exit code], …], "result": …} or {"commands": …,
"error": "Class: text"}.
Only two things are not as in nova-compute: the key manager is an object that has the one key, and
commands run in this process instead of in the privsep daemon.
"""
import importlib
import json
import os
import sys
import tempfile

from os_brick import encryptors, privileged
from os_brick.privileged import rootwrap
from oslo_concurrency import processutils
from oslo_config import cfg

# os-brick's own encryptors, which its factory imports when one is asked for.
importlib.import_module("os_brick.encryptors.luks")
privileged.default.set_client_mode(False)
commands = []
execute = rootwrap.custom_execute


def traced(*argv, **options):
    try:
        answer = execute(*argv, **options)
    except processutils.ProcessExecutionError as error:
        commands.append([list(map(str, argv)), error.exit_code])
        raise
    commands.append([list(map(str, argv)), 0])
    return answer


rootwrap.custom_execute = traced


class OneKey:
    def __init__(self, key):
        self.key = bytes.fromhex(key)

    def get(self, context, key_id):
        return self

    def get_encoded(self):
        return self.key


def configure(text):
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(text)
        file.flush()
        cfg.CONF(["--config-file", file.name], project="nova")


def answer(request):
    configure(request.get("configuration", ""))
    encryption = request["encryption"]
    encryptor = encryptors.get_volume_encryptor(
        root_helper="",
        connection_info={
            "driver_volume_type": "iscsi",
            "data": {"device_path": request["device"],
                     "volume_id": request.get("volumeId", "volume"), "encrypted": True},
        },
        keymgr=OneKey(request["key"]),
        control_location="front-end",
        provider=request["provider"],
        encryption_key_id=encryption["encryption_key_id"],
    )
    actions = {
        "attach": lambda: encryptor.attach_volume(None, **encryption),
        "extend": lambda: encryptor.extend_volume(None, **encryption),
        "detach": lambda: encryptor.detach_volume(**encryption),
    }
    try:
        return {"result": actions[request["action"]]()}
    except Exception as error:  # whatever os-brick raises is its answer
        return {"error": "%s: %s" % (type(error).__name__, error)}


# The imports take seconds in an emulated machine, and are the same each time; a process of its own
# for each request keeps what os-brick and oslo.config remember from the next one.
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        said = answer(json.loads(line))
        print(json.dumps({"commands": commands, **said}), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("a request was not answered")
