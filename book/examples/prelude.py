import keras
import numpy as np
import pandas as pd

import mnist1d_utils as m1
import xai_utils as xu

model = xu.load_model("models/mnist1d.keras")  # signals (N, 40, 1), ends in a Dense layer after Flatten
gap = xu.load_model("models/mnist1d_gap.keras")  # its twin with a global average and one Dense layer
drawn = xu.load_model("models/schematic_faces.keras")  # drawn faces (N, 48, 48, 1)
phantom = xu.schematic_faces(7, seed=0)
faces = phantom.images
data = m1.make_dataset()
signals, digits = (part[:3] for part in m1.split(data, "test"))
