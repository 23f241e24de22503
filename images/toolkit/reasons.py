"""Why a script failed, in its own words: the exception that it ended with, or the last line that says something.

`script` asks, with the end of what the script printed. Pure.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Collection
from dataclasses import dataclass, field

LONGEST_REASON = 900  # a FailureReason has 1,024 characters
END_OF_REASON = 300  # of a longer one
MOST_LINES = 4  # of an exception's text
_TRACEBACK = "Traceback (most recent call last)"
_RULE = re.compile(r"[^\w]*")
_MEMBER = re.compile(r"\s*\+[-+]*-+ \d+ -+\s*")  # of an exception group: +---------------- 2 ----------------
_BAR = re.compile(r"\d%\s*\||\d\s?(it/s|s/it)\b|[\u2588\u2501]{3}")
_LOG = re.compile(r"[\w./-]+:(\d+:)?\s|\[|\d{4}-|(DEBUG|INFO|WARNING|ERROR|CRITICAL|FATAL|Exception ignored)\b")
_MISSING_MODULE = re.compile(
    r"^(?:ModuleNotFound|Import)Error:.*?(?:No module named|Missing optional dependency|to install(?: the)?) '?([\w-]+)"
)
_PACKAGES = {  # whose modules have other names
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "skimage": "scikit-image",
}
_LINKS = ("The above exception was the direct cause", "During handling of the above exception")
_PLACE = re.compile(r'  File "(?:.*/)?([^/]+)", line (\d+)$')
_NO_PYTHON = ("SyntaxError", "IndentationError", "TabError")  # whose place is half of what they say
_CHANNEL = re.compile(r"SM_CHANNEL_\w+|/input/data/([\w.-]+)")


def ended_text(what: str, exit_code: int) -> str:
    """How a program ended, a signal by its name.

    >>> ended_text("train.py", 1), ended_text("train.py", 139)
    ('train.py ended with exit code 1', 'train.py was ended by SIGSEGV (exit code 139)')
    """
    name = _signal_of(exit_code)
    return f"{what} was ended by {name} (exit code {exit_code})" if name else f"{what} ended with exit code {exit_code}"


def reason_of(what: str, exit_code: int, *, errors: str, output: str, channels: Collection[str] = ()) -> str:
    """In one line. errors, output: the end of what was printed. channels: of the job, for a script that misses one."""
    exception, last_error = exception_in(errors), last_line(errors)
    if exit_code == 1 and (exception or last_error):  # as of an exception, and of sys.exit("text")
        reason = exception or last_error
    else:  # exceptions before it were handled
        last = next(
            filter(None, (last_line(text, bars=bars) for bars in (False, True) for text in (errors, output))), ""
        )
        reason = ended_text(what, exit_code) + (f"; the last it printed: {last}" if last else "")
    return _shortened(reason) + _channels_hint(reason, channels) + _module_hint(reason)


def _signal_of(exit_code: int) -> str:
    try:
        return signal.Signals(exit_code - 128).name
    except ValueError:
        return ""


def last_line(printed: str, *, bars: bool = True) -> str:
    """The last line with a word in it; '' if there is none. bars: whether progress bars count."""
    lines = (
        line for line in reversed(printed.split("\n")) if bars or not ("\r" in line.strip("\r") or _BAR.search(line))
    )
    plain = (line.split("\r")[-1].strip() or line.strip("\r ") for line in lines)
    return next((line for line in plain if not _RULE.fullmatch(line)), "")


@dataclass
class _Raised:
    """An exception as it was printed. cause: the one that it was raised from. members: of a group."""

    text: str
    cause: str = ""
    members: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        members = f": {'; '.join(self.members)}" if self.members else ""
        cause = f" (after {self.cause})" if self.cause and self.cause != self.text else ""
        return f"{self.text}{members}{cause}"


def exception_in(printed: str) -> str:
    """The exception that ended a script, as Python prints it (`ValueError: text`); '' if there is none.

    torchrun adds a report of its own, which only says that a process has failed.
    """
    raised: list[_Raised] = []
    is_in_traceback = is_member = is_linked = False
    place = ""
    rest = 0  # lines that may belong to the last exception's text
    for printed_line in printed.splitlines():
        line = re.sub(r"^\[\w*rank\d+\]: ?", "", printed_line)
        if _MEMBER.fullmatch(re.sub(r"^[\s|]*", "", line)):
            is_in_traceback = is_member = True
            continue
        is_of_group = line.lstrip().startswith(("|", "+"))
        line = re.sub(r"^\s*(\|\s*)*\| ?", "", line) if is_of_group else line
        if _TRACEBACK in line or line.startswith(_LINKS) or is_of_group:
            rest = 0
        if found := _PLACE.fullmatch(line):
            place = f" ({found[1]}, line {found[2]})"
            is_in_traceback = True  # there is no Traceback above it, if the script itself cannot be read
        elif _TRACEBACK in line:
            is_in_traceback, is_member = True, is_member and is_of_group
        elif line.startswith(_LINKS):
            is_linked = True
        elif is_in_traceback and line.strip() and not line.startswith((" ", "\t", "+")):
            is_in_traceback, rest = False, 0
            if is_member and raised:
                raised[-1].members.append(line.strip())
            elif "ChildFailedError" not in line:
                where = place if line.startswith(_NO_PYTHON) else ""
                raised.append(_Raised(line.strip() + where, raised[-1].text if is_linked and raised else ""))
                is_linked, rest = False, 0 if is_of_group else MOST_LINES - 1
        elif rest:
            is_text = bool(line.strip()) and not _LOG.match(line)
            rest = rest - 1 if is_text else 0
            raised[-1].text += f" {line.strip()}" if is_text else ""
    return str(raised[-1]) if raised else ""


def _shortened(reason: str) -> str:
    """Its beginning and its end, where the news is."""
    if len(reason) <= LONGEST_REASON:
        return reason
    return f"{reason[: LONGEST_REASON - END_OF_REASON]} … {reason[-END_OF_REASON:]}"


def _channels_hint(reason: str, channels: Collection[str]) -> str:
    """The channels there are, where a script looked for one that is not.

    >>> _channels_hint("KeyError: 'SM_CHANNEL_TRAIN'", ["training"])
    '; the channels of this job: training (SM_CHANNEL_TRAINING)'
    """
    found = _CHANNEL.search(reason)
    if not found or found[1] in channels or found[0] in {f"SM_CHANNEL_{name.upper()}" for name in channels}:
        return ""
    named = ", ".join(f"{name} (SM_CHANNEL_{name.upper()})" for name in channels)
    return f"; the channels of this job: {named}" if named else "; this job has no channels"


def _module_hint(reason: str) -> str:
    """
    >>> _module_hint("ModuleNotFoundError: No module named 'sklearn.svm'")
    '; add scikit-learn to requirements.txt beside the script'
    """
    missing = _MISSING_MODULE.match(reason)
    return f"; add {_PACKAGES.get(missing[1], missing[1])} to requirements.txt beside the script" if missing else ""
