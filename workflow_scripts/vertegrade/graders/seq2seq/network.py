"""The networks: a 3D encoder that all patches share, a decoder along the sequence, and heads for patches and scans.

Sequences of a batch are filled up to the longest one. What is filled up is never seen: the encoder gets the real
patches alone, and every decoder and both heads leave the rest out. So nothing depends on what else is in the batch.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from vertegrade.graders.classifiers.heads import Head
from vertegrade.graders.classifiers.networks import seresnet
from vertegrade.settings.seq2seq import Seq2seqModelSettings

ATTENTION_HEADS = 4
LONGEST = 10_000.0  # of the sines of a patch's place (Vaswani et al. 2017)
BODY = 4  # numbers that tell of a body: its heights in front, in the middle and behind, and where it lies
FIRST_PLACES = 256  # places at which a sequence may begin in training: 90 cm of spine, a patch every 3.5 mm


class Recurrent(nn.Module):
    """GRU both ways. All decoders: x (B, P, F), real (B, P), the real patches of each scan first -> (B, P, F)."""

    def __init__(self, features: int, layers: int, dropout: float) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.gru = nn.GRU(features, features // 2, layers, batch_first=True, dropout=between, bidirectional=True)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """See the class."""
        packed = pack_padded_sequence(x, real.sum(dim=1).cpu(), batch_first=True, enforce_sorted=False)
        found, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=x.shape[1])
        return x + found


class Convolution(nn.Module):
    """Dilated convolutions along the sequence, each added to what it saw (Bai et al. 2018, here both ways)."""

    def __init__(self, features: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(features) for _ in range(layers)])
        self.layers = nn.ModuleList(
            [nn.Conv1d(features, features, 3, padding=2**n, dilation=2**n) for n in range(layers)]
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """See `Recurrent`."""
        for norm, layer in zip(self.norms, self.layers, strict=True):
            seen = norm(x) * real[..., None]  # what is filled up is 0, as beyond the ends
            x = x + self.dropout(functional.gelu(layer(seen.transpose(1, 2)).transpose(1, 2)))
        return x


class Transformer(nn.Module):
    """Attention between all patches of a scan, with sines for their places.

    A step of a training sees a few patches of a scan, so that places beyond these would be new to the network. There
    the sequence begins at a random place.
    """

    def __init__(self, features: int, layers: int, dropout: float) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(
            features, ATTENTION_HEADS, 2 * features, dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """See `Recurrent`."""
        first = int(torch.randint(FIRST_PLACES, ())) if self.training else 0
        found: Tensor = self.layers(x + places(first, x.shape[1], x.shape[2]).to(x), src_key_padding_mask=~real)
        return found


DECODERS = {"recurrent": Recurrent, "convolution": Convolution, "transformer": Transformer}


class SpineNetwork(nn.Module):
    """Call: x (M, C, H, S, W), the real patches of a batch one scan after the other; real (B, P), M of them true.

    -> log P(grade) of patches (B, P, 4), those filled up meaningless, and of the scans' worst grades (B, 4); and what
    the encoder alone says of the body in each real patch's middle (M, BODY), as `training.body_targets`.
    """

    def __init__(self, model: Seq2seqModelSettings, variant: str) -> None:
        super().__init__()
        encoder, features = seresnet(len(model.windows_hu), model.seresnet)
        self.encoder, self.reduce = encoder, nn.Linear(features, model.features)
        self.decoder = DECODERS[variant](model.features, model.layers, model.dropout)
        self.body_head = nn.Linear(model.features, BODY)
        self.patch_head = Head("cross_entropy", model.features)
        self.scan_head = Head("cross_entropy", 2 * model.features)

    def forward(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        seen = self.look(x)
        sequence = seen.new_zeros((*real.shape, seen.shape[1])).masked_scatter(real[..., None], seen)
        return *self.read(sequence, real), self.body_head(seen)

    def look(self, x: Tensor) -> Tensor:
        """What is seen in each patch by itself: (M, C, H, S, W) -> (M, features)."""
        seen: Tensor = self.reduce(self.encoder(x))
        return seen

    def read(self, sequence: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """As the call, without bodies, of sequences (B, P, features) of `look`, of which the `real` ones count."""
        found = self.decoder(sequence, real)
        log_p: Tensor = self.patch_head(found.flatten(0, 1)).unflatten(0, real.shape)
        there = real[..., None]
        worst = found.masked_fill(~there, -torch.inf).amax(dim=1)
        mean = found.masked_fill(~there, 0.0).sum(dim=1) / there.sum(dim=1)
        return log_p, self.scan_head(torch.cat([worst, mean], dim=1))


def places(first: int, count: int, features: int) -> Tensor:
    """Sines and cosines (count, features) of the places `first` and following."""
    rate = torch.exp(torch.arange(0, features, 2) * (-math.log(LONGEST) / features))
    angle = torch.arange(first, first + count)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)


def member_names(model: Seq2seqModelSettings) -> list[str]:
    """A name for each network of the ensemble."""
    return [f"{variant}-{number}" for number, variant in enumerate(model.variants)]


def build(model: Seq2seqModelSettings) -> nn.ModuleDict:
    """All networks of the ensemble by their names."""
    return nn.ModuleDict({name: SpineNetwork(model, name.split("-")[0]) for name in member_names(model)})


def rebuild(model: dict[str, Any]) -> nn.ModuleDict:
    """The networks of settings in the metadata of weights."""
    return build(Seq2seqModelSettings.model_validate(model))
