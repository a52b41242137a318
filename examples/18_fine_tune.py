"""From a trained model to other classes with 60 labels: choose galaxies, label them on a page, fine-tune."""

from astropy.table import Table

from galcnn import train
from galcnn.pipeline import (
    SurveySettings,
    embed_catalog,
    label_next,
    read_embedded,
    write_label_page,
    write_survey,
)
from galcnn.simulation import simulate_catalog

if __name__ == "__main__":
    # The parent of 02_train.py tells ellipticals, spirals and edge-on galaxies apart. Others: a ready model
    # (galcnn models), a Keras file, an encoder of timm or KerasHub, hf://owner/name.
    start = "model"
    sky = write_survey(
        simulate_catalog(120, seed=18, classes=("spiral", "merger")), "others", settings=SurveySettings(18)
    )

    # Which galaxies to label: those that differ most from each other, in the features of the parent.
    embed_catalog(start, "others/catalog.ecsv", "features.parquet", overwrite=True)
    chosen = label_next(read_embedded("features.parquet"), 60, strategy="k-center")
    chosen.write("next.ecsv", overwrite=True)

    # A person labels them on label.html, which saves labels.csv. Here the simulation knows the answer.
    page = write_label_page(
        "next.ecsv", ["merger", "spiral"], "label.html", catalog="others/catalog.ecsv", start=start
    )
    print("label.html:", len(page.ids), "galaxies; then:", page.command)
    truth = dict(zip(sky.ids, sky.labels, strict=True))
    labels = Table({"id": page.ids, "class": [truth[name] for name in page.ids]})
    labels["image"] = [f"others/cutouts/{name}.fits" for name in page.ids]
    labels.write("labels.csv", overwrite=True)

    settings = {
        "training": {"epochs": 8, "batch_size": 16},
        "start": {"model": start, "freeze": "body", "head_epochs": 2},
        "calibration": {"enabled": False},  # with so few galaxies it says nothing
    }
    child = train("labels.csv", "mergers", settings=settings, overwrite=True)
    score = child.card.metrics["test"]["accuracy"]
    print(f"accuracy {score['value']:.2f} [{score['low']:.2f}, {score['high']:.2f}] of {score['n']} galaxies")
    print("parent:", child.card.parent["name"], "frozen:", child.card.parent["freeze"])
