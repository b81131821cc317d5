"""One request as the fetching process sends it, without that process."""

from __future__ import annotations

from queue import SimpleQueue

from crawler import urls
from crawler.fetching.sender import Answer, Sender
from crawler.http.adapter import decoded_body
from crawler.http.deadline import FetchContext
from crawler.request import Request
from crawler.session.session import Session
from crawler.settings import Settings


def answered(request: Request, session: Session, settings: Settings) -> Answer:
    """Return the answer, decoded. Raises FetchError.

    The loop sends what needs no feature of requests, and this thread the rest, as in a crawl.
    """
    sender, limit = Sender(settings), settings.max_body
    answers: SimpleQueue[Answer | BaseException] = SimpleQueue()

    def take(answer: Answer | BaseException, _: float) -> None:
        answers.put(answer)

    if not sender.begin(request, session, take, limit=limit):
        return sender.send(request, session, FetchContext())
    answer = answers.get()
    if isinstance(answer, BaseException):
        raise answer
    body = decoded_body(answer.body, answer.coding, urls.redacted(request.url), limit)
    return answer._replace(body=body)
