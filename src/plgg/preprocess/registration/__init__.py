"""Registration to the atlas: starts, engines, the chain of attempts, and what is seen of them.

    frame (scan and brain on the working grid) → start → engine → aligned → gates → chain

A registration is a 4×4 matrix between two worlds in mm, so it is undone by its inverse.
"""
