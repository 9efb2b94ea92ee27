"""Prompts that begin alike, computed once: a batch as a tree of its token ids, and the attention over it.

The tokens of a tree lie end to end, without padding, each node's tokens after those of the node above it. A token sees
what is before it in its own node and in those above, so a prompt is computed as if it were alone.
"""

from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel

from xllm.packing.attention import attend, attend_where, visible
from xllm.packing.internals import attention_of, layer_number
from xllm.packing.lengths import turns_by_length
from xllm.packing.structure import only_attention_mixes

NAME = "tree"  # under which transformers knows the attention
SHARED = 16  # tokens that prompts must have in common, at least, to share them: a node costs a call in each layer


@dataclass(frozen=True)
class Node:
    """A run of tokens of the tree."""

    start: int  # place of its first token
    length: int
    above: tuple[int, ...]  # places of the tokens before it


class Tree:
    """Sequences of token ids, what they have in common stored once.

    `ids` and `positions` are [tokens]; `places[i]` says where each token of sequence i lies.
    """

    def __init__(self, sequences: list[list[int]]) -> None:
        self.nodes: list[Node] = []
        self.places: list[tuple[int, ...]] = [()] * len(sequences)
        ids: list[int] = []
        positions: list[int] = []

        def grow(members: list[int], depth: int, above: tuple[int, ...]) -> None:
            """Add nodes for sequences that begin alike up to `depth`, which lies at `above`; they are sorted."""
            for run in _alike(members, sequences, depth + SHARED):
                first, last = sequences[run[0]], sequences[run[-1]]
                # of token ids, not of paths
                end = len(commonprefix([first, last])) if len(run) > 1 else len(first)  # noqa: RUF071
                own = tuple(range(len(ids), len(ids) + end - depth))
                if own:
                    self.nodes.append(Node(len(ids), len(own), above))
                    ids.extend(first[depth:end])
                    positions.extend(range(depth, end))
                ended = [number for number in run if len(sequences[number]) == end]
                for number in ended:
                    self.places[number] = above + own
                if len(ended) < len(run):
                    grow([number for number in run if len(sequences[number]) > end], end, above + own)

        grow(sorted(range(len(sequences)), key=sequences.__getitem__), 0, ())
        self.ids, self.positions = torch.tensor(ids), torch.tensor(positions)


def _alike(members: list[int], sequences: list[list[int]], least: int) -> list[list[int]]:
    """Sorted sequences in runs, of which neighbours have the first `least` tokens in common."""
    runs: list[list[int]] = []
    for number in members:
        sequence = sequences[number]
        if runs and len(sequence) >= least and sequences[runs[-1][-1]][:least] == sequence[:least]:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


class Cache:
    """Keys and values of the rows of a batch, by layer: a row gets a token at each step, and rows may leave.

    A layer's are [rows, heads, `most`, size], the tokens of a row at the front of its `most`.
    """

    def __init__(self, places: list[tuple[int, ...]], most: int, device: torch.device) -> None:
        self.lengths = [len(row) for row in places]
        self.most, longest = most, max(self.lengths)
        self.places = torch.tensor([[*row, *[0] * (longest - len(row))] for row in places], device=device)
        self.layers: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def fill(self, layer: int, *tensors: torch.Tensor) -> None:
        """Take a layer's keys and values, each [1, heads, tokens of the tree, size]."""
        rows, longest = self.places.shape
        # zeros, for what a row doesn't see counts nothing only where it is a number
        keys, values = (tensor.new_zeros(rows, tensor.shape[1], self.most, tensor.shape[3]) for tensor in tensors)
        self.layers[layer] = keys, values
        for own, tensor in zip(self.layers[layer], tensors, strict=True):
            own[:, :, :longest] = tensor[0][:, self.places].transpose(0, 1)

    def step(self) -> torch.Tensor:
        """Make room for a token in each row; the positions of these tokens, as [rows, 1]."""
        self.at = torch.tensor(self.lengths, device=self.places.device)
        self.rows = torch.arange(len(self.lengths), device=self.places.device)
        self.lengths = [length + 1 for length in self.lengths]
        # by window: what these tokens see, which is the same in all layers that have it
        self.seen: dict[int | None, torch.Tensor] = {}
        return self.at[:, None]

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float | None,
        window: int | None,
        softcap: float | None,
    ) -> torch.Tensor:
        """Put a token into each row, and let it see the row. query, and what is returned, is [rows, heads, 1, size]."""
        rows, heads, longest, kept = query.shape[0], key.shape[1], max(self.lengths), self.layers[layer]
        if window not in self.seen:
            self.seen[window] = visible(self.at, longest, window)[:, None, None]
        for own, new in zip(kept, (key, value), strict=True):
            own[self.rows, :, self.at] = new[:, :, 0]
        keys, values = (own[:rows, :, :longest] for own in kept)
        grouped = query.view(rows, heads, -1, query.shape[3])  # heads that share a key are as good as tokens
        return attend_where(self.seen[window], grouped, keys, values, scaling=scaling, softcap=softcap).reshape(
            query.shape
        )

    def drop(self, row: int) -> None:
        """Let a row leave; the last one takes its place."""
        last = len(self.lengths) - 1
        if row != last:
            for tensor in (tensor for layer in self.layers.values() for tensor in layer):
                tensor[row, :, : self.lengths[last]] = tensor[last, :, : self.lengths[last]]
            self.lengths[row] = self.lengths[last]
        del self.lengths[last]


class Prefill:
    """The attention over a tree, whose keys and values go to a `cache`, if there is one."""

    def __init__(self, tree: Tree, cache: Cache | None, device: torch.device) -> None:
        self.nodes, self.cache = tree.nodes, cache
        self.above = [torch.tensor(node.above, dtype=torch.long, device=device) for node in tree.nodes]

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scaling: float | None,
        window: int | None,
        softcap: float | None,
    ) -> torch.Tensor:
        """query is [1, heads, tokens of the tree, size], as is what is returned."""
        out = torch.empty_like(query)
        for node, above in zip(self.nodes, self.above, strict=True):
            own = slice(node.start, node.start + node.length)
            seen = [
                torch.cat([tensor[:, :, above], tensor[:, :, own]], 2) if node.above else tensor[:, :, own]
                for tensor in (key, value)
            ]
            out[:, :, own] = attend(query[:, :, own], *seen, scaling=scaling, window=window, softcap=softcap)
        if self.cache is not None:
            self.cache.fill(layer, key, value)
        return out


def tree_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    *,
    tokens: "Prefill | Cache",
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """What transformers calls; `tokens`, a `Prefill` or a `Cache`, says which tokens see which."""
    if others.get("s_aux") is not None:
        raise TypeError("attention sinks")
    out = tokens.attend(layer_number(module), query, key, value, scaling, sliding_window, softcap)
    return out.transpose(1, 2).contiguous(), None


def attend_by_tree(model: PreTrainedModel) -> bool:
    """Let a model attend as above, when it is called with `tokens`. False, and nothing is changed, where that makes a
    difference: a model whose attention can't be replaced, or does more than transformers tells."""
    config = model.config.get_text_config()
    if not model.is_backend_compatible() or turns_by_length(config) or getattr(config, "attention_chunk_size", None):
        return False
    if not (getattr(model, "is_quantized", False) or only_attention_mixes(model)):  # few bits need not have gradients
        return False
    AttentionInterface.register(NAME, tree_attention)
    before, vocab_size = attention_of(model), model.config.get_text_config().vocab_size
    generator = torch.Generator().manual_seed(0)
    row = torch.randint(vocab_size, (_probe(model),), generator=generator).tolist()
    try:
        with torch.inference_mode():
            model.set_attn_implementation("eager")  # which leaves nothing out that a model says of its attention
            plain = model(torch.tensor([row], device=model.device), use_cache=False).logits[0, [-2, -1]]
            model.set_attn_implementation(NAME)
            cache = Cache([tuple(range(len(row) - 1))], len(row), model.device)
            first = logits(model, Tree([row[:-1]]), [len(row) - 2], cache)
            found = torch.cat([first, next_logits(model, row[-1:], cache)])
    except (TypeError, ValueError, RuntimeError, AttributeError):
        model.set_attn_implementation(before)
        return False
    if torch.allclose(found.float().softmax(-1), plain.float().softmax(-1), atol=TOLERANCE[found.dtype]):
        return True
    model.set_attn_implementation(before)
    return False


TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 5e-3}  # of a word's probability


def _probe(model: PreTrainedModel) -> int:
    """A length that reaches beyond a sliding window, where that isn't too long to try."""
    window = getattr(model.config.get_text_config(), "sliding_window", None) or 0
    return window + 9 if window < 2000 else 33


def logits(model: PreTrainedModel, tree: Tree, places: list[int], cache: Cache | None = None) -> torch.Tensor:
    """What the model says after the tokens at `places` of a tree, [places, vocab_size]; fills the cache, if there is
    one."""
    device = model.device
    return model(
        input_ids=tree.ids[None].to(device),
        position_ids=tree.positions[None].to(device),
        logits_to_keep=torch.tensor(places, device=device),
        use_cache=False,
        tokens=Prefill(tree, cache, device),
    ).logits[0]


def next_logits(model: PreTrainedModel, ids: list[int], cache: Cache) -> torch.Tensor:
    """What the model says after one more token in each row of a cache: [rows, vocab_size]."""
    positions = cache.step()
    last = torch.tensor(ids, device=model.device)[:, None]
    return model(input_ids=last, position_ids=positions, use_cache=False, tokens=cache).logits[:, -1]


def log_probabilities(model: PreTrainedModel, sequences: list[list[int]], starts: list[int]) -> list[torch.Tensor]:
    """The natural logarithm of the probability of each token of a sequence from `starts` on, given all before it."""
    read = [sequence[:-1] for sequence in sequences]  # nothing follows the last token
    with torch.inference_mode():
        if attention_of(model) != NAME:
            said = [model(torch.tensor([ids], device=model.device), use_cache=False).logits[0] for ids in read]
            return [
                _of(each[start - 1 :], sequence[start:])
                for each, sequence, start in zip(said, sequences, starts, strict=True)
            ]
        tree = Tree(read)
        spans = [places[start - 1 :] for places, start in zip(tree.places, starts, strict=True)]
        wanted = sorted({place for span in spans for place in span})
        scores, rank = logits(model, tree, wanted), {place: number for number, place in enumerate(wanted)}
        return [
            _of(scores[[rank[place] for place in span]], sequence[start:])
            for span, sequence, start in zip(spans, sequences, starts, strict=True)
        ]


def _of(said: torch.Tensor, tokens: list[int]) -> torch.Tensor:
    said = said.float()
    chosen = said.gather(-1, torch.tensor(tokens, dtype=torch.long, device=said.device)[:, None])[:, 0]
    return (chosen - said.logsumexp(-1)).cpu()
