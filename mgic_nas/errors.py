"""The exceptions that a user can act on: a wrong input, a machine that lacks something, an interruption."""

import difflib
import re
from collections.abc import Iterable

INSTALL = "pip install '.[search]' in a clone, or pip install 'mgic_nas[search]'"  # what searches need beside the rest
# Of the terminal, of lines, and those that turn the direction of what follows: names of files may hold any.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


def _line(message: object) -> str:
    return _CONTROL.sub(" ", str(message)).strip()


class UserError(ValueError):
    """Wrong input. The message is one line that says what is wrong and how to mend it.

    The command line prints it without a traceback and exits with 2. Control characters in it become spaces.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(_line(message))


class MachineFault(RuntimeError):
    """The machine lacks something (space, data, a permission); what is done is kept, and the same call goes on.

    The command line prints the message, one line, without a traceback and exits with ``code``. ``passing``: it may be
    over in a while, so a search that waits tries again.
    """

    def __init__(self, message: str, code: int = 1, passing: bool = True) -> None:
        super().__init__(_line(message))
        self.code = code
        self.passing = passing


class TrainingFailed(RuntimeError):
    """Some trainings failed by themselves, such as by a loss that diverged; the others are done.

    The command line prints the message, one line, without a traceback and exits with ``code``.
    """

    code = 1

    def __init__(self, message: str) -> None:
        super().__init__(_line(message))


class Interrupted(KeyboardInterrupt):
    """A search was ended from outside (Ctrl-C, SIGTERM); everything done so far is recorded.

    The command line prints the message, one line, and exits with ``code``: 128 and the signal's number.
    """

    def __init__(self, message: str = "interrupted; the same command goes on from here", code: int = 130) -> None:
        super().__init__(message)
        self.code = code


def did_you_mean(word: str, known: Iterable[str], limit: int = 3) -> str:
    """`` Did you mean a, b?`` for a mistyped name, or the known names where they are few, or nothing."""
    known = sorted(set(known))
    near = difflib.get_close_matches(word, known, n=limit)
    if near:
        return f" Did you mean {', '.join(near)}?"
    return f" Known: {', '.join(known)}." if 0 < len(known) <= 20 else ""
