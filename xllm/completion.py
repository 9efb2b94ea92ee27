"""`xllm completion`: Tab completion for bash, zsh and fish, by shtab."""

from dataclasses import dataclass

from xllm.cli import Flags, parser_of, word

SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True)
class CompletionFlags(Flags):
    shell: str = word("The shell.", choices=SHELLS)


def completion(flags: CompletionFlags) -> None:
    """Print the completion script of a shell."""
    import shtab

    from xllm.__main__ import COMMANDS

    print(shtab.complete(parser_of(COMMANDS.values()), flags.shell))
