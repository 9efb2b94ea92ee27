"""Numbers among the flags of the commands that fire serves, which hands them on as the text that was typed."""

from xllm.errors import XllmError


def whole_number(flag: str, text: str, least: int = 1) -> int:
    """The value of a flag that counts something. Raises XllmError for any other text, and below `least`."""
    if not (text.isascii() and text.isdecimal()) or int(text) < least:
        raise XllmError(f"--{flag} {text}: it must be a whole number, {least} or more")
    return int(text)


def above_zero(flag: str, text: str) -> float:
    """The value of a flag that measures something. Raises XllmError for any other text, and for 0 and below."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise XllmError(f"--{flag} {text}: it must be a number above 0")
    return value
