"""What flows out of containers and into them: logs, commands, terminals."""
