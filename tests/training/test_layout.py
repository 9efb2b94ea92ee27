"""Rows into micro-batches."""

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xllm.packing.collate import IGNORED, packed_batch, padded_batch
from xllm.training.layout import Steps, bins_by_length, order, packed_bins, padded_bins

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 9), st.integers(500, 3000))
def test_every_row_lies_in_one_micro_batch_within_the_budget(lengths, ranks, budget):
    lengths = np.array(lengths)
    for bins, cost in ((packed_bins, np.sum), (padded_bins, lambda own: len(own) * max(own))):
        laid = bins(lengths, ranks, budget)
        assert len(laid) == ranks and len({len(rank) for rank in laid}) == 1
        rows = [row for rank in laid for own in rank for row in own]
        assert sorted(rows) == list(range(len(lengths)))
        assert all(cost(lengths[own]) <= budget for rank in laid for own in rank if len(own))


@given(LENGTHS, st.integers(1, 4), st.integers(1, 500), st.booleans())
def test_rows_on_both_sides_of_an_edge_do_not_meet(lengths, ranks, edge, packed):
    lengths = np.array(lengths)
    laid = bins_by_length(lengths, ranks, 1000, edge, packed=packed)
    assert len({len(rank) for rank in laid}) == 1
    bins = [own for rank in laid for own in rank if len(own)]
    assert sorted(row for own in bins for row in own) == list(range(len(lengths)))
    assert all(len(set(lengths[own] <= edge)) == 1 for own in bins)


def test_few_micro_batches_are_made_and_they_are_alike():
    lengths = np.random.default_rng(0).integers(20, 512, 128)
    [*ranks] = packed_bins(lengths, 4, 4096)
    assert len(ranks[0]) == -(-lengths.sum() // (4 * 4096))
    sums = [lengths[own].sum() for rank in ranks for own in rank]
    assert min(sums) > 0.98 * max(sums)


def test_padded_masks_and_labels_go_by_length_not_by_token_id():
    eos = pad = 0
    batch = padded_batch([np.array([5, 2, 7, eos]), np.array([6, eos])], np.array([2, 1]))
    assert batch["input_ids"].tolist() == [[5, 2, 7, eos], [6, eos, pad, pad]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 7, eos], [IGNORED, eos, IGNORED, IGNORED]]


def test_flat_rows_start_anew():
    batch = packed_batch([np.array([5, 2, 7, 0]), np.array([6, 0])], np.array([2, 1]))
    assert batch["input_ids"].tolist() == [[5, 2, 7, 0, 6, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1]]
    assert batch["targets"].tolist() == [7, 0, 0] and batch["places"].tolist() == [1, 2, 4]
    assert batch["target_rows"].tolist() == [0, 0, 1]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("ranks", [1, 3])
def test_a_step_has_the_rows_that_the_recipe_draws_but_the_dropped_ones(packed, ranks):
    lengths = np.random.default_rng(0).integers(2, 9, 22)
    lengths[np.random.default_rng(1).permutation(22)[:15]] = 0
    columns = {
        "input_ids": [[1] * length for length in lengths],
        "prompt_length": [min(1, length) for length in lengths],
        "row": [str(number) for number in range(22)],
    }
    rows = datasets.Dataset.from_dict(columns).with_format("numpy")
    steps = [Steps(rows, 3, 7, 20, packed=packed, rank=rank, ranks=ranks) for rank in range(ranks)]
    empty = 0
    for epoch in range(4):
        for own in steps:
            own.epoch = epoch
        assert {len(own) for own in steps} == {8}
        for step in range(8):
            items = [own[step] for own in steps]
            drawn = [row for row in order(22, 7, epoch)[3 * step : 3 * step + 3] if lengths[row]]
            names = [name for item in items for batch in item["names"] for name in batch]
            assert sorted(names) == sorted(map(str, drawn))
            assert len({len(item["micro_batches"]) for item in items}) == 1  # so that no rank waits for another
            for item in items:
                assert item["tokens"] == lengths[drawn].sum() and item["targets"] == item["tokens"] - len(drawn)
                assert bool(item["micro_batches"]) == bool(drawn)
            empty += not drawn
    assert empty
