"""Turns task events and reminders into notifications, exactly one for each."""
