"""Preprocessing as Keras layers, so that it travels inside the saved model.

Every layer holds its constants as non-trainable float32 weights, computes in float32 under any
dtype policy (the asinh of 1e5 nJy overflows in half precision) and is fitted once, on the
training set alone. `keras.layers.Normalization` is not used: it exports to an unusable ONNX file.
"""
