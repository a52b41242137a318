"""Which maps of ./model (previous examples) can be trusted? Three methods and three controls."""

from pathlib import Path

from galcnn import load_model
from galcnn.experiment import galaxies_of
from galcnn.explain import explainers_by_name
from galcnn.faithfulness import FaithfulnessSettings, faithfulness_report, read_sample
from galcnn.faithfulness.report import Models

trained = load_model("model")
galaxies = read_sample(trained, galaxies_of(trained.card, "sky/catalog.ecsv", n=12))
table = faithfulness_report(
    Models(trained),
    galaxies,
    "trust",
    explainers=explainers_by_name(["saliency", "guided", "cam"]),
    settings=FaithfulnessSettings(moves=4, draws=8, layers=1),
)
print(Path("trust/faithfulness.md").read_text())
fails = table[table["verdict"] == "fails"]
print("control_edges fails", *fails["criterion"][fails["method"] == "control_edges"])
print("wrote trust/: faithfulness.md, faithfulness.png, randomisation.png, removal.png, layers/*.fits")
