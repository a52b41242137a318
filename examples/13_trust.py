"""Which maps of ./model (previous examples) can be trusted? Three methods and three controls."""

from pathlib import Path

from galcnn import load_model
from galcnn.experiment import galaxies_of
from galcnn.explain import explainers_by_name
from galcnn.faithfulness import TrustSettings, read_sample, trust_report
from galcnn.faithfulness.report import Models

trained = load_model("model")
galaxies = read_sample(trained, galaxies_of(trained.card, "sky/catalog.ecsv", n=12))
table = trust_report(
    Models(trained),
    galaxies,
    "trust",
    explainers=explainers_by_name(["saliency", "guided", "cam"]),
    settings=TrustSettings(moves=4, draws=8, layers=1),
)
print(Path("trust/trust.md").read_text())
fails = table[table["verdict"] == "fails"]
print("control_edges fails", *fails["criterion"][fails["method"] == "control_edges"])
print("wrote trust/: trust.md, trust.png, randomisation.png, removal.png, layers/*.fits")
