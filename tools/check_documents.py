#!/usr/bin/env python3
"""Checks what the documents name: every relative link, every path in backticks, every page and section that is cited exists.

A word in backticks counts as a path if it has a slash and begins with a folder of the repository, or with a folder of src/ (then a
name without its ending, such as `net/session`, will do). `*` and `{a,b}` stand for what they do in a shell. Sources are read for
the pages and sections of docs/ that they cite.
"""
import functools
import glob
import itertools
import pathlib
import posixpath
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOT_OURS = ("build/", "target/")  # Made by the build.
PLACEHOLDER = re.compile(r"\b(NAME|PRESET|ROLE)\b")  # What a reader puts another word in for.
SECTION = re.compile(r"((?:docs/)?[a-z_-]+\.md)\s+§(\d+)")


@functools.cache
def files():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def expanded(pattern):
    """The words that a pattern with {a,b} stands for."""
    parts = re.split(r"\{([^{}]*)\}", pattern)
    return ["".join(words) for words in itertools.product(*[part.split(",") if i % 2 else [part] for i, part in enumerate(parts)])]


@functools.cache
def there(path):
    return bool(glob.glob(str(ROOT / path)))


@functools.cache
def names_a_path(word):
    """True, or why not; None if the word is not meant as a path of the repository."""
    if not re.fullmatch(r"[A-Za-z0-9_.*{},/-]+", word) or "/" not in word.strip("/") + ("/" if word.endswith("/") else "") or word.startswith("/"):
        return None
    if word.startswith(NOT_OURS) or PLACEHOLDER.search(word):
        return None
    first = word.split("/")[0]
    if "{" in first or "*" in first or first in ("", ".", ".."):
        return None
    in_root, in_src = (ROOT / first).is_dir(), (ROOT / "src" / first).is_dir()
    if not in_root and not in_src:
        return None
    for each in expanded(word):
        if not any(there(each if in_root else f"src/{each}") or (in_src and there(f"src/{each}{end}")) for end in ("", ".h", ".cpp")):
            return False
    return True


@functools.cache
def headings(page):
    """Of a page its anchors, as GitHub makes them, and the numbers of its sections."""
    anchors, sections = set(), set()
    for title in re.findall(r"^#+ +(.*)$", (ROOT / page).read_text(), re.M):
        plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower())
        anchors.add(plain.replace(" ", "-"))
        if number := re.match(r"(\d+)[ .]", title):
            sections.add(number[1])
    return anchors, sections


def without_fences(text):
    """The text with its code blocks emptied: lines keep their numbers."""
    return re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.M | re.S)


def document(name):
    """(line, complaint) for each thing that a Markdown page names and that is not there."""
    folder = pathlib.PurePosixPath(name).parent
    for number, line in enumerate(without_fences((ROOT / name).read_text()).split("\n"), 1):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            page = posixpath.normpath(folder / path) if path else name
            if not (ROOT / page).exists():
                yield number, f"there is no {page}"
            elif anchor and anchor not in headings(page)[0]:
                yield number, f"{page} has no heading #{anchor}"
        for word in re.findall(r"`([^`\s]+)`", line):
            if names_a_path(word) is False:
                yield number, f"there is no {word}"
        # Pages, in whatever form they are named.
        prose = re.sub(r"\]\([^)]*\)", "]", line)
        for cited in re.findall(r"(?<![\w./-])([\w./-]+\.md)\b", prose):
            if not any((ROOT / place / cited).is_file() for place in ("", folder, "docs")):
                yield number, f"there is no {cited}"
        yield from cited_sections(number, line)


def cited_sections(number, line):
    for page, section in SECTION.findall(line):
        page = page if page.startswith("docs/") else f"docs/{page}"
        if not (ROOT / page).is_file():
            yield number, f"there is no {page}"
        elif section not in headings(page)[1]:
            yield number, f"{page} has no section {section}"


def source(name):
    try:
        text = (ROOT / name).read_text()
    except UnicodeDecodeError:
        return
    if ".md" not in text:
        return
    for number, line in enumerate(text.split("\n"), 1):
        for cited in re.findall(r"(?<![\w./-])(docs/[\w./-]+\.md)\b", line):
            if not (ROOT / cited).is_file():
                yield number, f"there is no {cited}"
        yield from cited_sections(number, line)


def main():
    bad = 0
    for name in files():
        if name.startswith("fuzz/corpus/"):
            continue
        check = document if name.endswith(".md") else source
        for number, complaint in check(name):
            print(f"{name}:{number}: {complaint}")
            bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
