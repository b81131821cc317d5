"""BeautifulSoup's tree, built fast."""
