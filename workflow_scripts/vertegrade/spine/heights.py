"""Vertebral heights and Genant's semiquantitative grade."""

MILD, MODERATE, SEVERE = 0.20, 0.25, 0.40


def genant_grade(height_loss: float) -> int:
    """Genant grade (0-3) of the largest height loss (fraction, 0-1) of the anterior, middle and posterior column.

    Half-open intervals: [0, .20) -> 0, [.20, .25) -> 1, [.25, .40) -> 2, [.40, 1] -> 3.
    Genant et al. 1993, J Bone Miner Res 8:1137 (20-25 % mild, 25-40 % moderate, above 40 % severe).
    """
    if not 0 <= height_loss <= 1:
        raise ValueError(f"height loss {height_loss!r} is not a fraction between 0 and 1")
    return sum(height_loss >= threshold for threshold in (MILD, MODERATE, SEVERE))
