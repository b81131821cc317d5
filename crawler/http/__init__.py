"""One HTTP exchange within limits: connections, cookies, redirects, deadlines."""
