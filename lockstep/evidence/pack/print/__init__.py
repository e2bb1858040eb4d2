"""What a person reads without tools: pages, sheets, a workbook."""
