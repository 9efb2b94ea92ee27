#!/usr/bin/env bash
# From nothing to a tuned model with scores, on the sample data and a small base model: sets up .venv and runs
# `xllm quickstart` there. Run again, it does only what is missing. Every command is shown as one would type it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

run() {
    printf '\n+ %s\n' "$*" >&2
    "$@"
}

run bash script/setup.sh
run source .venv/bin/activate
run python -m xllm quickstart ${BASE:+--base "$BASE"}
