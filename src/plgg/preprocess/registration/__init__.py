"""Registration to the atlas: starts, engines, the chain of attempts, and what is seen of them.

    frame (scan and brain on the working grid) → start → engine → aligned → gates → chain

A registration is a 4×4 matrix between two worlds in mm, so it is undone by its inverse.
"""

from plgg.preprocess.registration.chain import AS_IT_LIES, CHAINS, Registered, Step, register
from plgg.preprocess.registration.frame import AtlasView, Frame, frame_of, view_of

__all__ = [
    "AS_IT_LIES",
    "CHAINS",
    "AtlasView",
    "Frame",
    "Registered",
    "Step",
    "frame_of",
    "register",
    "view_of",
]
