"""`make verify-camoufox`: what a person with Docker and internet can check, and this machine cannot."""
