"""Encoding and counterfactuals with trained weights."""

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.tiny_dae import MODEL, TRAIN, pixels, states
from vertegrade.graders.crops import Crops
from vertegrade.graders.dae.diffusion import Diffusion
from vertegrade.graders.dae.encoding import encode
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.pixels import hounsfield, to_hu, windowed
from vertegrade.graders.dae.shapes import central
from vertegrade.graders.dae.training import train_dae
from vertegrade.graders.dae.weights import Dae, WeightsError, load_dae
from vertegrade.threads import THREADS


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    settings = TRAIN.model_copy(update={"steps": 100})
    train_dae(Crops([pixels()]), MODEL, settings, states(folder), folder / "w.safetensors", 0, "cpu", 1)
    return folder / "w.safetensors"


@pytest.fixture(scope="module")
def dae(weights: Path) -> Dae:
    return load_dae(weights)


def test_latents_do_not_depend_on_shards_or_neighbours(dae: Dae) -> None:
    crops = pixels()
    z = encode(dae, [crops], batch_size=5)
    assert (z.shape, z.dtype) == ((12, 8), np.float32)
    np.testing.assert_array_equal(encode(dae, [crops[:3], crops[:0], crops[3:]], batch_size=5), z)
    np.testing.assert_array_equal(encode(dae, [crops[::-1]], batch_size=5), z[::-1])
    np.testing.assert_allclose(encode(dae, [crops], batch_size=1), z, rtol=1e-4, atol=1e-5)


def test_threads_are_as_many_on_every_machine(dae: Dae) -> None:
    seen: list[int] = []
    hook = dae.network.encoder.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(THREADS + 1)
        encode(dae, [pixels()], batch_size=5)
        assert set(seen) == {THREADS}
        assert torch.get_num_threads() == THREADS + 1
    finally:
        torch.set_num_threads(before)
        hook.remove()


def test_memory_mapped_crops(dae: Dae, tmp_path: Path) -> None:
    np.save(tmp_path / "crops.npy", pixels())
    mapped = np.load(tmp_path / "crops.npy", mmap_mode="r")
    np.testing.assert_array_equal(encode(dae, [mapped], 4), encode(dae, [pixels()], 4))


def gpu_with_room_for(dae: Dae, crops: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let larger batches fail as on a GPU that is full; the sizes that were tried."""
    encoder, tried = dae.network.encoder.forward, list[int]()

    def forward(x: torch.Tensor) -> torch.Tensor:
        tried.append(len(x))
        if len(x) > crops:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return encoder(x)

    monkeypatch.setattr(dae.network.encoder, "forward", forward)
    return tried


def test_a_gpu_too_small_for_a_batch_gets_half_of_it(
    dae: Dae, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = encode(dae, [pixels()], batch_size=4)
    tried = gpu_with_room_for(dae, 4, monkeypatch)
    np.testing.assert_array_equal(encode(dae, [pixels()], batch_size=8), wanted)
    assert tried == [8, 4, 4, 4]
    assert "batches of 8 crops are too large for this GPU, now 4: CUDA out of memory" in caplog.text


def test_a_gpu_too_small_for_half_a_batch_is_an_error(dae: Dae, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = gpu_with_room_for(dae, 3, monkeypatch)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        encode(dae, [pixels()], batch_size=8)
    assert tried == [8, 4]


def test_no_crops_no_latents(dae: Dae) -> None:
    assert encode(dae, [pixels()[:0]], 4).shape == (0, 8)


def test_crops_of_another_size_are_refused(dae: Dae) -> None:
    with pytest.raises(WeightsError, match=r"\(3, 8, 16\).*trained on \(3, 16, 16\)"):
        encode(dae, [pixels()[:, :, :8]], 4)


def test_damaged_weights_are_refused(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="train the DAE again"):
        load_dae(tmp_path / "w.safetensors")


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="not weights of this DAE"):
        load_dae(tmp_path / "w.safetensors")


def test_window_there_and_back() -> None:
    hu = hounsfield(pixels(), MODEL)
    clipped = hu.clamp(MODEL.hu_low, MODEL.hu_high).numpy().astype(np.int16)
    np.testing.assert_array_equal(to_hu(windowed(hu, MODEL), MODEL), clipped)


def test_slab_is_the_mean_of_the_central_slices() -> None:
    slab = hounsfield(pixels(), MODEL.model_copy(update={"slab_mean": True}))
    np.testing.assert_allclose(slab.numpy(), pixels().mean(axis=1, keepdims=True), rtol=1e-5)


def test_central_slices() -> None:
    assert central(5, 3) == slice(1, 4)
    with pytest.raises(ValueError, match="odd or even"):
        central(5, 2)


def test_the_encoder_is_given_windowed_crops_in_order() -> None:
    torch.manual_seed(0)
    network = DaeNetwork(MODEL, 16).eval().requires_grad_(False)
    untrained = Dae(network, Diffusion(MODEL), MODEL, (3, 16, 16), "", {}, torch.device("cpu"))
    wanted = network.encoder(windowed(hounsfield(pixels(), MODEL), MODEL)).numpy()
    np.testing.assert_allclose(encode(untrained, [pixels()], batch_size=5), wanted, rtol=1e-4, atol=1e-5)
