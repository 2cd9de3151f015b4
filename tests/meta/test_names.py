"""Names, label keys and values, and the sentences that refuse them."""

import pytest

from lightship.meta import names


@pytest.mark.parametrize(
    ("text", "label", "subdomain"),
    [
        ("a", True, True),
        ("a-b", True, True),
        ("a.b", False, True),
        ("A", False, False),
        ("-a", False, False),
        ("", False, False),
        ("a-", False, False),
    ],
)
def test_dns_names(text: str, label: bool, subdomain: bool) -> None:
    assert names.is_dns_label(text) is label
    assert names.is_dns_subdomain(text) is subdomain


def test_lengths() -> None:
    assert names.is_dns_label("a" * 63)
    assert not names.is_dns_label("a" * 64)
    assert names.check_name("a" * 64, "label") == "must be no more than 63 characters"
    assert names.is_dns_subdomain("a" * 253)
    assert not names.is_dns_subdomain("a" * 254)


@pytest.mark.parametrize(
    ("text", "rule", "want"),
    [
        ("a.b", "label", "must not contain dots"),
        ("A", "label", "a lowercase RFC 1123 label must consist of"),
        ("A", "subdomain", "a lowercase RFC 1123 subdomain must consist of"),
        ("1a", "label1035", "a DNS-1035 label must consist of"),
        ("a/b/c", "qualified", "a valid label key must consist of"),
        ("/a", "qualified", "prefix part must be non-empty"),
        ("A_/a", "qualified", "prefix part a lowercase RFC 1123 subdomain"),
        ("a/", "qualified", "name part must be non-empty"),
        ("a b", "qualified", "name part must consist of"),
        ("a b", "label-value", "a valid label must be an empty string or consist of"),
        ("..", "path", "may not be '..'"),
        ("a/b", "path", "may not contain '/'"),
        ("a=b", "env", "a valid environment variable name must consist only of printable ASCII"),
        ("a--b", "port", "must not contain consecutive hyphens"),
        ("1", "port", "must contain at least one letter (a-z)"),
        ("..", "config-key", "must not be '..'"),
        ("a b", "config-key", "a valid config key must consist of"),
    ],
)
def test_refusals(text: str, rule: names.Rule, want: str) -> None:
    found = names.check_name(text, rule)
    assert found is not None
    assert found.startswith(want)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("a.b/C_d", "qualified"),
        ("", "label-value"),
        ("A.b_c-1", "label-value"),
        ("system:node", "path"),
        ("A.b", "env"),
        ("http", "port"),
        (".dockercfg", "config-key"),
    ],
)
def test_acceptance(text: str, rule: names.Rule) -> None:
    assert names.check_name(text, rule) is None


def test_generate_cuts_the_base() -> None:
    assert names.generate("job-", lambda n: "x" * n) == "job-xxxxx"
    assert names.generate("a" * 100, lambda n: "x" * n) == "a" * 58 + "xxxxx"


@pytest.mark.parametrize("rule", ["label", "label1035", "subdomain", "qualified", "label-value", "path", "env", "port", "config-key"])
@pytest.mark.parametrize(
    "text", ["", "a", "A", "a.b", "a-", "-a", "1a", "a/b", "a/b/c", "a b", "é", "a\n", "a" * 63, "a" * 64, "a" * 253, "a" * 254]
)
def test_to_follow_a_rule_is_to_have_no_problem(text: str, rule: names.Rule) -> None:
    assert names.follows(text, rule) is not bool(names.problems(text, rule))
