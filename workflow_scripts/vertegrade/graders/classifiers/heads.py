"""From a network's outputs to a loss and to grade probabilities: unordered and ordinal heads.

Outputs are (B, K): four logits for `cross_entropy`; three for `corn`, of P(grade > k | grade >= k), k = 0, 1, 2 (Shi,
Cao & Raschka, Pattern Anal Appl 2023); one score for `cumulative`, with three thresholds that rise (McCullagh, J R Stat
Soc B 1980), so that P(grade > k) = sigmoid(score - threshold_k). `binary` knows only fractured or not: one logit, whose
probability the grades on either side share evenly; the calibration learns their true shares.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vertegrade.tables import GRADES

COUNT = len(GRADES)
LEAST = 1e-7  # of a probability, before its logarithm
HEADS = {"cross_entropy": COUNT, "corn": COUNT - 1, "cumulative": 1, "binary": 1}


class Head(nn.Module):
    """The last layer of a classifier. forward: features (B, F) -> log P(grade) (B, 4).

    fracture_grade: from which `binary` calls a vertebra fractured; it is kept with the weights.
    """

    fractured: Tensor

    def __init__(self, kind: str, features: int, fracture_grade: int = 1) -> None:
        super().__init__()
        self.kind, self.linear = kind, nn.Linear(features, HEADS[kind])
        if kind == "binary":
            self.register_buffer("fractured", torch.arange(COUNT) >= fracture_grade)
        if kind == "cumulative":
            self.first = nn.Parameter(torch.tensor(-1.0))
            self.gaps = nn.Parameter(torch.zeros(COUNT - 2))  # softplus of them is between the thresholds

    def forward(self, features: Tensor) -> Tensor:
        """Log probabilities of grades 0-3 (B, 4)."""
        outputs = self.linear(features).float()
        if self.kind == "cross_entropy":
            return functional.log_softmax(outputs, dim=1)
        if self.kind == "corn":
            stays, goes_on = functional.logsigmoid(-outputs), functional.logsigmoid(outputs).cumsum(dim=1)
            before = torch.cat([torch.zeros_like(goes_on[:, :1]), goes_on], dim=1)
            return before + torch.cat([stays, torch.zeros_like(stays[:, :1])], dim=1)
        if self.kind == "binary":
            share = torch.where(self.fractured, self.fractured.sum(), (~self.fractured).sum()).float().log()
            return torch.where(self.fractured, functional.logsigmoid(outputs), functional.logsigmoid(-outputs)) - share
        thresholds = torch.cat([self.first[None], self.first + functional.softplus(self.gaps).cumsum(dim=0)])
        above = torch.sigmoid(outputs - thresholds)
        edges = [torch.ones_like(outputs), above, torch.zeros_like(outputs)]
        return torch.cat(edges, dim=1).diff(dim=1).neg().clamp(min=LEAST).log()

    def loss(self, log_p: Tensor, grade: Tensor) -> Tensor:
        """Mean loss of log probabilities (B, 4) and true grades (B,).

        The negative log-likelihood, which is the usual loss of `cross_entropy` and `cumulative`. CORN's is the mean
        binary cross-entropy over all its tasks and, of each, the vertebrae that reach its grade.
        """
        if self.kind == "binary":
            other = self.fractured[grade][:, None] != self.fractured
            return -log_p.masked_fill(other, -torch.inf).logsumexp(dim=1).mean()
        if self.kind != "corn":
            return functional.nll_loss(log_p, grade)
        tail = torch.logcumsumexp(log_p.flip(1), dim=1).flip(1)  # log P(grade >= k)
        losses = []
        for k in range(COUNT - 1):
            reached = grade >= k
            on, off = tail[reached, k + 1] - tail[reached, k], log_p[reached, k] - tail[reached, k]
            losses.append(-torch.where(grade[reached] > k, on, off))
        return torch.cat(losses).mean()
