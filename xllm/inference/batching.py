"""Which prompts are answered together: those that begin alike, then those of like length, within a budget of tokens.

The plan comes from the prompts and the settings alone, so that a run that goes on after it was killed computes what
it would have computed.
"""

from typing import Any, TypeVar

import torch

Key = TypeVar("Key", int, str)  # a row's number, or a line to translate

# of keys and values that a batch may fill: bytes of a CPU's memory, and a share of a GPU's, which what was computed
# before doesn't change
ON_CPU, SHARE = 2**30, 0.3
TOKENS = 2**16  # beyond which nothing is gained


def plan(prompts: dict[Key, list[int]], max_new_tokens: int, budget: int, most: int) -> list[list[Key]]:
    """Batches of the keys of `prompts`, the longest first.

    A batch holds no more than `budget` tokens, each row counting as its longest prompt and `max_new_tokens` more, and
    no more than `most` rows; but one row at least.
    """
    batches: list[list[Key]] = []
    longest = 0
    for key in _ordered(prompts):
        longest = max(longest, len(prompts[key]) + max_new_tokens)
        if batches and len(batches[-1]) < most and (len(batches[-1]) + 1) * longest <= budget:
            batches[-1].append(key)
        else:
            batches.append([key])
            longest = len(prompts[key]) + max_new_tokens
    return sorted(batches, key=lambda batch: -max(len(prompts[row]) for row in batch))


def _ordered(prompts: dict[Key, list[int]]) -> list[Key]:
    """The keys, those together whose prompts have more in common than not; the longest of these groups first."""
    groups: list[list[Key]] = []
    for key in sorted(prompts, key=lambda key: (prompts[key], key)):
        prompt = prompts[key]
        half = len(prompt) // 2 + 1
        if groups and prompts[groups[-1][-1]][:half] == prompt[:half]:
            groups[-1].append(key)
        else:
            groups.append([key])
    for group in groups:
        group.sort(key=lambda key: (-len(prompts[key]), key))
    groups.sort(key=lambda group: (-len(prompts[group[0]]), group[0]))
    return [key for group in groups for key in group]


def deal(batches: list[list[Key]], costs: list[int], ranks: int) -> list[list[list[Key]]]:
    """The batches of each rank: the dearest goes to whoever has the least so far, and so on down."""
    dealt: list[list[list[Key]]] = [[] for _ in range(ranks)]
    loads = [0] * ranks
    for batch, cost in sorted(zip(batches, costs, strict=True), key=lambda pair: -pair[1]):
        rank = loads.index(min(loads))
        dealt[rank].append(batch)
        loads[rank] += cost
    return dealt


def tokens_that_fit(config: Any, dtype: torch.dtype) -> int:
    """How many tokens' keys and values fit into what a batch may fill of this machine's memory, TOKENS at most."""
    queries = getattr(config, "num_attention_heads", None)
    if queries is None:  # no attention, nothing to keep
        return TOKENS
    size = getattr(config, "head_dim", None) or config.hidden_size // queries
    heads = getattr(config, "num_key_value_heads", None) or queries
    each = 2 * config.num_hidden_layers * heads * size * dtype.itemsize
    memory = SHARE * torch.cuda.mem_get_info()[1] if torch.cuda.is_available() else ON_CPU
    return min(TOKENS, max(1, int(memory // each)))
