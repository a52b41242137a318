"""Similar images among many: hashing finds the pairs that comparing all of them finds."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import rotate

from galcnn.dataset import leakage, similar, suspicious
from galcnn.dataset.suspicious import CutoutMeasure


@pytest.mark.parametrize(("cosine", "least"), [(0.64, 0.9), (0.8, 0.995), (0.9, 0.999)])
def test_similar_vectors_meet_in_a_bucket(cosine, least):
    """Pairs of known cosine among 4,000 others; each query is compared with few of them."""
    rng = np.random.default_rng(1)
    n, base = 1000, unit(rng.normal(size=(4000, 128)))
    aside = rng.normal(size=(n, 128))
    aside = unit(aside - (aside * base[:n]).sum(axis=1, keepdims=True) * base[:n])
    asked = (cosine * base[:n] + np.sqrt(1 - cosine**2) * aside).astype(np.float32)
    met, compared = np.zeros(n, bool), 0
    for i, j in similar.similar_rows(asked, base):
        met[i[i == j]] = True
        compared += len(i)
    assert met.mean() >= least
    assert compared < 0.05 * n * len(base)


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_the_best_match_is_kept_and_zeros_match_nothing():
    rng = np.random.default_rng(2)
    base = unit(rng.normal(size=(300, 32)))
    asked = np.concatenate([base[[5, 7, 7]], np.zeros((1, 32), np.float32)])
    base[200], base[3] = base[7], 0
    found = list(similar.most_similar(asked, base, lambda i, j: (asked[i] * base[j]).sum(axis=1), limit=0.9))
    assert [(i, j) for i, j, _ in found] in ([(0, 5), (1, k), (2, k)] for k in (7, 200))
    np.testing.assert_allclose([value for *_, value in found], 1, rtol=1e-5)


@pytest.mark.full
def test_products_of_rings_do_not_change_with_a_rotation():
    """For both handednesses: the vectors of turned images are equal, mirrored ones are the second half."""
    rng = np.random.default_rng(3)
    images = rng.normal(size=(400, 16, 6)) + 1j * rng.normal(size=(400, 16, 6))
    images = leakage._unit(images.astype(np.complex64))
    turned = images * np.exp(1j * rng.uniform(0, 6, (400, 1, 1)) * leakage._WAVES).astype(np.complex64)
    one, other = leakage._invariant(images, turned)
    np.testing.assert_allclose((one * other[:400]).sum(axis=1), 1, atol=1e-4)
    one, other = leakage._invariant(images, turned.conj())
    np.testing.assert_allclose((one * other[400:]).sum(axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("survey", ["gz1", pytest.param("gz2", marks=pytest.mark.full)])
def test_the_pairs_of_real_galaxies_are_those_of_comparing_all(real_data, survey):
    """Turned, mirrored and noisy copies of pictures among others, and nothing else."""
    rng = np.random.default_rng(4)
    files = sorted((real_data / survey / "images").glob("*.jpg"))[:600]
    pictures = [np.asarray(Image.open(file).convert("L").resize((64, 64)), np.float32) for file in files]
    copies = [
        rotate(
            pictures[k][:, :: 1 - 2 * (k % 2)], rng.uniform(0, 360), reshape=False, order=1, mode="nearest"
        )
        + rng.normal(0, 2 * (k % 3), (64, 64))
        for k in range(100)
    ]
    parts = {"one": np.array(copies + pictures[100:300]), "other": np.array(pictures[:100] + pictures[300:])}
    read = leakage._whitened(
        {
            name: leakage._coefficients(part[..., np.newaxis].astype(np.float32))
            for name, part in parts.items()
        }
    )
    every, hashed = (
        list(find(read["one"], read["other"], 0.8)) for find in (leakage._alike, leakage._hashed)
    )
    assert len(every) > 30
    assert [pair[:2] for pair in hashed] == [pair[:2] for pair in every]
    np.testing.assert_allclose([pair[2] for pair in hashed], [pair[2] for pair in every], atol=1e-5)


def test_repeated_images_are_those_of_comparing_all(monkeypatch):
    """Signs of gradients of which every tenth repeats an earlier one, but for some of the pixels."""
    rng = np.random.default_rng(5)
    signs = rng.choice([-1, 1], size=(800, 1984)).astype(np.int8)
    for row in range(100, 800, 10):
        signs[row] = signs[row - 63]
        signs[row, : row // 8 * 3] *= rng.choice([-1, 1], size=row // 8 * 3).astype(np.int8)
    measures = [CutoutMeasure(0.0, 0.0, 0.0, {}, one) for one in signs]
    every = suspicious._duplicates(measures, 0.8)
    monkeypatch.setattr(suspicious, "ALL_PAIRS", 1000)
    hashed = suspicious._duplicates(measures, 0.8)
    assert len(every) > 60
    assert [pair[:2] for pair in hashed] == [pair[:2] for pair in every]
