"""Synthetic children's (or adults') low-grade gliomas on FLAIR, with known truth, made offline.

A cohort of these shows that the whole product works, without one real patient. No result on it is
a result on patients. Knows nothing of preprocessing or networks.
"""

from plgg.phantom.cohort import make_cohort
from plgg.phantom.settings import CLASSES, PhantomSettings, phantom_settings

__all__ = ["CLASSES", "PhantomSettings", "make_cohort", "phantom_settings"]
