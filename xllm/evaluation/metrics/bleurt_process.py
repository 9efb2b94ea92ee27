"""Run by another Python than ours, one that has bleurt-pytorch: {"model", "pairs": [[reference, prediction], …]} comes
on stdin, and the scores go to stdout, a JSON list on the last line."""

import json
import sys

BATCH = 16  # pairs


def main() -> None:
    import torch
    from bleurt_pytorch import BleurtForSequenceClassification, BleurtTokenizer

    asked = json.load(sys.stdin)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = BleurtForSequenceClassification.from_pretrained(asked["model"], use_safetensors=True).to(device).eval()
    tokenizer = BleurtTokenizer.from_pretrained(asked["model"])
    window = {"truncation": True, "max_length": model.config.max_position_embeddings}
    pairs, scores = asked["pairs"], [0.0] * len(asked["pairs"])
    longest_first = sorted(range(len(pairs)), key=lambda index: -sum(map(len, pairs[index])))
    with torch.inference_mode():
        for start in range(0, len(pairs), BATCH):
            batch = longest_first[start : start + BATCH]
            references, predictions = ([pairs[index][side] for index in batch] for side in (0, 1))
            inputs = tokenizer(references, predictions, padding="longest", return_tensors="pt", **window).to(device)
            for index, score in zip(batch, model(**inputs).logits.flatten().tolist(), strict=True):
                scores[index] = score
    print(json.dumps(scores))


if __name__ == "__main__":
    main()
