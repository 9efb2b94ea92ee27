"""Reading the flags of `train` and `infer` into dataclasses; mistakes are one line, found before any work."""

import argparse

from transformers import HfArgumentParser

from xllm.errors import XllmError, unknown


class FlagParser(HfArgumentParser):
    """An HfArgumentParser whose first words are the command's positional ones, such as BASE and MIXTURE."""

    def __init__(self, command: str, words: dict[str, str], dataclasses: list[type]) -> None:
        """`words` maps each positional word to its help; one whose help starts with "(" may be left out."""
        super().__init__(dataclasses, prog=f"python -m xllm {command}", allow_abbrev=False)
        for word, help_line in words.items():
            self.add_argument(word, nargs="?" if help_line.startswith("(") else None, help=help_line)

    def known(self, argv: list[str]) -> argparse.Namespace:
        """The values as argparse reads them. Raises XllmError for a flag that there isn't."""
        namespace, left = self.parse_known_args(argv)
        for word in left:
            if word.startswith("--"):
                flags = [flag for flag in self._option_string_actions if "-" not in flag[2:]]
                raise unknown("flag", word.partition("=")[0], flags, f"see {self.prog} --help")
        if left:
            raise XllmError(f"cannot place {left[0]!r} on the command line; see {self.prog} --help")
        return namespace

    def read(self, argv: list[str]) -> tuple:
        """The dataclasses, filled, and last the namespace of the positional words."""
        self.known(argv)
        try:
            return self.parse_args_into_dataclasses(argv, look_for_args_file=False)
        except (ValueError, ImportError, OSError) as error:  # TrainingArguments checks its values as it is made
            raise XllmError(str(error)) from error

    def error(self, message: str) -> None:
        raise XllmError(f"{message}; see {self.prog} --help")
