"""The assistant: a turn of a dialogue, which acts through the MCP tools."""
