"""The application: which commands there are, and how an error, a caution and Ctrl-C end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from neurosim import __version__
from neurosim.cli.assess import assess_command
from neurosim.cli.begin import info_command, init_command
from neurosim.cli.compare import compare_command
from neurosim.cli.devices import devices_app
from neurosim.cli.energy import energy_command
from neurosim.cli.fit import fit_command
from neurosim.cli.meant import instead
from neurosim.cli.report import report_command
from neurosim.cli.requirements import requirements_command
from neurosim.cli.run import run_command
from neurosim.cli.studies import NETWORKS, network_command
from neurosim.cli.sweep import collect_command, sweep_command
from neurosim.cli.terminal import cautions_at_the_end, complain
from neurosim.cli.validate import validate_command
from neurosim.cli.wires import wires_command
from neurosim.core.errors import NeurosimError, Stopped

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Will a network that learns by a local rule, on devices like mine, reach ideal accuracy?",
)
app.command("assess")(assess_command)
app.command("init")(init_command)
app.command("compare")(compare_command)
for _name in NETWORKS:
    app.command(_name)(network_command(_name))
app.command("sweep")(sweep_command)
app.command("collect")(collect_command)
app.command("wires")(wires_command)
app.command("requirements")(requirements_command)
app.command("run")(run_command)
app.command("report")(report_command)
app.command("energy")(energy_command)
app.add_typer(devices_app, name="devices")
app.command("fit")(fit_command)
app.command("validate")(validate_command)
app.command("info")(info_command)

USAGE_ERROR: Any = typer.BadParameter.__mro__[-4]
"""What typer raises for options that it does not take; it is not to be had by a name of its own in all versions."""


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Memristive and phase-change crossbars that learn in place with local rules."""
    if version:
        print(f"neurosim {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line.

    An error is one line on standard error and exit code 2; Ctrl-C and SIGTERM are a line that says what is kept, and
    exit codes 130 and 143.
    """
    from neurosim.study import stopping

    try:
        with stopping.on_signals(), cautions_at_the_end():
            code = app(prog_name="neurosim", standalone_mode=False)
    except Stopped as stop:
        complain(f"neurosim: {str(stop) or 'stopped before it was done'}")
        raise SystemExit(stopping.exit_code()) from None
    except NeurosimError as error:
        complain(f"neurosim: {error}")
        raise SystemExit(2) from None
    except MemoryError:
        complain("neurosim: out of memory; use fewer neurons or images")
        raise SystemExit(2) from None
    except typer.Abort:
        raise SystemExit(130) from None
    except USAGE_ERROR as error:
        raise SystemExit(_misused(error)) from None
    raise SystemExit(code if isinstance(code, int) else 0)


def _misused(error: BaseException) -> int:
    """Say in one line what is wrong with the options, as of every other error, and return the exit code."""
    message = getattr(error, "format_message", lambda: str(error))()
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(message)
    else:
        more = f"; see {context.command_path} --help" if context else ""
        option = getattr(error, "option_name", None)
        meant = instead(option, context) if option and context and "possibilities" in vars(error) else ""
        complain(f"neurosim: {meant or message.rstrip('.')}{more}")
    return int(getattr(error, "exit_code", 2))
