"""Padded batches."""

from xllm.training.collator import IGNORED, Collator


def test_masks_and_labels_go_by_length_not_by_token_id():
    eos = pad = 2
    batch = Collator(pad)(
        [{"input_ids": [5, 2, 7, eos], "prompt_length": 2}, {"input_ids": [6, eos], "prompt_length": 1}]
    )
    assert batch["input_ids"].tolist() == [[5, 2, 7, 2], [6, 2, 2, 2]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, IGNORED, 7, 2], [IGNORED, 2, IGNORED, IGNORED]]
