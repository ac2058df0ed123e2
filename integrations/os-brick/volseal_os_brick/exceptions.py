"""What volseal refuses, as os-brick's callers know it."""
from __future__ import annotations

from typing import Any, Optional

from os_brick import exception


class VolsealError(exception.BrickException):
    """volseal refused or failed, and said why.

    :ivar error: volseal's name of the reason, such as wrong-key or not-blank
    :ivar hint: what to do about it, or None
    :ivar exit_code: the exit code of the command
    """

    def __init__(self, action: str, answer: dict[str, Any],
                 exit_code: Optional[int]) -> None:
        self.error: str = answer.get('code', 'internal')
        self.hint: Optional[str] = answer.get('hint')
        self.exit_code = exit_code
        super().__init__(describe(action, answer))


def describe(action: str, answer: dict[str, Any]) -> str:
    """One sentence of what went wrong, with the way out."""
    message = 'volseal %s: %s' % (action, answer.get('message', 'failed'))
    hint = answer.get('hint')
    return '%s (%s)' % (message, hint) if hint else message
