"""Sex and age band of the sample sheet: what is refused, and that no age in years gets in."""

from pathlib import Path

import pytest

from vertegrade.cohort.sheet import SheetError, read_sheet
from vertegrade.cohort.subjects import AGE_BANDS, dicom_age_band, dicom_sex


def sheet_with(folder: Path, *rows: str) -> Path:
    path = folder / "sheet.csv"
    path.write_text("\n".join(["scan_id,patient_id,path,sex,age_band", *rows]) + "\n")
    return path


def test_what_is_given_is_read_and_runs_no_scan_again(tmp_path: Path) -> None:
    rows = read_sheet(sheet_with(tmp_path, "a,p,x,F,60-69", "b,p,y,F,70-79", "c,q,z,,"))
    assert [(row.sex, row.age_band) for row in rows] == [("F", "60-69"), ("F", "70-79"), ("", "")]
    plain = rows[0].plain(["path"])
    assert (plain["sex"], plain["age_band"]) == ("", "")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["a,p,x,female,"], "line 2: sex 'female' must be one of F, M, O or empty"),
        (["a,p,x,,67"], "line 2: age_band must be ten years such as 60-69, or 90+, or empty; give no age in years"),
        (["a,p,x,,65-74"], "line 2: age_band must be ten years"),
        (["a,p,x,,90-99"], "line 2: age_band must be ten years"),
        (["a,p,x,F,", "b,p,y,M,"], "line 3: patient 'p' has sex 'M' here and 'F' on line 2"),
    ],
)
def test_what_cannot_be_is_refused_with_line_and_remedy(rows: list[str], problem: str, tmp_path: Path) -> None:
    with pytest.raises(SheetError) as caught:
        read_sheet(sheet_with(tmp_path, *rows))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/sheet.csv:\n{problem}")
    assert "67" not in message  # an age in years is not repeated either


def test_bands_are_ten_years_in_order_and_one_from_ninety_on() -> None:
    assert len(AGE_BANDS) == 10
    assert [int(band.strip("+").split("-")[0]) for band in AGE_BANDS] == [*range(0, 100, 10)]


@pytest.mark.parametrize(
    ("text", "band"),
    [
        *(("009Y", "0-9"), ("010Y", "10-19"), ("089Y", "80-89"), ("090Y", "90+"), ("119M", "0-9"), ("120M", "10-19")),
        *(("200D", "0-9"), ("000Y", ""), ("63", ""), ("63Y", ""), ("063y", ""), ("", "")),
    ],
)
def test_an_age_of_dicom_is_its_decade_or_unknown(text: str, band: str) -> None:
    assert dicom_age_band(text) == band


def test_a_sex_of_dicom() -> None:
    assert [dicom_sex(text) for text in ("F", "M", "O", "", "female", "U")] == ["F", "M", "O", "", "", ""]
