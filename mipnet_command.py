"""The command ``mipnet``: runs a script of ``tools/``, finds a config of ``configs/``.

It stands beside the package, not in it: importing the package takes seconds and needs
MMPose, and neither ``mipnet synthcrowd`` nor ``mipnet run_onnx`` does. The scripts take
from here what all do alike.
"""

import argparse
import ast
import difflib
import runpy
import sys
from pathlib import Path
from pickle import UnpicklingError

HERE = Path(__file__).resolve().parent
MIM = HERE / 'mipnet_mmpose' / '.mim'  # where the wheel puts both folders
ROOT = MIM if MIM.is_dir() else HERE
USAGE = """usage: mipnet COMMAND [ARGUMENT ...]

Commands (mipnet COMMAND --help says more):
{}
  config [NAME]  list the configs, or print the path of one for MMPose's train.py
  --version      print the version
"""


def main():
    """Run the command of ``sys.argv``; its exit code is that of the script."""
    tools = {path.stem: path for path in sorted(ROOT.glob('tools/*.py'))}
    name, *rest = sys.argv[1:] or ['']
    if name in ('', '-h', '--help'):
        width = max(map(len, tools))
        lines = (f'  {n:<{width}}  {summary(path)}' for n, path in tools.items())
        print(USAGE.format('\n'.join(lines)), end='')
        sys.exit(0 if name else 2)
    if name == '--version':
        version = runpy.run_path(str(HERE / 'mipnet_mmpose' / 'version.py'))
        print(version['__version__'])
    elif name == 'config':
        config(rest)
    elif name in tools:
        sys.argv = [str(tools[name]), *rest]
        runpy.run_path(sys.argv[0], run_name='__main__')
    else:
        sys.exit(f'mipnet: no command {name!r}{similar(name, [*tools, "config"])}')


def summary(script):
    """The first line of a script's docstring."""
    text = script.read_text(encoding='utf-8')
    return ast.get_docstring(ast.parse(text)).splitlines()[0]


def config(arguments):
    """List the configs, or print the path of the named one on a line of its own."""
    configs = {path.stem: path for path in sorted(ROOT.glob('configs/[!_]*/*.py'))}
    if not arguments:
        print('\n'.join(configs))
    elif len(arguments) > 1 or arguments[0].startswith('-'):
        print("usage: mipnet config [NAME]\n\nLists the configs, or prints one's path.")
        sys.exit(0 if arguments[0] in ('-h', '--help') else 2)
    else:
        name = Path(arguments[0]).name
        name = name[:-3] if name.endswith('.py') else name
        if name not in configs:
            sys.exit(f'mipnet: no config {name!r}{similar(name, configs)}')
        print(configs[name])


def similar(name, names):
    close = difflib.get_close_matches(name, names, n=3)
    return f'; did you mean {" or ".join(close)}?' if close else '; see mipnet --help'


def tool_parser(name, doc):
    """The parser of a script of ``tools/``; its docstring is shown as it stands."""
    lines = argparse.RawDescriptionHelpFormatter
    prog = f'mipnet {name}'
    return argparse.ArgumentParser(prog=prog, description=doc, formatter_class=lines)


# argument of person boxes
BBOX = dict(type=float, nargs=4, action='append', metavar=('L', 'T', 'R', 'B'))


def run_tool(run, args):
    """Run a script of ``tools/``; errors and Ctrl-C end it in one line."""
    try:
        run(args)
    except (ImportError, OSError, RuntimeError, UnpicklingError, ValueError) as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt as stop:
        print('\ninterrupted', *stop.args, file=sys.stderr)  # after ^C
        sys.exit(130)


if __name__ == '__main__':
    main()
