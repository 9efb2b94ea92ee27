"""The chat page: python app.py MODEL [OTHER …], which is `xllm chat` with the models of this checkout."""

import os
import sys
from pathlib import Path

from xllm.__main__ import main

if __name__ == "__main__":
    os.environ["XLLM_MODEL_DIR"] = os.environ.get("XLLM_MODEL_DIR") or str(Path(__file__).resolve().parent / "model")
    sys.exit(main(["chat", *sys.argv[1:]]))
