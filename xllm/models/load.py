"""From a model's name to its folder, its tokenizer and its weights."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from xllm import control_tokens
from xllm.artifacts.model_folder import is_folder, run_facts
from xllm.errors import XllmError
from xllm.files import read_json
from xllm.models import empty_tokens
from xllm.models.families import TEXT_PART, check_causal

HEAD = "lm_head.weight"  # which may be that of the embeddings, and then isn't in the file

if TYPE_CHECKING:  # a stage that only needs a model's folder runs without torch
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


def check_weights(source: str) -> None:
    """Raise XllmError where a local model has no weights in safetensors, or lacks a part of them."""
    folder = Path(source)
    if not is_folder(folder):
        return
    index = folder / "model.safetensors.index.json"
    parts = set(read_json(index)["weight_map"].values()) if index.is_file() else {"model.safetensors"}
    if lacking := sorted(part for part in parts if not (folder / part).is_file()):
        raise XllmError(f"cannot read the weights (safetensors) of {source}: there is no {', '.join(lacking[:3])}")


def check_bits(bits: int) -> None:
    """Raise XllmError where weights of few bits can't be computed with."""
    import torch

    if not torch.cuda.is_available():
        raise XllmError(f"--load_in_{bits}bit: there is no GPU here, which bitsandbytes needs")
    if find_spec("bitsandbytes") is None:
        raise XllmError(f"--load_in_{bits}bit needs bitsandbytes: pip install bitsandbytes")


def load_config(source: str) -> Any:
    """The configuration of a model's language part. Raises XllmError where it can't be read."""
    return _configs(source)[1]


def load_causal_config(source: str) -> Any:
    """The same. Raises XllmError, too, where that isn't a causal language model."""
    config = load_config(source)
    check_causal(config)
    return config


def _configs(source: str) -> tuple[Any, Any]:
    """The configuration of a model, and of its language part, which may be all of it."""
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        whole = AutoConfig.from_pretrained(source, trust_remote_code=False)
        return whole, whole.get_text_config()
    except (OSError, ValueError, TypeError, KeyError, StrictDataclassError) as error:
        raise _unreadable("config", source, error) from error


def check_generation(source: str) -> None:
    """Raise XllmError where a model's generation config can't be read, and so the model neither."""
    from transformers import GenerationConfig

    try:
        GenerationConfig.from_pretrained(source)
    except OSError:
        return  # there is none; the model's configuration says what there is to say
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise _unreadable("generation_config.json", source, error) from error


def revision(source: str) -> str | None:
    """The commit of a hub model, once its configuration has been read; None for a folder."""
    from huggingface_hub import try_to_load_from_cache

    found = None if is_folder(Path(source)) else try_to_load_from_cache(source, "config.json")
    return Path(found).parent.name if isinstance(found, str) else None


def window(config: Any) -> int | None:
    """The longest sequence, in tokens, that a model can read; None where its positions have no end."""
    return getattr(config, "max_position_embeddings", None)


def check_id(largest: int, vocabulary: int, where: str, model: str) -> None:
    """Raise XllmError where the largest token id of a text is none that a model has an embedding for, of which it has a
    `vocabulary`."""
    if largest >= vocabulary:
        raise XllmError(
            f"{where} holds token {largest}, and {model} has embeddings for {vocabulary} tokens: "
            "its tokenizer is another model's, or tokens were added to it alone"
        )


def skeleton(config: Any, dtype: "torch.dtype | None" = None) -> "PreTrainedModel":
    """A model without its weights. Raises XllmError where it is not a causal language model."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, dtype=dtype or torch.float32, trust_remote_code=False)
    except KeyError as error:  # a name in the configuration, of an activation for one, that transformers hasn't
        raise XllmError(f"the configuration of this {config.model_type} model can't be: it names {error}") from error
    except ValueError as error:
        raise XllmError(f"a {config.model_type} model is not a causal language model") from error


def load_tokenizer(source: str, special_tokens_in_data: bool | None = None) -> "PreTrainedTokenizerFast":
    """A model's tokenizer, which takes control tokens in data for text or, if so said, for what they are; None: as in
    the model's tuning. Raises XllmError where there is none, or none that knows character offsets."""
    tokenizer = _read_tokenizer(source)
    if not tokenizer(
        "a", add_special_tokens=False
    ).input_ids:  # where files are missing, transformers makes an empty one
        raise XllmError(f"cannot read the tokenizer of {source}: it has no vocabulary")
    if not tokenizer.is_fast:
        raise XllmError(f"the tokenizer of {source} has no fast version, which the label boundary needs")
    if not tokenizer.eos_token or tokenizer.eos_token_id is None:
        file = empty_tokens.empty(source).get("eos_token", empty_tokens.CONFIG)
        raise XllmError(
            f"the tokenizer of {source} has no eos token, so that no answer could end; set eos_token in {file}"
        )
    _repair_bos(tokenizer)
    if special_tokens_in_data is None:
        special_tokens_in_data = run_facts(source).get("encoding", {}).get("special_tokens_in_data", False)
    if special_tokens_in_data:
        control_tokens.allow(tokenizer)
    return cast("PreTrainedTokenizerFast", tokenizer)


def _read_tokenizer(source: str) -> Any:
    """A tokenizer as its files have it, but with special tokens in place of empty ones (`empty_tokens`)."""
    from transformers import AutoTokenizer, LlamaTokenizer

    is_llama = empty_tokens.names_llama(source)
    replaced = empty_tokens.settings(source, is_llama)
    # transformers knows the class by one spelling alone, and reads LLaMA's file otherwise where it doesn't know it
    kind = LlamaTokenizer if is_llama and empty_tokens.from_sentencepiece(source) else AutoTokenizer
    try:
        tokenizer = kind.from_pretrained(source, trust_remote_code=False, **replaced)
    except (OSError, ValueError, LookupError) as error:
        raise _unreadable("tokenizer", source, error) from error
    except RecursionError as error:
        found = ", ".join(f"{name} in {file}" for name, file in empty_tokens.empty(source).items())
        raise XllmError(f"the tokenizer of {source} has empty special tokens; set {found or 'unk_token'}") from error
    for name, token in replaced.items():  # one that it lacks was given an id beyond its own
        if isinstance(token, str) and getattr(tokenizer, f"{name}_id") >= tokenizer.vocab_size:
            file = empty_tokens.empty(source)[name]
            raise XllmError(f"the vocabulary of {source} has no {token}; set {name} in {file} to what it has instead")
    return tokenizer


def _repair_bos(tokenizer: Any) -> None:
    """Let a tokenizer that is read from LLaMA's sentencepiece file begin texts with bos unless its settings say
    otherwise, as with transformers 4, and as LLaMA was trained; transformers 5 says that it does, but doesn't."""
    file = getattr(tokenizer, "vocab_file", None)
    from_sentencepiece = file is not None and not Path(file).with_name("tokenizer.json").exists()
    named = type(tokenizer).__name__.startswith("LlamaTokenizer")
    if from_sentencepiece and named and "add_bos_token" not in tokenizer.init_kwargs:
        tokenizer.add_bos_token = True


def load_model(source: str, dtype: "torch.dtype", **how: Any) -> "PreTrainedModel":
    """A causal language model with all its weights in `dtype`, on the CPU unless told `how` else; of one that sees or
    hears, too, the text part. safetensors only. Raises XllmError where that can't be, or weights are lacking."""
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    whole, config = _configs(source)
    check_causal(config)
    if whole is not config:
        how |= {"key_mapping": TEXT_PART}
    how |= {"dtype": dtype, "use_safetensors": True, "output_loading_info": True, "trust_remote_code": False}
    read: Any = AutoModelForCausalLM.from_pretrained  # typed without what `output_loading_info` adds
    try:
        model, found = read(source, config=config, **how)
        if found["missing_keys"] == {HEAD} and getattr(whole, "tie_word_embeddings", False):
            config.tie_word_embeddings = True  # which the text part's own configuration need not say
            model, found = read(source, config=config, **how)
    except (OSError, ValueError, KeyError, ImportError, SafetensorError) as error:
        raise _unreadable("weights (safetensors)", source, error) from error
    if lacking := sorted(found["missing_keys"]):
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise XllmError(f"the weights (safetensors) of {source} lack {', '.join(lacking[:3])}{more}")
    return cast("PreTrainedModel", model)


def _unreadable(what: str, source: str, error: Exception) -> XllmError:
    reason = " ".join(str(error).split())
    if "trust_remote_code" in reason:
        return XllmError(
            f"the {what} of {source} needs Python code that comes with it, which is never run "
            "(trust_remote_code=False); take a model that transformers itself has"
        )
    return XllmError(f"cannot read the {what} of {source}: {reason[:300]}")
