"""`python -m qspx`: the command line."""

from qspx.cli import app

if __name__ == "__main__":
    app()
