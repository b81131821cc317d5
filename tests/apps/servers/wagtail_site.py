# mypy: ignore-errors
# ruff: noqa: E402 (models can only be imported when the settings are there)
"""Wagtail: pages for members, some for a group only, and an editor's rights in its admin."""

import sys

import django
from django.conf import settings
from serving import DJANGO, FOLDER, PASSWORD, USER, content, count_login, serve

sys.path.append(str(FOLDER))

settings.configure(
    MIGRATION_MODULES={"shelf": "shelf_migrations"},
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "shelf",
        *(f"wagtail.{name}" for name in ("users", "snippets", "documents", "images", "search")),
        *("wagtail.admin", "wagtail.sites", "wagtail", "taggit", "modelcluster", "django_tasks"),
        *(f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions", "messages")),
        "django.contrib.staticfiles",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    **DJANGO,
    LOGIN_REDIRECT_URL="/",
    MEDIA_ROOT=str(FOLDER / "media"),
    WAGTAIL_SITE_NAME="A site",
    WAGTAILADMIN_BASE_URL="http://127.0.0.1",
    WAGTAILSEARCH_BACKENDS={"default": {"BACKEND": "wagtail.search.backends.database"}},
)
django.setup()

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.auth.signals import user_logged_in
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path
from shelf.models import Article
from wagtail import urls as wagtail_urls
from wagtail.admin import urls as wagtailadmin_urls
from wagtail.models import Page, PageViewRestriction, Site
from wagtail.users.models import UserProfile

urlpatterns = [
    path("admin/", include(wagtailadmin_urls)),
    path("", include(wagtail_urls)),
]


def lay():
    (FOLDER / "shelf_migrations").mkdir()
    (FOLDER / "shelf_migrations" / "__init__.py").touch()
    call_command("makemigrations", "shelf", verbosity=0)
    call_command("migrate", verbosity=0)
    user = get_user_model().objects.create_user(USER, "member@site.example", PASSWORD)
    user.groups.add(Group.objects.get(name="Editors"))
    UserProfile.get_for_user(user)  # otherwise made by the first visit
    root = Page.get_first_root_node()
    home = Article(title="Members", slug="members", body="<p>Home.</p>")
    root.add_child(instance=home)
    site = Site.objects.get()
    site.root_page = home
    site.save()
    PageViewRestriction.objects.create(page=home, restriction_type=PageViewRestriction.LOGIN)
    board = Group.objects.create(name="Board")
    for number in range(6):
        page = Article(title=f"Closed {number}", slug=f"closed{number}", body="<p>Nothing.</p>")
        home.add_child(instance=page)
        restriction = PageViewRestriction(page=page, restriction_type=PageViewRestriction.GROUPS)
        restriction.save()
        restriction.groups.add(board)
    pages = {}
    for name, text in content():
        page = pages.setdefault(name, Article(title=name, slug=name))
        page.body = text
        if not page.id:
            home.add_child(instance=page)
        page.save_revision().publish()


user_logged_in.connect(lambda **kwargs: count_login(), weak=False)

if __name__ == "__main__":
    if sys.argv[2:] == ["lay"]:
        lay()
    else:
        serve(get_wsgi_application())
