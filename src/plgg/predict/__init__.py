"""A trained network on whole brains, and its answer on the patient's own grid."""
