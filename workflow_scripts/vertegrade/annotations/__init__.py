"""What people and tools bring: VerSe's and MosMed's files, masks, corrections by hand, tools' label maps."""
