"""Layers: append a method to a layers file, write maps into the survey's own file, export for viewers."""

from galcnn import LayerStack, load_model
from galcnn.explain import GradCAM, explain
from galcnn.layers import append_stack, provenance_of, read_stacks, write_into
from galcnn.viewers import export

path, layers = "sky/cutouts/sim7-000003.fits", "sim7-000003-layers.fits"
trained = load_model("model")
stack = LayerStack.read(layers)

(maps,) = explain(trained, [stack.cutout], explainers=[GradCAM()])
origin = provenance_of(path, model=trained.card.name, model_sha256=trained.card.model_sha256)
append_stack(layers, LayerStack(stack.cutout, stack.prediction, maps, origin))
for one in read_stacks(layers):
    print(one.id, [explanation.method for explanation in one.explanations])

write_into(stack, path, out="sim7-000003-with-maps.fits")  # on the pixel grid of the survey's file
print(f"wrote {len(export(layers, 'view'))} files to view; sh view/ds9.sh opens DS9")
