"""95 % intervals of shares, and of differences between shares, where each row is either right or wrong.

Wilson's interval (1927) is what Brown, Cai and DasGupta (2001, "Interval Estimation for a Binomial Proportion")
recommend for few rows; Bonett and Price's (2012, "Adjusted Wald Confidence Interval for a Difference of Binomial
Proportions Based on Paired Data") is among those that Fagerland, Lydersen and Laake (2014) recommend for paired rows.

The bootstrap fails there. Of 30 rows that are all wrong every draw is all wrong, too; and where one row in twenty is
right, its interval from 30 rows holds the true share 8 times in 10.
"""

from math import sqrt
from statistics import NormalDist

QUANTILE = NormalDist().inv_cdf(0.975)


def wilson(count: int, total: int) -> tuple[float, float]:
    """Wilson's interval of `count` in `total`, in percent."""
    share, square = count / total, QUANTILE**2
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = QUANTILE / (1 + square / total) * sqrt(share * (1 - share) / total + square / (4 * total**2))
    # at the ends it is 0 or 100 but for rounding
    return 100 * (middle - half) if count else 0.0, 100 * (middle + half) if count < total else 100.0


def bonett_price(better: int, worse: int, total: int) -> tuple[float, float]:
    """Bonett and Price's interval of a difference, in percentage points, over `total` rows: `better` are right with the
    second system alone, `worse` with the first alone."""
    gains, losses = (better + 1) / (total + 2), (worse + 1) / (total + 2)
    half = QUANTILE * sqrt((gains + losses - (gains - losses) ** 2) / (total + 2))
    return 100 * max(-1.0, gains - losses - half), 100 * min(1.0, gains - losses + half)
