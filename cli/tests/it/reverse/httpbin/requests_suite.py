"""Runs the tests of requests that use httpbin. Arguments: the sources of requests, and httpbin's address.

What pytest-httpbin would bring, an httpbin in the same process, is replaced by one that runs elsewhere. Of each test that
uses it a line is written: how it ended, and its name. Tests without it, which need the internet or serve themselves,
are left out, as they would say nothing; so are two that want a second httpbin with TLS of its own.
"""

import collections
import os
import sys

import pytest

sources, address = sys.argv[1:]
sys.dont_write_bytecode = True
sys.path.insert(0, sources)
# Some of the tests upload a file from there.
os.chdir(sources)
Httpbin = collections.namedtuple("Httpbin", "url")


class Elsewhere:
    @pytest.fixture
    def httpbin(self):
        return Httpbin(address)

    @pytest.fixture
    def httpbin_both(self, httpbin):
        return httpbin

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        uses = [(item, set(item.fixturenames)) for item in items]
        items[:] = [item for item, used in uses if used & {"httpbin", "httpbin_both"} and "httpbin_secure" not in used]

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            print(f"\n{report.outcome}: {report.nodeid}", flush=True)


arguments = ["--override-ini", "addopts=", "--rootdir", sources, "-p", "no:cacheprovider", "--tb=short"]
pytest.main([f"{sources}/tests/test_requests.py", *arguments], plugins=[Elsewhere()])
