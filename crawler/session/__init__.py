"""Who we are at a site: accounts, secrets, login, and noticing that it has ended."""
