"""Preprocessing as Keras layers, which are saved as part of the model.

Every layer stores its constants as non-trainable float32 weights, computes in float32 under any dtype
policy (fluxes of 1e5 nJy overflow in half precision) and is fitted once, on the training set only.
`keras.layers.Normalization` is not used, since its ONNX export is unusable.
"""
