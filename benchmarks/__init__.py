"""What a solve costs: this service beside bare Playwright loops and other services."""
