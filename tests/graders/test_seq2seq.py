"""The sequence model: patches and grades, padding that nothing sees, resume, scores, published sizes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from pydantic import ValidationError

from helpers.stopped_training import stopped_after, stopped_and_resumed
from helpers.tiny_spines import MODEL, SPINE, TRAIN, spine, spine_job
from vertegrade.ct.volume import AIR_HU
from vertegrade.graders.seq2seq.augmentation import changed
from vertegrade.graders.seq2seq.network import DECODERS, FIRST_PLACES, SpineNetwork, member_names, places
from vertegrade.graders.seq2seq.patches import (
    NOBODY,
    UNKNOWN,
    bodies_of,
    distances,
    patch_grades,
    patch_starts,
    patches_of,
    shares,
    worst_grade,
)
from vertegrade.graders.seq2seq.scoring import ENSEMBLE, PHASES, patch_means, score_scan, score_tables, worst_of
from vertegrade.graders.seq2seq.sequences import SpineScan, cut, real_patches
from vertegrade.graders.seq2seq.straighten import shows_a_patch
from vertegrade.graders.seq2seq.training import (
    Learning,
    body_error,
    body_targets,
    concordance,
    likelihood,
    spine_loss,
)
from vertegrade.graders.seq2seq.training_job import Seq2seqTrainingJob
from vertegrade.graders.seq2seq.weights import load_networks
from vertegrade.grading.rows import GradingError
from vertegrade.settings.loading import check_settings
from vertegrade.settings.seq2seq import Seq2seqAugmentSettings, Seq2seqSettings, StraightSpineSettings
from vertegrade.tables import SPINE_BODIES, STRAIGHT_SPINES, read_table, write_table
from vertegrade.weights import WeightsError

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = [*DECODERS]
SETTINGS = Seq2seqSettings(spine=SPINE, model=MODEL, train=TRAIN)


def test_patches_fill_the_spine_and_know_what_they_show() -> None:
    starts = patch_starts(30, 10, 5)
    assert starts.tolist() == [0, 5, 10, 15, 20]
    share = shares(starts, 10, np.array([[0.0, 9.0], [12.0, 16.0], [np.nan, np.nan]]))
    assert share[0].tolist() == [1.0, 0.0, 0.0]
    assert share[1] == pytest.approx([4.5 / 9, 2.5 / 4, 0.0])
    assert share[2].tolist() == [0.0, 1.0, 0.0]
    assert patch_starts(6, 10, 5, 0).tolist() == [0]


def test_a_body_belongs_to_the_patch_with_the_nearest_middle_which_has_its_grade() -> None:
    ends = np.array([[0.0, 4.0], [8.0, 15.0], [18.0, 27.0], [np.nan, np.nan], [40.0, 48.0]])
    away = distances(np.array([0, 5, 10, 15]), 10, ends)  # middles at 4.5, 9.5, 14.5, 19.5
    assert patches_of(away).tolist() == [0, 1, 3, NOBODY, NOBODY]
    assert bodies_of(away).tolist() == [0, 1, NOBODY, 2]
    assert away[1, :2].tolist() == [np.inf, 2.0]  # the first body's middle is 7.5 rows up, beyond the patch
    assert patch_grades(away, np.array([0, 3, UNKNOWN, 2, 2])).tolist() == [0, 3, UNKNOWN, UNKNOWN]
    two = distances(np.array([6, 11]), 10, np.array([[6.0, 8.0], [9.0, 12.0]]))
    assert (patches_of(two).tolist(), bodies_of(two).tolist()) == ([0, 0], [1, NOBODY])
    assert patch_grades(distances(np.array([60]), 10, ends), np.array([0, 3, 1, 2, 2])).tolist() == [UNKNOWN]
    nobody = distances(np.array([0, 5]), 10, np.zeros((0, 2)))
    assert (patches_of(nobody).tolist(), bodies_of(nobody).tolist()) == ([], [NOBODY, NOBODY])


def test_the_worst_grade_is_unclear_where_one_that_is_not_known_may_be_worse() -> None:
    assert [worst_grade(np.array(grade)) for grade in ([0, 2, 1], [UNKNOWN, 3], [UNKNOWN, 2], [UNKNOWN])] == [
        2, 3, UNKNOWN, UNKNOWN,
    ]  # fmt: skip
    assert worst_grade(np.zeros(0, np.int64)) == UNKNOWN


def test_a_patch_learns_the_heights_and_the_place_of_its_body() -> None:
    ends, heights = np.array([[0.0, 4.0], [8.0, 15.0]]), np.array([[20.0, 18.0, 22.0], [10.0, np.nan, 24.0]])
    told = body_targets(distances(np.array([0, 5, 60]), 10, ends), heights, 5)
    assert told[0] == pytest.approx([0.0, -0.1, 0.1, -0.5], abs=1e-6)
    assert told[1] == pytest.approx([-0.5, np.nan, 0.2, 0.4], abs=1e-6, nan_ok=True)
    assert np.isnan(told[2]).all()
    true = torch.tensor([[0.0, torch.nan], [torch.nan, 1.0]])
    said = torch.tensor([[0.05, 7.0], [7.0, 0.5]], requires_grad=True)
    error = body_error(said, true)
    assert error.item() == pytest.approx((0.05**2 / 2 / 0.1 + 0.5 - 0.1 / 2) / 2)
    error.backward()
    assert said.grad is not None
    assert (said.grad[torch.isnan(true)] == 0).all()
    assert body_error(said, torch.full((2, 2), torch.nan)) == 0


def batch(lengths: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn((sum(lengths), 2, 10, 12, 12), generator=torch.Generator().manual_seed(seed))
    real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return x, real


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_a_scan_is_said_to_be_does_not_depend_on_the_length_of_others(variant: str) -> None:
    torch.manual_seed(0)
    network = SpineNetwork(MODEL.model_copy(update={"layers": 2}), variant).eval()
    x, real = batch([3, 7, 5])
    with torch.inference_mode():
        of_patches, of_scans, of_bodies = network(x, real)
        first = 0
        for scan, length in enumerate([3, 7, 5]):
            alone, worst, body = network(x[first : first + length], torch.ones((1, length), dtype=torch.bool))
            torch.testing.assert_close(of_patches[scan, :length], alone[0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(of_scans[scan], worst[0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(of_bodies[first : first + length], body, atol=1e-5, rtol=1e-5)
            first += length
    assert torch.isfinite(of_patches[real]).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_patch_is_judged_with_its_neighbours_and_in_its_place(variant: str) -> None:
    torch.manual_seed(0)
    network = SpineNetwork(MODEL, variant).eval()
    x, real = batch([5])
    with torch.inference_mode():
        other = torch.cat([x[:4], x[4:] + 1])
        assert not torch.allclose(network(x, real)[0][0, 3], network(other, real)[0][0, 3], atol=1e-6)
        turned = network(x.flip(0), real)[0][0].flip(0)
        assert not torch.allclose(network(x, real)[0][0], turned, atol=1e-6)


def test_a_training_knows_all_places_of_a_long_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step sees a few patches; those of a whole scan are more, and their places were learned too."""
    seen: list[int] = []

    def watched(first: int, count: int, features: int) -> torch.Tensor:
        seen.append(first)
        return places(first, count, features)

    monkeypatch.setattr("vertegrade.graders.seq2seq.network.places", watched)
    network = SpineNetwork(MODEL, "transformer")
    x, real = batch([4])
    for _ in range(40):
        network(x, real)
    assert len(set(seen)) > 20
    assert max(seen) >= FIRST_PLACES // 2
    seen.clear()
    network.eval()(x, real)
    assert seen == [0]
    torch.testing.assert_close(places(3, 2, 8), places(0, 5, 8)[3:])


def test_unknown_grades_count_for_nothing_and_balanced_grades_alike() -> None:
    log_p = torch.log_softmax(torch.randn((6, 4), generator=torch.Generator().manual_seed(1)), dim=1)
    grade = torch.tensor([0, 0, 0, 2, UNKNOWN, UNKNOWN])
    of_intact, of_moderate = -log_p[:3, 0], -log_p[3, 2]
    assert likelihood(log_p, grade, False).item() == pytest.approx(((of_intact.sum() + of_moderate) / 4).item())
    assert likelihood(log_p, grade, True).item() == pytest.approx(((of_intact.mean() + of_moderate) / 2).item())
    assert likelihood(log_p, torch.full((6,), UNKNOWN), True) == 0


def test_the_step_is_chosen_by_ranks_so_that_one_who_knows_something_wins() -> None:
    grade = np.array([0, 0, 0, 1, 2, 3])
    knows_nothing = np.full((6, 4), 0.25)
    knows_but_says_intact = np.array([[0.9, 0.1, 0, 0]] * 3 + [[0.8, 0.2, 0, 0], [0.7, 0.3, 0, 0], [0.6, 0.4, 0, 0]])
    assert concordance(knows_nothing, grade) == 0.5
    assert concordance(knows_but_says_intact, grade) == 1
    assert concordance(knows_but_says_intact[::-1], grade) == 0.25
    assert concordance(knows_but_says_intact[:3], grade[:3]) == 0.5
    one_swap = knows_but_says_intact[[0, 1, 2, 3, 5, 4]]
    assert concordance(one_swap, grade) == pytest.approx(5 / 6)  # each two grades alike, however many have them


def test_ends_of_bodies_move_with_the_image() -> None:
    pixels, ends = spine(0, [0, 0, 0, 0])
    pixels = np.where(np.abs(pixels) > 200, 300, 0).astype(np.int16)
    settings = Seq2seqAugmentSettings(shift=0, gain=0, offset_hu=0, noise_hu=0, stretch=0.3)
    lengths = set()
    for seed in range(4):
        now = changed(pixels, ends, settings, np.random.default_rng(seed))
        middle = now.hu[:, 6, 6].numpy()
        lengths.add(len(middle))
        edge = len(middle) / len(pixels) / 2  # halfway to the next row of what it was
        for top, bottom in now.ends:
            at = np.interp([top - edge, top + 2, bottom - 2, bottom + edge], np.arange(len(middle)), middle)
            assert at == pytest.approx([150, 300, 300, 150], abs=70)
    assert len(lengths) > 1


def test_patches_outside_of_the_scan_are_left_out() -> None:
    inside = np.array([0.0] * 10 + [1.0] * 20)
    starts = patch_starts(30, 10, 5)
    assert real_patches(inside, starts, 10).tolist() == [5, 10, 15, 20]
    little = np.where(np.arange(30) == 17, 1.0, 0.0)
    assert real_patches(little, starts[2:], 5).tolist() == [15]  # at least the one with the most
    beyond = cut(np.zeros((12, 2, 2), np.int16), np.array([0, 5]), 10)
    assert beyond.shape == (2, 10, 2, 2)
    assert (beyond[1, 7:] == AIR_HU).all()


def test_a_scan_that_lies_outside_of_its_spine_is_not_read() -> None:
    pixels = np.full((30, 12, 12), AIR_HU, np.int16)
    assert not shows_a_patch(pixels, SPINE)
    pixels[12:] = 0
    assert shows_a_patch(pixels, SPINE)
    pixels[:, 5:] = AIR_HU
    assert not shows_a_patch(pixels, SPINE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_scan_is_not_fractured_because_it_is_long(variant: str) -> None:
    """A training sees a few patches in a row, and the heads' maximum over patches grows with their number."""
    torch.manual_seed(0)
    network = SpineNetwork(MODEL, variant).eval()
    period = np.random.default_rng(0).normal(0, 300, (5, 12, 12)).astype(np.int16)  # from one patch to the next
    said = []
    for patches in (4, 5, 12):  # a row of three fits in each reading
        pixels, rows = np.tile(period, (patches + 1, 1, 1)), np.zeros(0, np.int64)
        scan = SpineScan("P0-1", "P0", pixels, rows, np.zeros((0, 2)), np.zeros((0, 3)), rows)
        scored = score_scan(network, scan, MODEL.windows_hu, SPINE, 3)
        assert len(scored.patches) == patches + (PHASES - 1) * (patches - 1)  # of which later ones leave no room
        assert scored.patches.sum(axis=1) == pytest.approx(np.ones(len(scored.patches)))
        said.append(scored.scan)
    assert said[1] == pytest.approx(said[0], abs=1e-5)
    assert said[2] == pytest.approx(said[0], abs=1e-5)


def test_rows_of_patches_are_read_one_from_each_patch_on() -> None:
    p = np.array([[[0.0, 1.0], [0.2, 0.8]], [[0.4, 0.6], [1.0, 0.0]]])  # two rows of two of three patches
    assert patch_means(p) == pytest.approx(np.array([[0.0, 1.0], [0.3, 0.7], [1.0, 0.0]]))
    assert worst_of(np.array([[0.7, 0.2, 0.0, 0.1], [0.5, 0.45, 0.05, 0.0]])) == pytest.approx([0.5, 0.4, 0.0, 0.1])


def test_a_batch_has_scans_with_and_without_fractures_and_clear_grades(tmp_path: Path) -> None:
    scans = spine_job(Seq2seqTrainingJob, tmp_path).graded("train")
    intact = [type(scan)(**(vars(scan) | {"grade": 0 * scan.grade})) for scan in scans]
    learning = Learning([*scans, *intact], SETTINGS, 1, 3)
    drawn = np.concatenate([learning.positions(step) for step in range(8)])
    assert learning.fractured[drawn].mean() == 0.5
    x, real, patch, worst, body = learning.batch(0)
    assert x.shape == (int(real.sum()), 2, 10, 12, 12)
    assert real.shape[1] <= TRAIN.patches
    assert (patch[~real] == UNKNOWN).all()
    shows = learning.fractured[learning.positions(0)]
    assert (patch.amax(dim=1)[shows] >= 1).all()  # of a scan with a fracture patches that show it
    assert body.shape == (len(x), 4)
    assert torch.isfinite(body).any()
    again = learning.batch(0)
    assert all(
        torch.equal(one.nan_to_num(), two.nan_to_num())
        for one, two in zip((x, real, patch, worst, body), again, strict=True)
    )
    assert not torch.equal(x[:1], learning.batch(1)[0][:1])
    loss = spine_loss(TRAIN, SpineNetwork(MODEL, "recurrent"), x, real, patch, worst, body)
    assert torch.isfinite(loss)


def test_bodies_teach_as_much_as_their_weight_says() -> None:
    class Says(torch.nn.Module):
        def forward(self, x: torch.Tensor, real: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return torch.full((1, 1, 4), np.log(0.25)), torch.full((1, 4), np.log(0.25)), torch.zeros((1, 4))

    def loss(weight: float) -> float:
        train = TRAIN.model_copy(update={"body_loss": weight, "scan_loss": 0.0})
        grade, body = torch.tensor([[1]]), torch.full((1, 4), 1.05)
        real = torch.ones((1, 1), dtype=torch.bool)
        return float(spine_loss(train, Says(), torch.zeros((1, 2, 10, 12, 12)), real, grade, grade[0], body))

    assert loss(0.0) == pytest.approx(np.log(4))
    assert loss(3.0) == pytest.approx(np.log(4) + 3 * 1.0)  # off by 1.05, of which a tenth counts squared


def test_a_stopped_training_goes_on_to_the_same_bytes_and_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = MODEL.model_copy(update={"variants": ["convolution", "transformer"]})
    undisturbed, stopped = (spine_job(Seq2seqTrainingJob, tmp_path / name, model=model) for name in ("one", "two"))
    undisturbed.run()
    with stopped_after(3, monkeypatch):  # of the first network
        stopped.run()
    stopped.run()
    assert stopped.weights.read_bytes() == undisturbed.weights.read_bytes()
    figures = json.loads(stopped.metrics.read_text())
    assert (figures["patients"], figures["validation_patients"]) == (2, 1)
    assert figures["transformer-1_best_step"] in (2, 4)
    trained = load_networks(stopped.weights, "cpu")
    tables = [read_table(stopped.spines[0], STRAIGHT_SPINES), read_table(stopped.bodies[0], SPINE_BODIES)]
    scores, scans = score_tables(trained, np.load(stopped.arrays[0]), *tables, trained.geometry, 1)
    p = np.exp(np.stack(scores["z"])[:-1])
    assert p.sum(axis=1) == pytest.approx(np.ones(24), abs=1e-5)
    assert scores["evaluable"].tolist() == [True] * 24 + [False]
    assert scores["reason"].iloc[-1] == "no_canal"
    assert set(scans["network"]) == {"convolution-0", "transformer-1", ENSEMBLE}
    of_one = scans[scans["scan_id"] == "P1-1"].set_index("network")["p_fracture"]
    assert of_one[ENSEMBLE] == pytest.approx((of_one["convolution-0"] + of_one["transformer-1"]) / 2)
    assert scans.loc[scans["scan_id"] == "P0-2", "reason"].tolist() == ["no_canal"] * 3
    with pytest.raises(WeightsError, match="the networks were trained on"):
        score_tables(trained, np.load(stopped.arrays[0]), *tables, "{}", 1)


def test_a_body_in_no_patch_has_no_grade(tmp_path: Path) -> None:
    made = spine_job(Seq2seqTrainingJob, tmp_path)
    made.run()
    pixels = np.load(made.arrays[0])
    pixels[:20] = AIR_HU  # of the first scan: there both of its first patches lie outside
    bodies = read_table(made.bodies[0], SPINE_BODIES)
    bodies.loc[0, ["top_row", "bottom_row"]] = [-6.0, 4.0]
    trained, tables = load_networks(made.weights, "cpu"), (read_table(made.spines[0], STRAIGHT_SPINES), bodies)
    scores, _ = score_tables(trained, pixels, *tables, trained.geometry, 1)
    assert scores.loc[0, ["evaluable", "reason"]].tolist() == [False, "beyond_canal"]
    assert scores.loc[1:5, "evaluable"].all()
    assert np.isfinite(np.stack(scores["z"].to_numpy())).all()


def test_a_row_of_patches_is_as_bad_as_the_worst_body_that_belongs_to_it(tmp_path: Path) -> None:
    """Each body belongs to one patch, so a row holds a fracture or does not; how much a patch shows changes nothing."""
    scan = spine_job(Seq2seqTrainingJob, tmp_path).graded("train")[0]
    alone = replace(scan, grade=np.where(scan.grade == 3, 3, 0))
    still = Seq2seqAugmentSettings(stretch=0, shift=0, mirror=False)
    train = TRAIN.model_copy(update={"patches": 2, "augment": still, "balanced": False})
    learning = Learning([alone], SETTINGS.model_copy(update={"train": train}), 1, 3)
    worst = [int(worst) for step in range(40) for worst in learning.batch(step)[3]]
    assert set(worst) == {0, 3}
    assert 0.15 < np.mean(np.array(worst) == 3) < 0.6
    unclear = replace(alone, grade=np.where(scan.grade == 3, UNKNOWN, 0))
    learning = Learning([unclear], SETTINGS.model_copy(update={"train": train}), 1, 3)
    again = [int(worst) for step in range(40) for worst in learning.batch(step)[3]]
    assert again == [UNKNOWN if grade == 3 else grade for grade in worst]


def test_a_short_spine_that_shrinks_still_fills_a_patch(tmp_path: Path) -> None:
    scan = spine_job(Seq2seqTrainingJob, tmp_path).graded("train")[0]
    short = replace(scan, pixels=scan.pixels[:10])
    spine_settings = SPINE.model_copy(update={"step_mm": 40.0})
    train = TRAIN.model_copy(update={"augment": Seq2seqAugmentSettings(shift=1, stretch=0.4)})
    learning = Learning([short], Seq2seqSettings(spine=spine_settings, model=MODEL, train=train), 1, 3)
    for step in range(60):
        assert len(learning.batch(step)[0]) == TRAIN.batch_size


def test_networks_of_neighbouring_seeds_have_seeds_of_their_own(tmp_path: Path) -> None:
    jobs = [spine_job(Seq2seqTrainingJob, tmp_path / str(seed), seed=seed) for seed in (3, 4)]
    for made in jobs:
        made.model = MODEL.model_copy(update={"variants": ["convolution", "convolution"]})
        made.run()
    one, other = (load_networks(made.weights, "cpu").networks for made in jobs)
    second, first = (one["convolution-1"].state_dict(), other["convolution-0"].state_dict())
    assert any(not torch.equal(second[name], value) for name, value in first.items() if value.is_floating_point())


def test_a_body_that_is_not_evaluable_teaches_nothing_and_its_patch_is_not_called_intact(tmp_path: Path) -> None:
    made = spine_job(Seq2seqTrainingJob, tmp_path)
    bodies = read_table(made.bodies[0], SPINE_BODIES)
    bodies.loc[3, ["evaluable", "reason"]] = [False, "cut_by_scan"]  # of grade 2
    write_table(made.bodies[0], bodies, SPINE_BODIES)
    scan = made.graded("train")[0]
    assert scan.grade.tolist() == [0, 0, 1, UNKNOWN, 3, 0]
    assert np.isfinite(scan.heights).all(axis=1).tolist() == [True, True, True, False, True, True]
    away = distances(patch_starts(len(scan.pixels), 10, 5), 10, scan.ends)
    assert (patch_grades(away, scan.grade)[bodies_of(away) == 3] == UNKNOWN).all()


def test_splits_without_two_grades_are_reported(tmp_path: Path) -> None:
    made = spine_job(Seq2seqTrainingJob, tmp_path)
    splits = made.splits.read_text().replace("P2\tvalidation", "P2\ttrain")
    made.splits.write_text(splits)
    with pytest.raises(GradingError, match="the validation split has 0 scans with graded vertebrae"):
        made.run()


def test_patches_that_would_leave_gaps_are_refused() -> None:
    with pytest.raises(ValidationError, match="would leave gaps"):
        StraightSpineSettings(patch_mm=20.0, step_mm=30.0)


def test_the_published_preset_builds_trains_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = check_settings(yaml.safe_load((ROOT / "presets/seq2seq_published.yaml").read_text())).seq2seq
    short = {"steps": 2, "batch_size": 1, "precision": "float32", "patches": 2}
    train = settings.train.model_copy(update=short)
    made = spine_job(Seq2seqTrainingJob, tmp_path, model=settings.model, train=train)
    stopped_and_resumed(made, monkeypatch, caplog)
    trained = load_networks(made.weights, "cpu")
    assert [*trained.networks] == member_names(settings.model)
    assert {name.split("-")[0] for name in trained.networks} == set(VARIANTS)
