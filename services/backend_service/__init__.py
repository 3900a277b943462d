"""Tasks and conversations of users, and the reminders of tasks."""
