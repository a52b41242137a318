"""Similar galaxies, galaxies to label next, JSON output and ONNX export, with ./sky and ./model."""

import contextlib
import io
import json

from galcnn.cli.main import main
from galcnn.pipeline import label_next, nearest, read_embedded

words = ["classify", "model", "--catalog", "sky/catalog.ecsv", "--embeddings", "--out", "embedded", "--quiet"]
answer = io.StringIO()
with contextlib.redirect_stdout(answer):  # what galcnn --json classify ... prints for other programs
    main(["--json", *words])
document = json.loads(answer.getvalue())
print("exit code", document["exit_code"], document["result"])

embedded = read_embedded("embedded")
print(nearest(embedded, embedded.ids[3], n=5))
labelled = embedded.ids[::2]
print(label_next(embedded, 5, strategy="diverse", labelled=labelled))

main(["export", "model", "--out", "model.onnx"])  # needs galcnn[onnx]; else prints what to install
