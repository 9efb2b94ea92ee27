"""Stage 1: from a mixture's name to its records."""

from xllm.mixture.mix import Mixture, load_mixture

__all__ = ["Mixture", "load_mixture"]
