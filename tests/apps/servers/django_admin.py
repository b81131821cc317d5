# mypy: ignore-errors
# ruff: noqa: E402 (models can only be imported when the settings are there)
"""Django's admin with one model, its sessions in the database."""

import django
from django.conf import settings
from serving import DJANGO, PASSWORD, USER, books, count_login, serve

settings.configure(
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
    ],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
    **DJANGO,
)
django.setup()

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection, models
from django.urls import path


class Book(models.Model):
    title = models.CharField(max_length=200)
    cents = models.IntegerField()

    class Meta:
        app_label = "auth"  # of an application that is there: this file is none


@admin.register(Book)
class BookAdmin(admin.ModelAdmin):
    list_display = ("title", "cents")


urlpatterns = [path("admin/", admin.site.urls)]
user_logged_in.connect(lambda **kwargs: count_login(), weak=False)

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Book)
    Book.objects.bulk_create(Book(title=title, cents=cents) for title, cents in books())
    get_user_model().objects.create_superuser(USER, "", PASSWORD)
    serve(get_wsgi_application())
