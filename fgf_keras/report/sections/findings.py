"""The findings: known ways in which alignment can mislead, and which of them apply."""

from typing import Any

from fgf_keras.report.document import Block, Bullets, Callout, Fold, Terms, Text
from fgf_keras.results.findings import SIGNATURES


def findings_blocks(findings: list[dict[str, Any]] | None) -> list[Block]:
    """Findings as call-outs; signatures that were not found or could not be checked are folded.

    Args:
        findings: see `results.findings.run_findings`; None if nothing was checked.
    """
    if findings is None:
        return []
    callouts = [
        Callout(
            each["title"], [each["why"], *([f"What to try: {each['try']}"] if each["try"] else [])], "warning"
        )
        for each in findings
        if each["found"]
    ]
    blocks: list[Block] = [
        Text(_counts(findings)),
        *callouts,
    ]
    for state, title in ((False, "Checked and not found"), (None, "Could not be checked")):
        others = [(each["title"], each["why"]) for each in findings if each["found"] is state]
        if others:
            blocks.append(Fold(f"{title}: {len(others)}", [Terms(others)]))
    return blocks


def _counts(findings: list[dict[str, Any]]) -> str:
    """How many known ways to go wrong were checked, were found, and could not be checked."""
    checked = [each for each in findings if each["found"] is not None]
    found = sum(bool(each["found"]) for each in checked)
    unchecked = len(findings) - len(checked)
    if not checked:
        return f"None of {len(findings)} known ways to go wrong could be checked."
    sentence = f"Of {len(findings)} known ways to go wrong, {len(checked)} were checked and "
    sentence += f"{found} found" if found else "none was found"
    return f"{sentence}; {unchecked} could not be checked." if unchecked else f"{sentence}."


def findings_summary(findings: list[dict[str, Any]] | None) -> list[Block]:
    """A summary: the findings with numbers and remedies, then one line each for all others."""
    findings = findings or []
    lines = [
        f"Found: {each['title']}. {each['why']}. Try: {each['try']}." for each in findings if each["found"]
    ]
    absent = [each for each in findings if each["found"] is False]
    if absent:
        lines.append(f"Checked, not found: {_listed(absent)}.")
    unknown: dict[str, list[dict[str, Any]]] = {}
    for each in findings:
        if each["found"] is None:
            unknown.setdefault(each["why"], []).append(each)
    lines += [f"Cannot be checked: {_listed(those)}, because {why}." for why, those in unknown.items()]
    return [Bullets(lines)]


def _listed(findings: list[dict[str, Any]]) -> str:
    """The titles, each once, with the arms that they concern."""
    arms: dict[str, list[str]] = {}
    for each in findings:
        title = SIGNATURES[each["name"]][0]
        arms.setdefault(title, []).append(each["title"].removeprefix(title).strip(" ()"))
    return "; ".join(title + (f" ({', '.join(of)})" if any(of) else "") for title, of in arms.items())
