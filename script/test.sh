#!/usr/bin/env bash
# Set up what the tests need and run them: bash script/test.sh [any flag of pytest…]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash script/setup.sh test
export PATH="$PWD/.venv/bin:$PATH"

if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null 2>&1 ||
        echo "test: no chromium, and apt-get can't install it: the browser tests will say so" >&2
fi
[ -e model/smollm2-135m ] || python3 -m xllm fetch smollm2-135m ||
    echo "test: no model/smollm2-135m: the tests that need it are skipped" >&2

ruff check .
ruff format --check .
mypy
exec python3 -m pytest -n 2 --dist worksteal "$@"
