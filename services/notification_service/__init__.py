"""Turns events of tasks and reminders into notifications, once each."""
