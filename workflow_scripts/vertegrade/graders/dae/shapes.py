"""Which crops the networks can take. Also read while the Snakefile is parsed, so nothing here may import torch."""

from collections.abc import Iterator

from vertegrade.settings.dae import DaeModelSettings


def sides(size: int, unshuffle: int, levels: int) -> list[int]:
    """Side of the feature map of each level, in pixels after unshuffling; ValueError where it does not divide."""
    if size % (unshuffle * 2 ** (levels - 1)):
        raise ValueError(
            f"crops of {size} px cannot be unshuffled by {unshuffle} and halved {levels - 1} times: change crop.size, "
            "or unshuffle and multipliers under dae.model"
        )
    return [size // unshuffle // 2**level for level in range(levels)]


def central(slices: int, wanted: int) -> slice:
    """The central `wanted` of `slices` slices; ValueError where that is not possible."""
    if wanted > slices or (slices - wanted) % 2:
        raise ValueError(
            f"dae.model.slices is {wanted} but the crops have {slices}: the central ones exist only for a smaller "
            "number that is odd or even as theirs"
        )
    return slice((slices - wanted) // 2, (slices + wanted) // 2)


def check_attention(settings: DaeModelSettings, size: int) -> None:
    """ValueError where attention is wanted at a side that no feature map of crops of `size` pixels has."""
    reached = {
        *sides(size, settings.unshuffle, len(settings.multipliers)),
        *sides(size, settings.encoder_unshuffle, len(settings.encoder_multipliers)),
    }
    missed = sorted(set(settings.attention_resolutions) - reached)
    if missed:
        # In released code attention may silently never happen (96 px).
        raise ValueError(
            f"dae.model.attention_resolutions {missed} px is the side of no feature map of crops of {size} px; "
            f"the sides are {sorted(reached, reverse=True)}"
        )


def shape_problems(settings: DaeModelSettings, slices: int, size: int) -> Iterator[str]:
    """Why networks of these settings cannot take crops of `slices` slices of `size` x `size` pixels."""
    for check, arguments in ((central, (slices, settings.slices)), (check_attention, (settings, size))):
        try:
            check(*arguments)
        except ValueError as error:
            yield str(error)
    if settings.hu_low >= settings.hu_high:
        yield f"dae.model.hu_low ({settings.hu_low:g}) must be below dae.model.hu_high ({settings.hu_high:g})"
