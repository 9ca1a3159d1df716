"""Settings of the model card that `snakemake freeze` writes."""

from typing import Literal

from .base import PlainPath, Section, setting


class FreezeSettings(Section):
    """What only its author can say of a frozen model."""

    name: str = setting("", "Name of the model. Empty: that it has none.")
    licence: str = setting(
        "",
        "Licence under which the model may be passed on, such as Apache-2.0. Empty: the card says that none is given.",
    )
    scans: Literal["", "phantoms", "people", "mixed"] = setting(
        "",
        "Whose scans taught it, where the sheet names phantoms. Empty: phantoms where the run drew them, else people.",
    )
    about: PlainPath = setting(
        "",
        "Markdown text that becomes a part of the card: the data that taught the model, with their names, licences and "
        "the citations that these ask for, and figures that were measured elsewhere. Empty: the card says that none is "
        "given.",
    )
