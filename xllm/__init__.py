"""xllm: teach an English-centred language model another language, and measure what it learnt."""

__version__ = "0.1.0"
