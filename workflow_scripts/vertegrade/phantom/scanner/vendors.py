"""The scanners that phantoms pretend to be: how each stores HU and what it calls its kernels.

Stored formats are those seen in public CT such as LIDC-IDRI and in conformance statements: GE signed with padding -2000
outside the circle of reconstruction, Siemens 12 bits unsigned or the extended scale from -8192, Philips unsigned with
intercept -1024 or -1000, Canon (Toshiba) signed HU without an intercept.
"""

from dataclasses import dataclass

LOWEST_HU = -1024
HIGHEST_HU = 3071


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel: the name in the header (backslash parts values) and its sharpness, 0 soft to 1 sharp."""

    name: str
    sharpness: float


@dataclass(frozen=True)
class Scanner:
    """One model of scanner. `padding` is the stored value outside the circle of reconstruction, where it has one."""

    manufacturer: str
    model: str
    signed: bool
    bits_stored: int
    intercept: int
    kernels: tuple[Kernel, ...]
    padding: int | None = None

    @property
    def lowest_hu(self) -> int:
        """The lowest HU that the scanner delivers: the lowest of its format, but not below -1024."""
        return LOWEST_HU if self.signed else max(LOWEST_HU, self.intercept)


_GE = (
    Kernel("SOFT", 0.0),
    Kernel("STANDARD", 0.25),
    Kernel("DETAIL", 0.5),
    Kernel("BONE", 0.75),
    Kernel("BONEPLUS", 1),
)
_SIEMENS = (Kernel("B20f", 0.05), Kernel("B30f", 0.2), Kernel("B40f", 0.35), Kernel("B60f", 0.75), Kernel("B70f", 0.95))
_FORCE = (Kernel("Br36d\\3", 0.2), Kernel("Br40d\\3", 0.3), Kernel("Br54d\\3", 0.6), Kernel("Br59d\\3", 0.8))
_PHILIPS = (Kernel("A", 0.1), Kernel("B", 0.25), Kernel("C", 0.45), Kernel("D", 0.7), Kernel("E", 0.9))
_CANON = (Kernel("FC08", 0.15), Kernel("FC18", 0.3), Kernel("FC13", 0.4), Kernel("FC30", 0.75), Kernel("FC35", 0.9))

SCANNERS = (
    Scanner("GE MEDICAL SYSTEMS", "LightSpeed VCT", True, 16, -1024, _GE, padding=-2000),
    Scanner("GE MEDICAL SYSTEMS", "Discovery CT750 HD", True, 16, 0, _GE, padding=-2000),
    Scanner("SIEMENS", "SOMATOM Definition AS+", False, 12, -1024, _SIEMENS),
    Scanner("SIEMENS", "SOMATOM Force", False, 16, -8192, _FORCE),
    Scanner("Philips", "iCT 256", False, 12, -1024, _PHILIPS),
    Scanner("Philips", "Brilliance 64", False, 12, -1000, _PHILIPS),
    Scanner("TOSHIBA", "Aquilion", True, 16, 0, _CANON),
    Scanner("Canon Medical Systems", "Aquilion ONE", True, 16, 0, _CANON),
)
