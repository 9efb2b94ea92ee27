#!/usr/bin/env bash
# From nothing to a tuned model with scores, on the sample data and a small base model. Run again, it does only what
# is missing. Every command is shown as one would type it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

run() {
    printf '\n+ %s\n' "$*" >&2
    "$@"
}

BASE=${BASE:-smollm2-135m}
MIXTURE=translation_daily_en-zh+alpaca_en
TUNED=$BASE.$MIXTURE.finetune
HELD_OUT=(translation_daily_en-zh xquad_en)

run bash script/setup.sh
run source .venv/bin/activate
[ -e "model/$BASE" ] || run python -m xllm fetch "$BASE"
run export XLLM_DATA_DIR=data/sample
[ -e "model/$TUNED" ] ||
    run bash script/train.sh "$BASE" "$MIXTURE" finetune --num_train_epochs 1 --learning_rate 5e-4 \
        --global_batch_size 8
for model in "$BASE" "$TUNED"; do
    for dataset in "${HELD_OUT[@]}"; do
        [ -e "model/$model/test/$dataset.inference.jsonl" ] ||
            run bash script/inference.sh "$model" "$dataset" 16 --max_new_tokens 48
    done
    run bash script/evaluate.sh "$model" "${HELD_OUT[@]}"
done
run python -m xllm compare "$BASE" "$TUNED" --dataset "$(IFS=,; echo "${HELD_OUT[*]}")"
printf '\nTalk to it: .venv/bin/python app.py model/%s\n' "$TUNED" >&2
