"""Stage 1: from a mixture's name to its records."""

from xllm.mixture.lock import check_lock
from xllm.mixture.mix import Draw, Mixture, load_mixture
from xllm.mixture.overlap import drop_contaminated
from xllm.mixture.quality import filter_parallel

__all__ = ["Draw", "Mixture", "check_lock", "drop_contaminated", "filter_parallel", "load_mixture"]
