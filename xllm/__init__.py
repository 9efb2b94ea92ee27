"""xllm: teach an English-centred language model another language, and measure what it learnt."""

from pathlib import Path

__version__ = "0.1.0"

# The checkout: data/, model/ and script/ lie beside the package (it is installed with `pip install -e .`).
HOME = Path(__file__).resolve().parent.parent
