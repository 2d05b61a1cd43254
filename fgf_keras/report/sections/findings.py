"""The findings: known ways in which alignment can mislead, and which of them apply."""

from typing import Any

from fgf_keras.report.document import Block, Bullets, Callout, Fold, Terms, Text
from fgf_keras.results.findings import SIGNATURES


def findings_blocks(findings: list[dict[str, Any]] | None) -> list[Block]:
    """Findings as call-outs, one for all arms; signatures not found, or not to be checked, are folded.

    Args:
        findings: see `results.findings.run_findings`; None if nothing was checked.
    """
    if findings is None:
        return []
    callouts = [
        Callout(title, [*whys, *([f"What to try: {remedy}"] if remedy else [])], "warning")
        for title, whys, remedy in _found(findings)
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
    lines = [f"Found: {title}. {'; '.join(whys)}. Try: {remedy}." for title, whys, remedy in _found(findings)]
    absent = [each for each in findings if each["found"] is False]
    if absent:
        lines.append(f"Checked, not found: {_listed(absent)}.")
    unknown: dict[str, list[dict[str, Any]]] = {}
    for each in findings:
        if each["found"] is None:
            unknown.setdefault(each["why"], []).append(each)
    lines += [f"Cannot be checked: {_listed(those)}, because {why}." for why, those in unknown.items()]
    return [Bullets(lines)]


def _found(findings: list[dict[str, Any]]) -> list[tuple[str, list[str], str]]:
    """Title, reasons and remedy of each signature that was found, with the arms in which it was."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for each in findings:
        if each["found"]:
            by_name.setdefault(each["name"], []).append(each)
    found = []
    for those in by_name.values():
        title, whys = those[0]["title"], [each["why"] for each in those]
        if len(those) > 1:
            arms = [_arm(each) for each in those]
            title, whys = _listed(those), [f"{arm}: {why}" for arm, why in zip(arms, whys)]
        found.append((title, whys, those[0]["try"]))
    return found


def _arm(finding: dict[str, Any]) -> str:
    """The arm that a finding of a comparison concerns; empty for that of a single run."""
    return str(finding["title"].removeprefix(SIGNATURES[finding["name"]][0]).strip(" ()"))


def _listed(findings: list[dict[str, Any]]) -> str:
    """The titles, each once, with the arms that they concern."""
    arms: dict[str, list[str]] = {}
    for each in findings:
        title = SIGNATURES[each["name"]][0]
        arms.setdefault(title, []).append(_arm(each))
    return "; ".join(title + (f" ({', '.join(of)})" if any(of) else "") for title, of in arms.items())
