"""Synthetic FLAIR scans of children or adults with a low-grade glioma, and their true masks.

They test the whole package without data of real patients. No result on them is a result on
patients.
"""
