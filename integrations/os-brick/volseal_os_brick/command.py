"""Runs the command volseal; the only place that does."""
from __future__ import annotations

import json
import os
import tempfile
from typing import Any, Callable, Optional

from os_brick import exception
from oslo_concurrency import processutils as putils

from volseal_os_brick import exceptions

Json = dict[str, Any]


class Volseal:
    """The command, run as root in the way that os-brick runs cryptsetup.

    :param execute: an encryptor's own _execute
    """

    def __init__(self, command: str, execute: Callable[..., tuple[str, str]],
                 root_helper: Optional[str]) -> None:
        self._command = command
        self._execute = execute
        self._root_helper = root_helper

    def run(self, action: str, documents: dict[str, Json], *options: str,
            secret: Optional[bytes] = None) -> Json:
        """Runs one action and returns what it answers.

        :param documents: what the command reads from files, by option; no
                          secrets
        :param secret: for standard input: neither arguments, environment nor
                       a file ever hold it
        :raises: VolsealError, VolumeEncryptionNotSupported; or what execute
                 raises where volseal has not run at all
        """
        with tempfile.TemporaryDirectory(prefix='volseal-') as place:
            argv = [self._command, action, *options]
            for option, document in documents.items():
                argv += ['--' + option, _write(place, option, document)]
            try:
                stdout, _stderr = self._execute(
                    *argv, '--json', process_input=secret, run_as_root=True,
                    root_helper=self._root_helper, check_exit_code=True)
            except putils.ProcessExecutionError as error:
                answer = _parse(error.stdout)
                if 'error' not in answer:
                    raise
                raise _refusal(action, answer['error'], error) from error
        return _parse(stdout)


def _write(place: str, name: str, document: Json) -> str:
    path = os.path.join(place, name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, 'w', encoding='utf-8') as file:
        json.dump(document, file)
    return path


def _parse(stdout: Optional[str]) -> Json:
    """volseal answers with one JSON object, whatever happens."""
    try:
        answer = json.loads(stdout or '')
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _refusal(action: str, reason: Json,
             error: putils.ProcessExecutionError) -> exception.BrickException:
    if reason.get('code') == 'no-device':
        return exception.VolumeEncryptionNotSupported(
            exceptions.describe(action, reason))
    return exceptions.VolsealError(action, reason, error.exit_code)
