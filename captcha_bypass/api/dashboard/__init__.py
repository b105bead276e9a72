"""The operator's page: its files, its login, and what it shows and does."""
