"""How the metric is told to people: the same words on the command line and in pages."""

from __future__ import annotations

from fractions import Fraction

from lockstep.scorecard.numbers import decimal_text

READINGS = {
    "audit_proof": "audit-proof",
    "on_target": "on target",
    "near_target": "near target",
    "medium_risk": "medium risk",
    "high_risk": "high risk",
    "undetermined": "undetermined",
}
CAPS = {
    "population": "the population is not reconciled",
    "open_tier0": "a tier-0 system is open far past due",
    "access_used": "a leaver used access after the cutoff",
}
UNDETECTED = {
    "population": "a leaver without a case, or an account that belongs to nobody at work",
    "access_used": "access that a leaver used after the cutoff",
}
"""Caps that nothing looks for yet: they are in the definition, and no release raises them."""
UNSCORED = {
    "ledger_unverified": "the ledger is not sealed",
    "hr_feed_stale": "HR has not been heard for too long",
    "no_leavers": "no leaver's time was up",
}
METRICS = {
    "access_revocation": "access revocation",
    "security_training": "security training",
    "background_checks": "background checks",
    "zero_contractor": "zero contractor",
}

_WHOLE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_PLACES = {**dict.fromkeys(_WHOLE.split(), 0), **dict.fromkeys(_THREE.split(), 3)}


def percent(rate: str) -> str:
    """A rate as per cent: 0.9792 is 97.9 %."""
    return f"{decimal_text(Fraction(rate) * 100, 1)} %"


def money(minor: int | None, currency: str | None) -> str:
    """An amount of minor units in the currency's own unit (places by ISO 4217)."""
    if minor is None or currency is None:
        return "no terms"
    places = _PLACES.get(currency, 2)
    return f"{decimal_text(Fraction(minor, 10**places), places)} {currency}"


def cost_text(points: str) -> str:
    """What something cost, with its sign; a dash for nothing."""
    found = Fraction(points)
    if not found:
        return "–"
    text = decimal_text(-found, 2)
    return text if text.startswith("-") else f"+{text}"
