"""The command line of the chat page."""

from dataclasses import dataclass

from xllm.cli import Flags, flag, switch, word


@dataclass(frozen=True)
class ChatFlags(Flags):
    models: tuple[str, ...] = word("Folders, names under model/, or hub ids.", many=True)
    host: str = flag("The address to serve on; 127.0.0.1 is this machine alone.", "127.0.0.1")
    port: int | None = flag("The port.", least=1, most=65535, shown="the first free one from 7860")
    share: bool = switch("A public link, by way of gradio's own server.")
    auth: str | None = flag("Where user:password stands, one a line.", metavar="env:NAME|FILE")
    openai: bool = switch("Serve OpenAI's API too, at /v1.")
    max_prompt: int = flag("Tokens of a prompt, at most.", 4096, least=1)
    max_answer: int = flag("Tokens of an answer, at most.", 2048, least=1)
    at_once: int = flag("Answers written at a time; others wait.", 2, least=1)
    load_in_8bit: bool = switch("Weights of 8 bits (bitsandbytes, on a GPU).")
    load_in_4bit: bool = switch("Weights of 4 bits (bitsandbytes, on a GPU).")
