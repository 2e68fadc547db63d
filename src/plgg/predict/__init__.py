"""Prediction: run trained networks on whole brains and restore the masks to the native grid."""
