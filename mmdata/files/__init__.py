"""Files on disk, not decoded: headers, scans, archives."""
