"""The commands of `kilo-gateway`."""

from __future__ import annotations

import json
import pkgutil
import sys
from typing import IO, TYPE_CHECKING, Any, get_args

import click

from kilo_gateway import __version__, routing
from kilo_gateway.cli.shell import FAILED, Commands, console, show_rows
from kilo_gateway.encoding.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kilo_gateway.call import Call
    from kilo_gateway.cli.conversations import Conversation
    from kilo_gateway.models.info import ModelInfo
    from kilo_gateway.reply import Ending, Reply
    from kilo_gateway.settings.chat import GatewaySettings

_EXAMPLES = """\b
Examples:
  kilo-gateway chat "Name three rivers of Europe."      no key needed
  kilo-gateway chat "Plan a garden" --tier frontier --mode plan
  kilo-gateway chat "Shorter, please" --continue
  kilo-gateway chat "Summarise this" < report.txt
  kilo-gateway models --free --tools
  kilo-gateway models sonnet --json
  kilo-gateway doctor
  kilo-gateway verify --free

\b
The account comes from the environment, so that no key gets into the history of a shell:
  KILO_API_KEY    key of the gateway (https://app.kilo.ai); without it, free models only
  KILO_ORG_ID     organisation that pays
  KILO_BASE_URL   another gateway, such as a sandbox

Exit status: 0 done, 1 the gateway refused or was not reached, 2 wrong usage.
"""


@click.group(cls=Commands, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kilo-gateway")
def cli() -> None:
    """Use the Kilo AI Gateway: hundreds of models behind one API."""


@cli.command()
@click.argument("text", default="")
@click.option("--free/--paid", default=None, help="Only models that are known to cost nothing, or to cost something.")
@click.option("--no-training", is_flag=True, help="Only models that are known not to train on prompts.")
@click.option("--tools", is_flag=True, help="Only models that call tools.")
@click.option("--structured-outputs", is_flag=True, help="Only models that keep to a JSON schema.")
@click.option("--reasoning", is_flag=True, help="Only models that take reasoning settings.")
@click.option("--vision", is_flag=True, help="Only models that see images.")
@click.option("--vendor", multiple=True, metavar="NAME", help="Only models of this vendor, such as anthropic; repeat.")
@click.option("--min-context", type=click.IntRange(1), metavar="TOKENS", help="Only models with such a window.")
@click.option("--max-price", metavar="USD", help="Only models whose million prompt tokens cost at most this.")
@click.option("--sort", metavar="FIELD", help="Order by prompt_price, context_length, id or another field.")
@click.option("--refresh", is_flag=True, help="Ask the gateway even if the list is less than an hour old.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, prices in USD per million tokens.")
def models(
    text: str, *, vendor: tuple[str, ...], sort: str | None, refresh: bool, as_json: bool, **wanted: Any
) -> None:
    """List the gateway's models; TEXT is a part of their ids. No key is needed.

    A model without a reported property does not fit a condition about it.
    """
    from kilo_gateway.models import tables
    from kilo_gateway.models.catalog import ModelCatalog
    from kilo_gateway.models.listing import list_models

    training = False if wanted.pop("no_training") else None
    conditions = {
        "free": wanted.pop("free"),
        "min_context": wanted.pop("min_context"),
        "max_prompt_price": _usd(wanted.pop("max_price")),
        **{name: is_wanted or None for name, is_wanted in wanted.items()},
    }
    everything = list_models(refresh=refresh)
    matches = everything.filter(vendor=vendor or None, may_train_on_prompts=training, **conditions)
    if text:
        matching = (model for model in matches if text.lower() in model.id.lower())
        matches = ModelCatalog(matching, fetched_at=matches.fetched_at, from_cache=matches.from_cache)
    if sort:
        matches = matches.sort(sort)
    if as_json:
        click.echo(json.dumps([tables.record(model) for model in matches], indent=2, default=str))
    elif not matches:
        raise click.ClickException(f"none of the {len(everything)} models fits all conditions; leave one out")
    elif sys.stdout.isatty():
        console().print(matches)
    else:
        click.echo(str(matches))


def _usd(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a number of USD", param_hint="--max-price") from None


@cli.command()
@click.option("--live", is_flag=True, help="Ask the gateway which models each tier can reach.")
def tiers(*, live: bool) -> None:
    """Show the auto tiers: the model that answers for each mode and interface.

    The gateway changes the models behind its tiers without notice; each answer reports the one that served.
    """
    if live:
        _show_live_tiers()
        return
    documented = json.loads(pkgutil.get_data("kilo_gateway", "data/tiers.json") or b"{}")
    show_rows(
        ("Tier", "Mode", "Interface", "Model", "Needs"),
        [
            (row["tier"], ", ".join(row["modes"]), row.get("api", "any"), row["model"], row["needs"])
            for row in documented["tiers"]
        ],
    )
    click.echo(f"From the {documented['source']}; --live asks the gateway.", err=True)


def _show_live_tiers() -> None:
    from kilo_gateway.models.listing import list_models

    listed = {model.id: model for model in list_models(refresh=True)}
    rows = []
    for tier in routing.TIERS:
        if info := listed.get(routing.AUTO_PREFIX + tier):
            rows.append((tier, f"{info.context_length or '?'}", _cost(info), ", ".join(_reach(info)) or "not reported"))
        else:
            rows.append((tier, "", "", "not in the gateway's list at present"))
    show_rows(("Tier", "Context", "Cost", "Can reach"), rows)


def _cost(info: ModelInfo) -> str:
    if info.free:
        return "free"
    return "by the model that serves" if info.prompt_price is None else f"{info.prompt_price} USD/M in"


def _reach(info: ModelInfo) -> list[str]:
    reached = (info.auto_routing or {}).get("models")
    return [printable(model) for model in reached if isinstance(model, str)] if isinstance(reached, list) else []


@cli.command()
@click.argument("text", default="")
@click.option("--tier", help=f"Auto tier: {', '.join(routing.TIERS)}; default free.")
@click.option("--model", help="A model id instead of a tier, such as anthropic/claude-sonnet-4.6.")
@click.option("--mode", help="Working mode, such as plan or code; chooses the model of tier frontier.")
@click.option("--api", type=click.Choice(get_args(routing.Api)), help="Interface; default completions.")
@click.option("--system", metavar="TEXT", help="Instructions to the model, for the whole conversation.")
@click.option("--continue", "going_on", is_flag=True, help="Go on with the last conversation and its model.")
@click.option("--max-tokens", type=click.IntRange(1), help="Upper limit of the answer.")
@click.option("--temperature", type=click.FloatRange(0), help="0 for the likeliest words, more for variety.")
@click.option("--reasoning", metavar="EFFORT", help="none, low, medium, high, ...")
@click.option("--stream/--no-stream", default=True, help="Print the answer as it arrives (default), or at its end.")
@click.option("--deny-data-collection", is_flag=True, help="Refuse models that store or train on prompts.")
@click.option("--acknowledge-data-policy", is_flag=True, help="No notes about how models handle data.")
def chat(
    text: str,
    *,
    system: str | None,
    going_on: bool,
    stream: bool,
    deny_data_collection: bool,
    acknowledge_data_policy: bool,
    **fields: Any,
) -> None:
    """Ask a model; TEXT is the question.

    Text from a pipe or a file is added to the question, or is the question if you give no TEXT. The answer goes to
    standard output; the model that served, tokens and cost go to standard error. The last conversation is kept for
    --continue, in a file that only you can read.
    """
    from kilo_gateway.cli.conversations import OPTIONS, Conversation
    from kilo_gateway.settings.chat import GatewaySettings

    earlier = _earlier(system, going_on=going_on)
    options = {name: value for name, value in fields.items() if value is not None}
    if options.keys().isdisjoint(("tier", "model")):
        options = {**earlier.options, **options}
    settings = GatewaySettings(
        data_collection="deny" if deny_data_collection else None,
        acknowledge_data_policy=acknowledge_data_policy,
        **options,
    )
    turns = [*earlier.turns, ("user", _question(text))]
    call = settings.prepare(Conversation(turns).messages(), stream=stream)
    reply = _printed(settings, call)
    if reply.text:
        chosen = {name: options[name] for name in OPTIONS if name in options}
        _keep(Conversation([*turns, ("assistant", reply.text)], chosen))
    click.echo(", ".join(_facts(reply.ending, call)), err=True)


def _printed(settings: GatewaySettings, call: Call) -> Reply:
    """Print the answer to a call and return it. Raises KiloError."""
    from kilo_gateway import chat as drivers
    from kilo_gateway.reply import Reply

    if not call.stream:
        reply = drivers.create(settings, call)
        click.echo(printable(reply.text))
        return reply
    reply = Reply()
    try:
        for delta in drivers.stream(settings, call):
            reply.add(delta)
            click.echo(printable(delta.text), nl=False)
    finally:
        if reply.text:
            click.echo()  # an error begins on a line of its own
    return reply


def _facts(ending: Ending, call: Call) -> Iterator[str]:
    """Yield the model that served, tokens, cost, and the end if it is not the usual one."""
    yield printable(ending.model or call.model)
    if usage := ending.usage:
        yield f"{usage.prompt_tokens} + {usage.completion_tokens} tokens"
        yield "cost not reported" if usage.cost is None else f"{usage.cost:.6f} USD"
    if ending.finish_reason not in (None, "stop"):
        yield f"ended by {printable(ending.finish_reason)}"


def _earlier(system: str | None, *, going_on: bool) -> Conversation:
    """Return the conversation before the question."""
    from kilo_gateway.cli.conversations import Conversation, last

    if not going_on:
        return Conversation([("system", system)] if system else [])
    if system:
        raise click.UsageError("--system belongs to the first question of a conversation; leave it out here")
    kept = last()
    if kept is None:
        raise click.UsageError("no conversation is kept; ask a first question without --continue")
    return kept


def _keep(conversation: Conversation) -> None:
    try:
        conversation.save()
    except OSError as error:
        click.echo(f"Note: --continue will not find this conversation, which was not saved: {error}", err=True)


def _question(text: str) -> str:
    """Return the text and what standard input has, if it is a pipe or a file."""
    piped = "" if sys.stdin.isatty() else sys.stdin.read().strip()
    question = "\n\n".join(filter(None, ("" if text == "-" else text, piped)))
    if not question:
        raise click.UsageError(
            "Missing argument 'TEXT'; a pipe or a file may give it: kilo-gateway chat < question.txt"
        )
    return question


@cli.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """Serve a local stand-in of the gateway: no key, no network, no bill.

    Options are those of python -m kilo_gateway.sandbox; see kilo-gateway sandbox --help.
    """
    try:
        from kilo_gateway.sandbox.__main__ import main

        status = main(list(arguments))
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    raise SystemExit(status)


@cli.command()
def doctor() -> None:
    """Check key, address, organisation and connection. Nothing is spent, and no secret is shown.

    The key is tried on a model that does not exist, which the gateway refuses only after it has looked at the key.
    """
    from kilo_gateway.cli import doctor as checks

    results = checks.examine()
    show_rows(("", "What", "Found"), [(result.mark, result.subject, printable(result.finding)) for result in results])
    if any(result.bad for result in results):
        raise SystemExit(FAILED)


@cli.command()
@click.option("--free", is_flag=True, help="Send no key: only checks that need none, and nothing is spent.")
@click.option(
    "--limit-usd",
    type=click.FloatRange(0, min_open=True),
    default=0.05,
    show_default=True,
    metavar="USD",
    help="The most that all requests together may cost.",
)
@click.option("--only", multiple=True, metavar="NAME", help="Only this check, or the checks of this group; repeat.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--report",
    type=click.File("w", encoding="utf-8", lazy=False),
    metavar="FILE",
    help="Write a text without secrets to this file, for an issue.",
)
@click.option("--list", "list_only", is_flag=True, help="List the checks and their cost at most, and send nothing.")
def verify(
    *, free: bool, limit_usd: float, only: tuple[str, ...], as_json: bool, report: IO[str] | None, list_only: bool
) -> None:
    """Check whether the gateway does what the page "The gateway's wire" says.

    Each check sends a small request, or a few. The result says which era of the gateway the server behaves like. Exit
    status 1: something differs, or could not be decided.
    """
    from kilo_gateway.cli import verify as shown
    from kilo_gateway.verify import list_checks
    from kilo_gateway.verify import verify as run

    chosen = list_checks(only)
    if list_only:
        shown.show_checks(chosen)
        return
    with shown.progress(len(chosen)) as step:
        result = run(free=free, limit_usd=limit_usd, only=only, progress=step)
    if as_json:
        click.echo(json.dumps(result.as_json(), indent=2))
    else:
        shown.show(result)
    if report:
        report.write(f"{result}\n")
    if not result.ok:
        raise SystemExit(FAILED)
