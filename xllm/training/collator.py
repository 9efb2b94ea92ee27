"""From encoded rows to a padded batch."""

import torch

IGNORED = -100  # the label that the loss leaves out


class Collator:
    """Pads rows on the right to the longest of them.

    Masks and labels go by length, never by token id: the pad token may be the eos token, which is trained on.
    """

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, rows: list[dict]) -> dict[str, torch.Tensor]:
        """Turn rows of `input_ids` and `prompt_length` into `input_ids`, `attention_mask`, `labels`: [rows, tokens]."""
        shape = len(rows), max(len(row["input_ids"]) for row in rows)
        ids, labels = torch.full(shape, self.pad_id), torch.full(shape, IGNORED)
        mask = torch.zeros(shape, dtype=torch.long)
        for i, row in enumerate(rows):
            tokens, length = torch.as_tensor(row["input_ids"]), len(row["input_ids"])
            ids[i, :length] = tokens
            mask[i, :length] = 1
            labels[i, row["prompt_length"] : length] = tokens[row["prompt_length"] :]
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}
