# Sourced by the other scripts: puts the Python of .venv first, where script/setup.sh has made one, and this
# checkout's package before any other.
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -x "$home/.venv/bin/python3" ]; then PATH="$home/.venv/bin:$PATH"; fi
export PATH PYTHONPATH="$home${PYTHONPATH:+:$PYTHONPATH}"
