"""`python -m pumas` is the command line."""

from pumas.cli import main

if __name__ == "__main__":
    main()
