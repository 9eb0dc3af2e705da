"""What lies on disk, not decoded: headers, scans, archives."""
