"""Which maps of ./model (previous examples) are faithful to it? Three methods and three controls."""

from pathlib import Path

from galcnn import load_model
from galcnn.experiment import galaxies_of
from galcnn.explain import explainers_by_name
from galcnn.faithfulness import FaithfulnessSettings, faithfulness_report, read_sample
from galcnn.faithfulness.report import Models

trained = load_model("model").with_orientations(1)  # the mean of 8 takes eight times as long
galaxies = read_sample(trained, galaxies_of(trained.card, "sky/catalog.ecsv", n=12))
table = faithfulness_report(
    Models(trained),
    galaxies,
    "faithfulness",
    explainers=explainers_by_name(["saliency", "guided", "cam"]),
    settings=FaithfulnessSettings(moves=4, draws=8, keep_layers=1),
)
print(Path("faithfulness/faithfulness.md").read_text())
fails = table[table["verdict"] == "fails"]
print("control_edges fails", *fails["criterion"][fails["method"] == "control_edges"])
print("wrote faithfulness/: faithfulness.md and .png, randomisation.png, deletion_insertion.png, layers/")
