"""Users' tasks and conversations, and the reminders of tasks."""
