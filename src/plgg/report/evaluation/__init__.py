"""One evaluation as a page with figures, and its numbers as rows. Judges nothing."""

from plgg.report.evaluation.write import write_evaluation_page

__all__ = ["write_evaluation_page"]
