"""Answers damaged at random end in a checked image or in one of the four errors, never in anything else."""

import numpy as np
import pytest

from galcnn.cutout import Cutout
from galcnn.errors import CoverageError, DownloadError
from galcnn.surveys.hips import HipsSurvey
from galcnn.surveys.legacy import LegacySurvey
from galcnn.surveys.panstarrs import PanStarrs
from tests.surveys.servers import Reply, Server


def damaged(body, rng):
    """Bytes changed anywhere, in the cards, or whole blocks lost, doubled or swapped."""
    content = bytearray(body)
    kind = rng.integers(5)
    if kind == 0:
        for place in rng.integers(0, len(content), 1 + rng.integers(40)):
            content[place] = rng.integers(256)
    elif kind == 1:  # within the first header
        for place in rng.integers(0, min(len(content), 2880), 1 + rng.integers(6)):
            content[place] = rng.choice(list(b" 0123456789-+.'TFEANIXS=/"))
    elif kind == 2:
        n_blocks = len(content) // 2880
        content = content[: 2880 * int(rng.integers(1, max(2, n_blocks)))]
    elif kind == 3:
        place = 2880 * int(rng.integers(0, max(1, len(content) // 2880)))
        content[place:place] = content[place : place + 2880]
    else:
        start = int(rng.integers(0, len(content)))
        del content[start : start + int(rng.integers(1, 200))]
    return bytes(content)


@pytest.mark.full
@pytest.mark.parametrize("service", ["legacysurvey", "panstarrs", "hips"])
def test_no_damage_gets_through_as_another_error(
    service, legacy_server, panstarrs_server, hips_server, legacy_material, skycell_material
):
    rng = np.random.default_rng(7)
    real = {"legacysurvey": legacy_server, "panstarrs": panstarrs_server, "hips": hips_server}[
        service
    ].respond
    kept = {}

    def respond(path, query):
        key = (path, *sorted(query.items()))
        if key not in kept:
            kept[key] = real(path, query)
        reply = kept[key]
        # Two answers of three are sound, so that the later ones are damaged too.
        return Reply(damaged(reply.body, rng) if rng.random() < 0.34 else reply.body, reply.content_type)

    counts = {}
    with Server(respond) as server:
        survey, middle = {
            "legacysurvey": (LegacySurvey("ls-dr9", server=server.url), legacy_material.middle),
            "panstarrs": (PanStarrs(server=server.url), skycell_material.middle),
            "hips": (
                HipsSurvey("CDS/P/Toy/g,CDS/P/Toy/r", arcsec=0.262, sky=False, server=server.url),
                legacy_material.middle,
            ),
        }[service]
        for _ in range(300):
            try:
                found = survey.cutout(middle, 33 * survey.pixel_scale, ("g", "r"))
                assert isinstance(found, Cutout)
                assert (found.shape, found.bands) == ((33, 33), ("g", "r"))
                x, y = found.wcs.world_to_pixel(middle)
                assert max(abs(x - 16), abs(y - 16)) < 0.52
                outcome = "image"
            except (DownloadError, CoverageError) as error:
                outcome = type(error).__name__
            counts[outcome] = counts.get(outcome, 0) + 1
    assert counts["image"] > 50
    assert counts["BadResponseError"] > 50
