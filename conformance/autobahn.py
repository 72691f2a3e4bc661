#!/usr/bin/env python3
"""RFC 6455 by Autobahn's fuzzing client: 301 cases against a gateway with a native and with a plain echo behind it.

    python3 conformance/autobahn.py                       # both; builds and fetches what it needs
    python3 conformance/autobahn.py --only native --cases '1.*' 7.7.1 --json
    python3 conformance/autobahn.py --server ws://127.0.0.1:9000/   # another echo server

Everything runs on loopback, on free ports, in processes of its own. What is fetched goes to target/test-tools, reports to
target/conformance. Exit code 0: every case is OK, NON-STRICT or INFORMATIONAL, and closed cleanly. 1: some are not. 2: a
mistake, or something does not start. Without a Python 2.7 nothing can run: it says NOT RUN and why, with exit code 0.
"""

import argparse
import json
import pathlib
import sys

from harness import Failure, Programs, Tools

# All but 12 and 13: compression, which is not negotiated.
CATEGORIES = {"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "9": 54, "10": 1}
# UNIMPLEMENTED cases would need an extension.
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}
GOOD_CLOSE = {"OK", "INFORMATIONAL"}
# Category 9 echoes some 300 MB, one message at a time: about two minutes. The others take seconds.
LIMIT_SECONDS = 900


def main():
    options = arguments()
    root = pathlib.Path(__file__).resolve().parent.parent
    tools = Tools(root / "target" / "test-tools" / "conformance")
    python2 = tools.python2()
    if python2 is None:
        print("NOT RUN: Autobahn's test suite needs Python 2.7; none found on PATH, in pyenv, or at $H8S_PYTHON2")
        return 0
    reports = root / "target" / "conformance"
    results = {}
    with Programs(root, tools) as programs:
        for name, url in servers(options, programs):
            results[name] = fuzz(programs, tools.wstest(python2), name, url, options.cases, reports / name)
    show(results, options.json, reports)
    return 0 if not any(bad(cases) for cases in results.values()) else 1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["native", "plain"], help="the echo behind the gateway (default: both)")
    parser.add_argument("--cases", nargs="+", default=[f"{category}.*" for category in CATEGORIES], metavar="CASE")
    parser.add_argument("--server", metavar="URL", help="test this server instead of starting a gateway")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    return parser.parse_args()


def servers(options, programs):
    """Each server's name and address. Servers are started in turn."""
    if options.server:
        yield "server", options.server
        return
    for name in [options.only] if options.only else ["native", "plain"]:
        yield name, programs.gateway_with(name)


def fuzz(programs, wstest, name, url, cases, reports):
    """The result of each case: {"1.1.1": {"behavior": …, "behaviorClose": …, "duration": …, "reportfile": …}}."""
    reports.mkdir(parents=True, exist_ok=True)
    for old in reports.glob("*.json"):
        old.unlink()
    spec = {"outdir": str(reports), "servers": [{"agent": name, "url": url}], "cases": cases, "exclude-cases": []}
    (reports / "spec").write_text(json.dumps(spec))
    print(f"fuzzing {name} at {url}", file=sys.stderr)
    programs.run([wstest, "-m", "fuzzingclient", "-s", reports / "spec"], LIMIT_SECONDS)
    results = json.loads((reports / "index.json").read_text())[name]
    check_count(cases, results)
    return results


def check_count(cases, results):
    """A case without a result is a failure."""
    for category, count in CATEGORIES.items():
        ran = sum(case.split(".")[0] == category for case in results)
        if f"{category}.*" in cases and ran != count:
            raise Failure(f"{ran} of the {count} cases of category {category} have a result")
    if not results:
        raise Failure("no case has a result")


def bad(results):
    wrong = [
        case
        for case, result in results.items()
        if result["behavior"] not in GOOD or result["behaviorClose"] not in GOOD_CLOSE
    ]
    return sorted(wrong, key=numbers)


def numbers(case):
    return [int(number) for number in case.split(".")]


def show(results, as_json, reports):
    if as_json:
        summary = {name: {"cases": cases, "bad": bad(cases)} for name, cases in results.items()}
        print(json.dumps(summary, indent=1, sort_keys=True))
        return
    for name, cases in results.items():
        print(f"\n{name:12} {'cases':>6} {'OK':>6} {'NON-STRICT':>11} {'INFORMATIONAL':>14} {'bad':>5}")
        wrong = bad(cases)
        for category in sorted({case.split(".")[0] for case in cases}, key=int):
            of = {case: result for case, result in cases.items() if case.split(".")[0] == category}
            count = lambda behavior: sum(result["behavior"] == behavior for result in of.values())
            print(
                f"category {category:3} {len(of):>6} {count('OK'):>6} {count('NON-STRICT'):>11}"
                f" {count('INFORMATIONAL'):>14} {sum(case in of for case in wrong):>5}"
            )
        print(f"{'all':12} {len(cases):>6} {'':33} {len(wrong):>5}")
        for case in wrong:
            result = cases[case]
            report = reports / name / result["reportfile"]
            print(f"  {case}: {result['behavior']}, close {result['behaviorClose']} ({report})")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"autobahn: {failure}", file=sys.stderr)
        sys.exit(2)
