"""Points links of the built book that leave it (to source files) to the repository's web pages.

    python3 .github/source-links.py docs/book https://github.com/OWNER/NAME/blob/COMMIT
"""

import os
import pathlib
import re
import sys

book, base = pathlib.Path(sys.argv[1]), sys.argv[2]
# Pages whose text is included from a file elsewhere: its links are relative to that file.
INCLUDED = {"reference/protocol.html": "wire"}


def moved(page):
    folder = INCLUDED.get(page, os.path.dirname(f"docs/{page}"))

    def replace(match):
        target = match[1]
        if re.match(r"[a-z]+:|#|/", target) or (book / os.path.dirname(page) / target.split("#")[0]).exists():
            return match[0]
        # mdBook has renamed .md to .html.
        path, _, anchor = target.partition("#")
        path = os.path.normpath(f"{folder}/{re.sub(r'[.]html$', '.md', path)}")
        return f'href="{base}/{path}{"#" if anchor else ""}{anchor}"' if os.path.exists(path) else match[0]

    return replace


for file in book.rglob("*.html"):
    page = file.relative_to(book).as_posix()
    file.write_text(re.sub(r'href="([^"]+)"', moved(page), file.read_text()))
