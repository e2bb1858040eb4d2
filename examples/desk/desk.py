#!/usr/bin/python3 -IS
"""Desk, a made-up help desk, spoken to by a program: `connector = "program"`.

One request stands on standard input, a JSON object on one line; each thing that is done or seen
is one line of JSON on standard output, the answer is the last. The standard library is enough.
"""

import hashlib
import json
import sys
import urllib.error
import urllib.parse
import urllib.request

ASKED = json.loads(sys.stdin.readline())
BASE = ASKED["options"].get("base_url", "https://desk.example.com/api")
TOKEN = ASKED["secrets"]["token"]
CATEGORIES = {401: "credentials_rejected", 403: "permission_missing", 429: "rate_limited"}


class Fault(Exception):
    """What went wrong, in the words of the protocol."""


def say(**what):
    """One line to Lockstep."""
    print(json.dumps({"lockstep": 1, "request": ASKED["request"], **what}), flush=True)


def call(method, path, operation, *, gone=False, **params):
    """One call to the desk, told as an exchange; None where the thing is gone, if it may be."""
    query = f"?{urllib.parse.urlencode(params)}" if params else ""
    request = urllib.request.Request(f"{BASE}{path}{query}", method=method)
    request.add_header("Authorization", f"Bearer {TOKEN}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status, headers, body = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as refusal:
        status, headers, body = refusal.code, refusal.headers, refusal.read()
    except OSError as error:  # nobody knows whether it was done
        raise Fault({"category": "timeout", "operation": operation, "code": type(error).__name__})
    digest = hashlib.sha256(body).hexdigest()
    told = {"operation": operation, "status": status, "digest": digest}
    say(exchange={**told, "date": headers.get("Date", "")[:64]})
    if gone and status == 404:
        return None
    if status != 200:
        category = CATEGORIES.get(status, "vendor_error" if status >= 500 else "unexpected_answer")
        wait = headers.get("Retry-After", "")
        limits = {"retry_after_s": float(wait)} if wait.isdigit() and status in (429, 503) else {}
        fault = {"category": category, "operation": operation, "code": str(status), **limits}
        raise Fault(fault)
    try:
        return json.loads(body) if body.strip() else {}
    except ValueError:
        fault = {"category": "unexpected_answer", "operation": operation, "code": "not_json"}
        raise Fault(fault)


def every(path, operation, field, **params):
    """A list to its end; a cursor that leads back is a fault, not the end."""
    found, seen = [], set()
    while True:
        page = call("GET", path, operation, **params)
        if not isinstance(page, dict) or not isinstance(page.get(field), list):
            fault = {"category": "unexpected_answer", "operation": operation, "code": "no_list"}
            raise Fault(fault)
        found += page[field]
        if not page.get("next"):
            return found
        if page["next"] in seen:
            fault = {"category": "unexpected_answer", "operation": operation, "code": "loop"}
            raise Fault(fault)
        seen.add(page["next"])
        params["cursor"] = page["next"]


def record(account):
    """The account's own record; None where the desk does not know the id any more."""
    found = call("GET", f"/people/{urllib.parse.quote(account, safe='')}", "people.get", gone=True)
    if found is not None and found.get("id") != account:
        fault = {"category": "unexpected_answer", "operation": "people.get", "code": "other_user"}
        raise Fault(fault)
    return found


def doors(person):
    """The sign-in stands until the record says exactly that it is blocked."""
    return [] if person["blocked"] is True else [{"kind": "sign_in", "ref": person["id"]}]


def keys_of(account):
    path = f"/people/{urllib.parse.quote(account, safe='')}/keys"
    return [{"kind": "secret", "ref": key["id"]} for key in every(path, "keys.list", "keys")]


def match(person, found_by):
    keys = [{"kind": "email", "value": person["email"]}]
    account = {"id": person["id"], "locator": person["email"], "keys": keys}
    created = person.get(
        "created_at", ""
    )  # an account that is younger than the leaving is no leaver's
    return {"account": account, "found_by": found_by, "created": created}


def locate():
    """By the ids that HR named, and by a list of everybody: what is listed needs no other proof."""
    ids = [key["value"] for key in ASKED["keys"] if key["kind"] == "account_id"]
    mails = [key["value"] for key in ASKED["keys"] if key["kind"] == "email"]
    wanted = {mail.casefold() for mail in mails}
    people = every("/people", "people.list", "people") if ids or mails else []
    named = [match(one, "account_id") for one in people if one["id"] in ids]
    found = [
        match(one, "email")
        for one in people
        if one["email"].casefold() in wanted and one["id"] not in ids
    ]
    tried = [("account_id", value) for value in ids] + [("email", value) for value in mails]
    searches = [{"kind": kind, "value": value, "proof": "listed"} for kind, value in tried]
    say(
        located={
            "accounts": named + found,
            "searches": searches,
            "unread": [],
            "listed": len(people) if tried else None,
        }
    )


def look():
    """The account's own record, and nothing that could fail beside it."""
    person = record(ASKED["account"]["id"])
    unread = (
        [
            {
                "kind": "secret",
                "category": "unexpected_answer",
                "operation": "keys.list",
                "code": "not_asked",
            }
        ]
        if person
        else []
    )
    say(
        seen={
            "exists": person is not None,
            "standing": doors(person) if person else [],
            "unread": unread,
        }
    )


def read_back():
    """The record, and every list of what lets in; one that cannot be read is told as unread."""
    person = record(ASKED["account"]["id"])
    if person is None:
        say(seen={"exists": False, "standing": [], "unread": []})
        return
    standing, unread = doors(person), []
    residuals = [] if standing else ["session"]
    try:
        standing += keys_of(person["id"])
    except Fault as fault:
        unread.append({"kind": "secret", **fault.args[0]})
    say(seen={"exists": True, "standing": standing, "unread": unread, "residuals": residuals})


def contain():
    """The first write shuts the sign-in."""
    person = record(ASKED["account"]["id"])
    for way in doors(person) if person else []:
        path = f"/people/{urllib.parse.quote(person['id'], safe='')}/block"
        if way in ASKED["standing"] and call("POST", path, "people.block", gone=True) is not None:
            say(action=way)
    say(done={})


def strip():
    """Every key that stood; one that cannot be deleted keeps no other."""
    failed = None
    for way in ASKED["standing"]:
        path = f"/keys/{urllib.parse.quote(way['ref'], safe='')}"
        try:
            if call("DELETE", path, "keys.delete", gone=True) is not None:
                say(action=way)
        except Fault as fault:
            failed = failed or fault
            if fault.args[0]["category"] == "credentials_rejected":
                break
    if failed:
        raise failed
    say(done={})


def health():
    """Try every read that a revocation needs."""
    people = every("/people", "people.list", "people")
    if people:
        keys_of(people[0]["id"])
    say(health={"reachable": True, "problems": []})


try:
    {
        "locate": locate,
        "look": look,
        "contain": contain,
        "strip": strip,
        "read_back": read_back,
        "health": health,
    }[ASKED["do"]]()
except Fault as told:
    say(fault=told.args[0])
