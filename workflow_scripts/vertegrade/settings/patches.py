"""Settings of the 3D patches of vertebrae."""

from .base import Section, setting


class PatchSettings(Section):
    """Straightened, vertebra-centred cubes of fixed millimetres, for methods that see vertebrae in 3D."""

    size: int = setting(48, "Voxels along each side of a patch.", "voxels", ge=8, le=256)
    voxel_mm: float = setting(
        1.5,
        "Side of a voxel, the same in all directions. With 48 voxels a patch is 72 mm wide: a lumbar body, its discs "
        "and half of each neighbour.",
        "mm",
        gt=0,
    )
    bodies: bool = setting(
        True,
        "A second channel: the VerSe label of the vertebral body in which a voxel lies, 0 elsewhere. Bodies are drawn "
        "by their six points (docs/design/patches.md), the neighbours' too.",
    )
