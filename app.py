"""The chat page: python app.py MODEL [OTHER …], which is `xllm chat`."""

import sys

from xllm.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["chat", *sys.argv[1:]]))
