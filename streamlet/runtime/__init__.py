"""The shell: every task, queue, socket, thread and await is in here."""
