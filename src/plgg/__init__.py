"""plgg: outline a pediatric low-grade glioma on one FLAIR MRI and name its genetic marker."""

__version__ = "0.1.0"
