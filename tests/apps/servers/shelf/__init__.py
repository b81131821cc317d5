"""The Django application with the type of Wagtail's pages."""
