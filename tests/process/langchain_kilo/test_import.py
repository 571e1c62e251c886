"""Test that importing the package and building a model uses no network."""

import subprocess
import sys


def test_import_and_construction_need_no_network() -> None:
    """langchain-litellm 0.11.2 fetches a price list from GitHub at import, with three attempts."""
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): sys.exit('a connection was tried')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from langchain_kilo import ChatKilo\n"
        "ChatKilo(model='a/b', api_key='k').get_num_tokens('hi')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
