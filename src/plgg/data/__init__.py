"""Data in and out: images, manifests, stores, run and prediction folders. No torch."""
