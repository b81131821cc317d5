"""What came back, read: encodings, trees, links, forms, sitemaps, robots.txt."""
