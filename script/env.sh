# Sourced by the other scripts, which run from any folder: puts the Python of .venv first, where script/setup.sh has
# made one, and this checkout's package before any other; data and models are this checkout's unless named otherwise.
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -x "$home/.venv/bin/python3" ]; then PATH="$home/.venv/bin:$PATH"; fi
export XLLM_DATA_DIR=${XLLM_DATA_DIR:-$home/data} XLLM_MODEL_DIR=${XLLM_MODEL_DIR:-$home/model}
export PATH PYTHONPATH="$home${PYTHONPATH:+:$PYTHONPATH}"
