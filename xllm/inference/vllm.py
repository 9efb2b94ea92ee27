"""Answers by vLLM (https://docs.vllm.ai), which brings its own batching, cache and parallelism."""

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import torch
from transformers import GenerationConfig

from xllm.errors import XllmError
from xllm.inference.constrained import Trie
from xllm.inference.engine import Decoding, all_eos_token_ids, device_and_dtype, remaining
from xllm.inference.flags import FREE
from xllm.inference.ranks import Ranks
from xllm.models.load import load_config, load_tokenizer

ELSEWHERE = ("load_in_8bit", "load_in_4bit")  # flags that --engine hf takes


def check(args) -> None:
    """Raise XllmError where vLLM isn't there, or doesn't do what is asked."""
    if find_spec("vllm") is None:
        raise XllmError("--engine vllm needs vLLM: pip install 'xllm-toolkit[vllm]'")
    for flag in ELSEWHERE:
        if getattr(args, flag):
            raise XllmError(f"--{flag} goes with --engine hf")
    if args.labels not in (None, FREE):
        raise XllmError("--labels goes with --engine hf")
    if args.num_beams > 1:
        raise XllmError("--num_beams goes with --engine hf")
    if Ranks().count > 1:
        raise XllmError("--engine vllm takes all GPUs of the machine in one process; torchrun started several")


class VLLMEngine:
    """An engine on all GPUs of the machine."""

    rows, tokens = 512, 2**18  # that it is asked for at once; after that, they are in the journal

    def __init__(self, source: str) -> None:
        os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # stdout says where the answers are
        from vllm import LLM

        self.tokenizer = load_tokenizer(source)
        gpus, heads = max(1, torch.cuda.device_count()), load_config(source).num_attention_heads
        try:
            self.llm = LLM(
                source,
                dtype=device_and_dtype()[1],  # as with --engine hf, whatever the weights are stored in
                tensor_parallel_size=max(part for part in range(1, gpus + 1) if heads % part == 0),
                generation_config="vllm",
                trust_remote_code=False,
            )
        except (ValueError, RuntimeError) as error:
            raise XllmError(f"vLLM can't load {source}: {' '.join(str(error).split())[:300]}") from error
        self.window = self.llm.model_config.max_model_len
        self.vocabulary = self.llm.model_config.get_vocab_size()
        try:
            settings = GenerationConfig.from_pretrained(source)
        except OSError:  # a model need not have them apart; its config then says what ends an answer
            settings = GenerationConfig.from_model_config(load_config(source))
        self.eos_token_ids = all_eos_token_ids(settings, self.tokenizer)

    def generate(
        self, prompts: list[list[int]], decoding: Decoding, seeds: Sequence[int], tries: Sequence[Trie] | None = None
    ) -> Iterator[tuple[int, list[int]]]:
        """The number of each prompt and the token ids of its answer, all at the end; what is drawn for one depends on
        its seed alone."""
        assert tries is None  # `check` has refused --labels
        from vllm import SamplingParams

        settings = {"temperature": 0.0}
        if decoding.do_sample:
            settings = {
                "temperature": 1.0 if decoding.temperature is None else decoding.temperature,
                "top_p": 1.0 if decoding.top_p is None else decoding.top_p,
                "top_k": decoding.top_k or 0,
            }
        params = [
            SamplingParams(
                max_tokens=remaining(len(prompt), decoding.max_new_tokens, self.window),
                stop_token_ids=self.eos_token_ids,
                detokenize=False,
                seed=seed,
                **settings,
            )
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]
        outputs = self.llm.generate([{"prompt_token_ids": prompt} for prompt in prompts], params, use_tqdm=False)
        yield from enumerate(list(output.outputs[0].token_ids) for output in outputs)
