"""Figures: learning curves, quality of the predictions, and galaxies to inspect."""

from astropy.table import Table

from galcnn import LayerStack
from galcnn.pipeline import table_sheet
from galcnn.report import Known, draw_run
from galcnn.viewers import save_figure, sky_figure

written, _ = draw_run("model", "model/figures", known=Known(catalog="sky/catalog.ecsv"))
for path in written:
    print(path)
for row in Table.read("model/figures/ranking.ecsv"):
    area, low, high = (row[f"average_precision{end}"] for end in ("", "_low", "_high"))
    print(
        f"{row['class']:<14} average precision {area:.3f} [{low:.3f}, {high:.3f}]; chance {row['share']:.3f}"
    )

# Pictures of the 20 least certain galaxies of the test set: galcnn view model/test.ecsv --save FILE.png
sheet = table_sheet("model/test.ecsv", catalog="sky/catalog.ecsv", n=20)
save_figure(sheet.figure, "least-certain.png")
print("least certain:", ", ".join(sheet.ids[:5]))

stack = LayerStack.read("sim7-000003-layers.fits")
save_figure(sky_figure(stack, "cam"), "sim7-000003-cam.png")
