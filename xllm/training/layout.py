"""Which rows an optimizer step has, and how they lie in micro-batches.

A step has the rows that the reference's recipe gives it: those of a random order of the epoch, so many at a time. A row
that is dropped, since the length limit leaves it no target, takes part in the order all the same, and leaves its step a
row short. A step of dropped rows alone counts, too: its gradient is zero.

How rows are laid out over ranks and micro-batches is a matter of speed alone: the loss is the mean over the target
tokens of the whole step, so the trajectory doesn't depend on it.
"""

import heapq
import math
from operator import itemgetter

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from xllm.packing.collate import packed_batch, padded_batch, without_targets


def order(rows: int, seed: int, epoch: int) -> np.ndarray:
    """The row numbers of an epoch in the order in which Trainer (with accelerate's seedable sampler) draws them."""
    return torch.randperm(rows, generator=torch.Generator().manual_seed(seed + epoch)).numpy()


def packed_bins(lengths: np.ndarray, ranks: int, budget: int) -> list[list[np.ndarray]]:
    """Lay rows out in micro-batches of at most `budget` tokens, as few as will do, and as many on each rank.

    Returns, for each rank, the row positions of each of its micro-batches (which may be empty where there are fewer
    rows than micro-batches). The longest row goes to the emptiest micro-batch, and so on down.
    """
    assert lengths.max() <= budget
    longest_first = np.argsort(-lengths, kind="stable")
    count = math.ceil(lengths.sum() / (ranks * budget))
    while True:
        bins = _fill(longest_first, lengths, ranks * count)
        if all(lengths[rows].sum() <= budget for rows in bins):
            return [bins[rank::ranks] for rank in range(ranks)]
        count += 1


def _fill(longest_first: np.ndarray, lengths: np.ndarray, count: int) -> list[np.ndarray]:
    """So many bins, the fullest first."""
    heap = [(0, number) for number in range(count)]
    bins: list[list[int]] = [[] for _ in range(count)]
    for row in longest_first:
        load, number = heapq.heappop(heap)
        bins[number].append(row)
        heapq.heappush(heap, (load + int(lengths[row]), number))
    filled = [np.array(sorted(rows), np.int64) for rows in bins]
    return sorted(filled, key=lambda rows: -lengths[rows].sum())


def padded_bins(lengths: np.ndarray, ranks: int, budget: int) -> list[list[np.ndarray]]:
    """The same for rows that are padded to the longest of their micro-batch: rows of like length go together."""
    assert lengths.max() <= budget
    bins: list[list[int]] = []
    for row in np.argsort(-lengths, kind="stable"):
        if not bins or (len(bins[-1]) + 1) * lengths[bins[-1][0]] > budget:
            bins.append([])
        bins[-1].append(row)
    bins += [[]] * (-len(bins) % ranks)
    return [[np.array(rows, np.int64) for rows in bins[rank::ranks]] for rank in range(ranks)]


def bins_by_length(
    lengths: np.ndarray, ranks: int, budget: int, edge: int | None, *, packed: bool
) -> list[list[np.ndarray]]:
    """Packed or padded bins, in which rows of up to `edge` tokens and longer ones don't meet: such a model turns all of
    a micro-batch by its longest row (`xllm.packing.lengths`)."""
    parts = (
        [np.arange(len(lengths))] if edge is None else [np.flatnonzero(lengths <= edge), np.flatnonzero(lengths > edge)]
    )
    found: list[list[np.ndarray]] = [[] for _ in range(ranks)]
    for part in parts:
        if len(part):
            bins = (packed_bins if packed else padded_bins)(lengths[part], ranks, budget)
            for own, rank in zip(found, bins, strict=True):
                own += [part[rows] for rows in rank]
    return found


def reference_weights(places: np.ndarray, targets: np.ndarray, rows: int, ranks: int) -> np.ndarray:
    """What a target of each row counts for where the loss is the mean of micro-batches' means, as with transformers
    4.29; 1 on the mean over all targets.

    There, rank r of `ranks` has each `ranks`-th row of a step from its r-th on, and micro-batches of so many `rows`;
    ranks' means are averaged. `places` are the rows' in the step, `targets` their numbers of target tokens. A
    micro-batch without any target, whose mean isn't a number there, isn't counted here.
    """
    numbers = places // ranks // rows * ranks + places % ranks
    _, batches = np.unique(numbers, return_inverse=True)
    sums = np.bincount(batches, targets)
    return targets.sum() / (len(sums) * sums[batches])


class Steps(Dataset):
    """The optimizer steps of an epoch, each as the micro-batches of one rank.

    `rows` are those of `Encoded`; dropped ones have no tokens. An item has `micro_batches`, `names` (of the rows of
    each), and of the whole step, over all ranks, `targets` (tokens that are trained on), `tokens`, `squares` (of the
    rows' lengths) and `padded` (tokens with the padding). `averaged_rows` is how many rows the reference's
    micro-batches have, where rows are to count as there.
    """

    def __init__(
        self,
        rows,
        rows_a_step: int,
        seed: int,
        budget: int,
        *,
        packed: bool,
        rank: int,
        ranks: int,
        edge: int | None = None,
        averaged_rows: int | None = None,
    ) -> None:
        self.rows, self.rows_a_step, self.seed, self.budget = rows, rows_a_step, seed, budget
        self.packed, self.rank, self.ranks, self.edge, self.averaged_rows = packed, rank, ranks, edge, averaged_rows
        self.epoch = 0
        self._order: tuple[int, np.ndarray] | None = None

    def __len__(self) -> int:
        return math.ceil(len(self.rows) / self.rows_a_step)

    def numbers(self, step: int) -> np.ndarray:
        """The numbers of a step's rows."""
        if self._order is None or self._order[0] != self.epoch:
            self._order = self.epoch, order(len(self.rows), self.seed, self.epoch)
        return self._order[1][step * self.rows_a_step : (step + 1) * self.rows_a_step]

    def __getitem__(self, step: int) -> dict:
        rows = self.rows[self.numbers(step)]
        kept = np.flatnonzero([len(row) for row in rows["input_ids"]])  # those that aren't dropped
        ids, prompts = [rows["input_ids"][row] for row in kept], np.asarray(rows["prompt_length"])[kept]
        lengths = np.array([len(row) for row in ids], np.int64)
        bins = self._bins(lengths)
        make = packed_batch if self.packed else padded_batch
        weights = None
        if self.averaged_rows is not None:
            weights = reference_weights(kept, lengths - prompts, self.averaged_rows, self.ranks)
        batches, names = [], []
        for own in bins[self.rank]:
            if len(own):
                batches.append(make([ids[row] for row in own], prompts[own], None if weights is None else weights[own]))
            else:
                shortest = int(lengths.argmin())
                batches.append(without_targets(make([ids[shortest]], prompts[[shortest]])))
            names.append([rows["row"][row] for row in kept[own]])
        width = sum(len(own) * lengths[own].max() for rank in bins for own in rank if len(own))
        return {
            "micro_batches": batches,
            "names": names,
            "targets": int((lengths - prompts).sum()),
            "tokens": int(lengths.sum()),
            "squares": int((lengths**2).sum()),
            "padded": int(lengths.sum() if self.packed else width),
        }

    def _bins(self, lengths: np.ndarray) -> list[list[np.ndarray]]:
        """For each rank the rows of its micro-batches, of which there are none where there are no rows."""
        if not len(lengths):
            return [[]] * self.ranks
        return bins_by_length(lengths, self.ranks, self.budget, self.edge, packed=self.packed)


def loader(steps: Steps, workers: int) -> DataLoader:
    """The steps of an epoch in their order, one at a time."""
    return DataLoader(
        steps, batch_size=1, sampler=SequentialSampler(steps), collate_fn=itemgetter(0), num_workers=workers
    )
