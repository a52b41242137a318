"""Networks that end in logits, what they are given, and what is known of a trained one.

A `TrainedModel` is a Keras model and its `Card`. `InputSpec` says which images the network takes;
`prepare` brings a cutout to it. `galcnn.model.graph`, `forward`, `receptive` and `gradients` read and
run any Keras model layer by layer. Lazy: a card can be read without the seconds that Keras takes to
import.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
