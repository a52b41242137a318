"""HTML report of 60 galaxies for local use: predictions, wrong predictions and maps."""

from galcnn import load_model, read_catalog
from galcnn.dataset import InputFiles
from galcnn.pipeline import ExplainSettings, explain_files, run_catalog
from galcnn.report import Known, write_report

catalog = read_catalog("sky/catalog.ecsv").select(range(60))
run_catalog("model", catalog, InputFiles.of(catalog), "run")

names = catalog.ids[:8]
files = InputFiles({name: f"sky/cutouts/{name}.fits" for name in names})
out = {name: f"layers/{name}.fits" for name in names}
for stack in explain_files(load_model("model"), files, ExplainSettings(), out=out):
    print(stack if isinstance(stack, Exception) else (stack.id, stack.prediction.best[0]))

# The catalog provides true classes and images of galaxies without maps; the model provides its card.
counts = write_report(["run", "layers", "model"], "report", known=Known("sky/catalog.ecsv", label="class"))
print(f"open report/index.html: {counts['objects']} objects, {counts['maps']} maps")
