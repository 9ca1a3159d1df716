"""Vertegrade: calibrated Genant grades of vertebral fractures from CT. Research use only, not a medical device."""
