"""Stage 1: from a mixture's name to its records."""

from xllm.mixture.lock import check_lock
from xllm.mixture.mix import Mixture, Selection, load_mixture

__all__ = ["Mixture", "Selection", "check_lock", "load_mixture"]
