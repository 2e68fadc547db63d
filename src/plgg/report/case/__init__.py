"""The page of one scan: outline, volume, marker and doubts in one HTML file that opens offline."""

from plgg.report.case.write import write_case_report

__all__ = ["write_case_report"]
