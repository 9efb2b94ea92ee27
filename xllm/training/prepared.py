"""What training reads, made ready: the mixture as token ids, and what decides the run."""

import json
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerFast

from xllm import cache
from xllm.artifacts import model_folder
from xllm.errors import XllmError
from xllm.mixture.encoding import Encoded, check_any, check_ids, check_lost, encode
from xllm.mixture.load import load_mixture
from xllm.mixture.lock import check_lock
from xllm.mixture.mixture import Mixture, Selection
from xllm.models.load import load_config, load_tokenizer
from xllm.training import effects
from xllm.training.request import Request


@dataclass(frozen=True)
class Prepared:
    """What training reads: a base model's place and tokenizer, a mixture as token ids, and what the model is held to
    meanwhile."""

    source: str
    tokenizer: PreTrainedTokenizerFast
    mixture: Mixture
    encoded: Encoded
    held_out: Encoded | None
    questions: Mixture | None
    settings: dict[str, Any]  # all that decides what comes out of the run


def prepare(request: Request) -> Prepared:
    """Load and encode the mixture. Raises XllmError where nothing is left to train on."""
    data = request.data
    source = model_folder.find(data.base)
    tokenizer = load_tokenizer(source, data.special_tokens_in_data)
    selection = Selection(
        request.training.seed, data.mix_rows, data.mix_temperature, data.filter_parallel, data.drop_contaminated
    )
    mixture = load_mixture(data.mixture, "train", data.data_dir, selection)
    if data.lock is not None:
        check_lock(mixture, data.lock)
    how = request.template, data.model_max_length, data.num_proc, data.text_field
    encoded = encode(mixture, tokenizer, *how)
    check_any(encoded, data.model_max_length)
    vocabulary = load_config(source).vocab_size
    check_ids(encoded, vocabulary, data.base)
    effects.check_warmup(data.others, request.training, len(encoded.rows), request.rows_a_step)
    if data.max_lost is not None:
        check_lost(encoded, data.max_lost)
    if request.training.process_index == 0:
        print(encoded)
    held_out = None
    if data.eval_mixture:
        unseen = load_mixture(data.eval_mixture, data.eval_split, data.data_dir)
        held_out = encode(unseen, tokenizer, *how)
        if not len(held_out.kept):
            raise XllmError(f"no row of {data.eval_mixture} has any response left")
        check_ids(held_out, vocabulary, data.base)
    questions = load_mixture(data.dev, data.eval_split, data.data_dir) if data.dev else None
    facts = settings(request, source, mixture, encoded)
    return Prepared(source, tokenizer, mixture, encoded, held_out, questions, facts)


def settings(request: Request, source: str, mixture: Mixture, encoded: Encoded) -> dict[str, Any]:
    """All that decides what comes out of a run."""
    args, data = request.training, request.data
    return {
        "base": {"name": data.base, "sha256": cache.model_files(source)},
        "mixture": mixture.facts(),
        "encoding": {
            "template": request.template,
            "model_max_length": data.model_max_length,
            "text_field": data.text_field,
            "special_tokens_in_data": data.special_tokens_in_data,
            "terms": [term.facts() for term in encoded.terms],
        },
        "rows_a_step": request.rows_a_step,
        "averaged_rows": request.averaged_rows,
        "processes": request.processes,
        "training": json.loads(args.to_json_string()),
    }
