"""Networks that end in logits: building, preprocessing, inputs, model cards, saving and loading.

A `TrainedModel` is a Keras model and its `Card`. `InputSpec` describes the images that the network
takes; `prepare` converts a cutout to them. `galcnn.model.graph`, `forward`, `receptive` and
`gradients` inspect and run any Keras model layer by layer. Submodules are imported lazily, so that a
card can be read without importing Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
