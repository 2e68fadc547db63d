"""Synthetic children's (or adults') low-grade gliomas on FLAIR, with known truth, made offline.

A cohort of these shows that the whole product works, without one real patient. No result on it is
a result on patients.
"""
