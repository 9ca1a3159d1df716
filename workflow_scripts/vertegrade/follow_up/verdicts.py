"""What a change between two scans is called: the column `verdict` of FOLLOW_UP."""

NEW, PROGRESSED, STABLE, UNCLEAR = "new", "progressed", "stable", "unclear"
