"""Attaches, extends or detaches a volume with the real os-brick, in the virtual machine.

Reads one JSON object from standard input: provider, device (a link to the volume's device), key
(hex), action (attach, extend, detach), and encryption (cipher, key_size) for formatting; if wished,
volumeId, and configuration, the text of the service's own configuration file. Answers with
{"commands": [[argv, exit code], …], "result": …} or {"commands": …, "error": "Class: text"}.
Only two things are not as in nova-compute: the key manager is an object that has the one key, and
commands run in this process instead of in the privsep daemon.
"""
import json
import sys
import tempfile

from os_brick import encryptors, privileged
from os_brick.privileged import rootwrap
from oslo_concurrency import processutils
from oslo_config import cfg

request = json.load(sys.stdin)
with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
    file.write(request.get("configuration", ""))
    file.flush()
    cfg.CONF(["--config-file", file.name], project="nova")
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
    def get(self, context, key_id):
        return self

    def get_encoded(self):
        return bytes.fromhex(request["key"])


encryptor = encryptors.get_volume_encryptor(
    root_helper="",
    connection_info={
        "driver_volume_type": "iscsi",
        "data": {"device_path": request["device"], "volume_id": request.get("volumeId", "volume"),
                 "encrypted": True},
    },
    keymgr=OneKey(),
    control_location="front-end",
    provider=request["provider"],
    encryption_key_id="key",
)
actions = {
    "attach": lambda: encryptor.attach_volume(None, **request["encryption"]),
    "extend": lambda: encryptor.extend_volume(None, **request["encryption"]),
    "detach": lambda: encryptor.detach_volume(**request["encryption"]),
}
try:
    answer = {"result": actions[request["action"]]()}
except Exception as error:  # whatever os-brick raises is its answer
    answer = {"error": "%s: %s" % (type(error).__name__, error)}
print(json.dumps({"commands": commands, **answer}))
