"""Gates: measures of a scan and its registration against limits set on real scans."""
