"""Heads: their probabilities by the definitions of their papers, and their losses."""

import pytest
import torch
from torch.nn import functional

from vertegrade.graders.classifiers.heads import HEADS, Head

FEATURES = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
truth = torch.arange(40) % 4


def head(kind: str) -> Head:
    torch.manual_seed(1)
    return Head(kind, 6)


@pytest.mark.parametrize("kind", HEADS)
def test_probabilities_of_four_grades_add_up(kind: str) -> None:
    log_p = head(kind)(FEATURES)
    assert log_p.shape == (40, 4)
    torch.testing.assert_close(log_p.exp().sum(dim=1), torch.ones(40))


def test_corn_is_a_chain_of_conditional_probabilities() -> None:
    corn = head("corn")
    goes_on = torch.sigmoid(corn.linear(FEATURES))
    above = torch.cumprod(goes_on, dim=1)
    p = corn(FEATURES).exp()
    torch.testing.assert_close(p.flip(1).cumsum(1).flip(1)[:, 1:], above)


def test_the_loss_of_corn_is_that_of_its_tasks_on_those_that_reach_them() -> None:
    corn = head("corn")
    logits, total, count = corn.linear(FEATURES), torch.tensor(0.0), 0
    for k in range(3):  # Shi, Cao & Raschka 2023, equation 3
        reached = k <= truth
        target = (truth[reached] > k).float()
        total = total + functional.binary_cross_entropy_with_logits(logits[reached, k], target, reduction="sum")
        count += int(reached.sum())
    torch.testing.assert_close(corn.loss(corn(FEATURES), truth), total / count)


def test_cumulative_is_one_score_with_rising_thresholds() -> None:
    cumulative = head("cumulative")
    with torch.no_grad():
        cumulative.gaps.copy_(torch.tensor([-3.0, 2.0]))
    at_least = cumulative(FEATURES).exp().flip(1).cumsum(1).flip(1)[:, 1:]
    odds = torch.logit(at_least.double())
    gaps = (odds[:, :1] - odds[:, 1:]).float()
    torch.testing.assert_close(gaps, gaps[:1].expand_as(gaps), atol=1e-3, rtol=1e-3)  # the same for all vertebrae
    assert (gaps > 0).all()


@pytest.mark.parametrize("fracture_grade", [1, 2])
def test_binary_knows_one_probability_and_learns_it_alone(fracture_grade: int) -> None:
    torch.manual_seed(1)
    binary = Head("binary", 6, fracture_grade)
    p, logit = binary(FEATURES).exp(), binary.linear(FEATURES)[:, 0]
    torch.testing.assert_close(p[:, fracture_grade:].sum(dim=1), torch.sigmoid(logit))
    assert (p[:, 3] == p[:, fracture_grade]).all()
    fractured = (truth >= fracture_grade).float()
    expected = functional.binary_cross_entropy_with_logits(logit, fractured)
    torch.testing.assert_close(binary.loss(binary(FEATURES), truth), expected)
    other = Head("binary", 6, 3 - fracture_grade)
    other.load_state_dict(binary.state_dict())  # the weights say what they call a fracture
    torch.testing.assert_close(other(FEATURES).exp(), p)


def test_cross_entropy_is_torch_s() -> None:
    plain = head("cross_entropy")
    expected = functional.cross_entropy(plain.linear(FEATURES), truth)
    torch.testing.assert_close(plain.loss(plain(FEATURES), truth), expected)


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_learns(kind: str) -> None:
    learning = head(kind)
    features = FEATURES + 2 * truth[:, None]
    optimiser = torch.optim.AdamW(learning.parameters(), 0.05)
    losses = []
    for _ in range(150):
        loss = learning.loss(learning(features), truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    assert torch.isfinite(learning(1e4 * FEATURES)).all()
