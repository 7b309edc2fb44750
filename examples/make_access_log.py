"""Writes an access log to try click_sessions.py on: bursts of requests, badly out of order.

    python examples/make_access_log.py OUT [LINES]

As in a real log that several servers write to, nearly all lines (94 %) are older than one before
them, by less than a minute. The same number of lines gives the same log every time.
"""

import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

BURST_LINES = 120
PAGES = ["/", "/blog/", "/projects/", "/style.css", "/favicon.ico", "/images/logo.png", "/feed.xml"]
BROWSERS = ["Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (Macintosh)", "FeedReader/4.2", "-"]


def lines(count: int, rng: random.Random) -> Iterator[str]:
    """A burst lasts a minute; the next one comes 10 to 70 minutes later."""
    start = datetime(2015, 5, 17, 10, 5, tzinfo=UTC)
    for number in range(count):
        if number and number % BURST_LINES == 0:
            start += timedelta(minutes=rng.randint(10, 70))
        yield line(start + timedelta(seconds=rng.randrange(60)), rng)


def line(time: datetime, rng: random.Random) -> str:
    status, size = rng.choices(
        [("200", str(rng.randrange(200, 200_000))), ("304", "-"), ("404", "324")], [92, 5, 3]
    )[0]
    return (
        f'{client(rng)} - - [{time:%d/%b/%Y:%H:%M:%S %z}] "GET {rng.choice(PAGES)} HTTP/1.1" '
        f'{status} {size} "-" "{rng.choice(BROWSERS)}"'
    )


def client(rng: random.Random) -> str:
    """A few clients ask often, most of them once or twice."""
    number = int(10 * rng.paretovariate(0.6)) % 2**24
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def main(out: str, count: int = 10_000) -> None:
    with open(out, "w", encoding="utf-8") as log:
        log.writelines(f"{text}\n" for text in lines(count, random.Random(7)))
    print(f"wrote {count:,} lines to {out}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1], *map(int, sys.argv[2:]))
