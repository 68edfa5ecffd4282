"""What calls with arguments of the wrong type say, without the checks of annotations that the tests have: as users run
them. As a script: prints {name: "Error: message"} of the `CALLS` of the file that is named."""

import importlib
import json
import subprocess
import sys
from pathlib import Path


def messages_of(path: Path) -> dict[str, str]:
    """Of the `CALLS` of a file, run in a process of its own."""
    done = subprocess.run([sys.executable, __file__, path], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def said(call) -> str:
    from qspx._errors import QspxError

    try:
        call()
    except Exception as error:
        kind = "QspxError" if isinstance(error, QspxError) else type(error).__name__
        return f"{kind}: {error}"
    return "nothing"


if __name__ == "__main__":
    given = Path(sys.argv[1])
    sys.path.insert(0, str(given.parent))
    print(json.dumps({name: said(call) for name, call in importlib.import_module(given.stem).CALLS.items()}))
