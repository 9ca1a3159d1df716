"""What people and tools provide: VerSe's and MosMed's files, masks, corrections by hand, tools' label maps."""
