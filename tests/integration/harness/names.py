"""names.py - a tree of names as a program sees it, and how it is refused."""
import errno
import os


def errno_of(action, *arguments):
    """The name of the errno that @action fails with, or None."""
    try:
        action(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]
    return None


def walk(top):
    """Paths of the files below @top, relative to it."""
    def refuse(error):
        raise error

    return sorted(os.path.relpath(os.path.join(at, name), top)
                  for at, _, names in os.walk(top, onerror=refuse) for name in names)
