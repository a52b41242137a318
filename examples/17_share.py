"""A catalog with features: galaxies alike, the next to label, JSON for programs; of ./sky and ./model."""

import contextlib
import io
import json

from galcnn.cli.main import main
from galcnn.pipeline import nearest, read_embedded, suggest

words = ["classify", "model", "--catalog", "sky/catalog.ecsv", "--embeddings", "--out", "embedded", "--quiet"]
answer = io.StringIO()
with contextlib.redirect_stdout(answer):  # what a program in any language reads from: galcnn --json run ...
    main(["--json", *words])
told = json.loads(answer.getvalue())
print("exit code", told["exit_code"], told["result"])

embedded = read_embedded("embedded")
print(nearest(embedded, embedded.ids[3], n=5))
labelled = embedded.ids[::2]
print(suggest(embedded, 5, strategy="diverse", labelled=labelled))

main(["export", "model", "--onnx", "model.onnx"])  # needs galcnn[onnx]; says so where that is not installed
