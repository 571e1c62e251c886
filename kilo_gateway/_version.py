"""The version of the installed distribution, which the build derives from the tag in git."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("kilo-gateway")
except PackageNotFoundError:  # the sources are on the path, but nobody has installed them
    __version__ = "0+unknown"
