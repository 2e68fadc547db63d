"""Registration to the atlas: working images, starts, engines and orientations.

    frame (scan and brain on the working grid) → start → engine → aligned → gates

`plgg.preprocess.register` runs the chain of attempts. A registration is a 4×4 matrix between two
worlds in mm, so it is undone by its inverse.
"""
