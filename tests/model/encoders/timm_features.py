"""Features by timm itself, in an environment with torch and timm (make test-hub).

``timm_features.py features ARCHITECTURE BANDS FILE.npy`` writes the features of `weights.images`, with
`weights.state` as weights. ``timm_features.py record`` writes ``recorded.json``: names and shapes of the
weights, and the first features, for the tests that run without torch.
"""

import json
import sys
from pathlib import Path

import numpy as np
import timm
import torch
import weights

RECORDED = Path(__file__).with_name("recorded.json")


def features(architecture, bands):
    """Return the features of timm's network and the shapes of its weights."""
    network = timm.create_model(architecture, pretrained=False, num_classes=0, in_chans=bands).eval()
    shapes = {name: list(values.shape) for name, values in network.state_dict().items()}
    state = {name: torch.from_numpy(values) for name, values in weights.state(shapes).items()}
    network.load_state_dict(state, strict=True)
    with torch.no_grad():
        images = torch.from_numpy(weights.images(bands).transpose(0, 3, 1, 2).copy())
        return network(images).numpy(), shapes


def record():
    """Write the first sixteen features of three networks."""
    found = {"timm": timm.__version__}
    for architecture, bands in (("convnext_pico", 3), ("resnet18", 1), ("efficientnet_b0", 3)):
        values, shapes = features(architecture, bands)
        found[architecture] = {
            "bands": bands,
            "largest": float(np.abs(values).max()),
            "features": values[:, :16].astype(float).round(7).tolist(),
            "shapes": shapes,
        }
    RECORDED.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "record":
        record()
    else:
        architecture, bands, shapes_file, output = sys.argv[2:]
        values, shapes = features(architecture, int(bands))
        Path(shapes_file).write_text(json.dumps(shapes))
        np.save(output, values)
