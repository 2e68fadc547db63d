"""Files in and out: NIfTI, manifests, stores, run folders. No torch, no processing."""
