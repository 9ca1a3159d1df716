"""Settings of the report stage."""

from .base import Section, setting


class ReportSettings(Section):
    """Pages and pictures for people."""

    montage_crops: int = setting(
        48, "Number of vertebrae in the montage, spread evenly over predicted severity.", "count", ge=1, le=400
    )
    recommendation: str = setting(
        "",
        "What is recommended on the page of each patient with a vertebral fracture, such as `Please assess bone "
        "density and causes of secondary osteoporosis.` Empty: nothing.",
    )
    pdf: bool = setting(
        False,
        "Print each patient's page as PDF, A4, by the Chromium or Chrome that is installed (report/pdf).",
        reruns=False,
    )
    window_centre_hu: int = setting(
        400, "Centre of the display window. 400 is usual for bone.", "HU", ge=-1000, le=3000
    )
    window_width_hu: int = setting(1500, "Width of the display window. 1500 is usual for bone.", "HU", ge=1, le=4096)
    difference_hu: int = setting(
        400,
        "Difference with the full colour in the difference maps. Cortical and trabecular bone differ by about this.",
        "HU",
        ge=1,
        le=4096,
    )
