"""The reader: any text is a buildspec or a clear error."""

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.codebuild.buildspec import PHASES, Buildspec, BuildspecError
from sandbox.codebuild.reader import read

KEYS = "version phases build pre_build env variables commands finally on-failure RETRY-1-( 0.2"
SIGNS = "&a *a << | > { } [ ] : ' \" # !!binary !x --- null ~ 2024-01-01 @ %"
BLANKS = ("- x", ": ", "\n", "\n  ", "\t", "\0", "\ufeff")
WORDS = st.sampled_from([*KEYS.split(), *SIGNS.split(), *BLANKS])
TEXTS = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass")),
    st.lists(WORDS, max_size=25).map(lambda words: "".join(words).encode()),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=12,
)
SPECS = st.builds(
    lambda phases, env: yaml.safe_dump({"version": 0.2, "phases": phases, "env": env}).encode(),
    st.one_of(VALUES, st.dictionaries(st.sampled_from([*map(str.lower, PHASES), "x"]), VALUES)),
    VALUES,
)


def test_any_text_is_a_buildspec_or_a_clear_error(request):
    is_long = request.config.getoption("--long")

    @settings(
        max_examples=20_000 if is_long else 400,
        deadline=None,
        database=None,
        derandomize=not is_long,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(TEXTS, SPECS))
    def reads(content):
        try:
            spec = read(content)
        except BuildspecError as error:
            spec = error
        if isinstance(spec, BuildspecError):
            assert spec.message and spec.hint and spec.line >= 1 and spec.column >= 1
            return
        assert isinstance(spec, Buildspec)
        assert [*spec.phases] == [name for name in PHASES if name in spec.phases]
        assert all(
            isinstance(item, str)
            for phase in spec.phases.values()
            for item in phase.commands + phase.finally_commands
        )

    reads()


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "a0: &a0 {x: y}\n"
            + "".join(
                f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40)
            ),
            "version is missing",
        ),
        ("version: " + "[" * 100_000, "nesting depth"),
        ("version: " + "{a: " * 900 + "x" + "}" * 900, "."),
    ],
    ids=["merges-of-merges", "deeper-than-yaml-goes", "deep"],
)
def test_file_that_grows_without_end_is_refused(text, message):
    with pytest.raises(BuildspecError, match=message):
        read(text.encode())


@pytest.mark.parametrize(
    "word, tries",
    [("RETRY-0-x", 0), ("RETRY-007", 7), ("RETRY-100", 100), ("RETRY-101", None),
     ("RETRY-" + "9" * 5000, None), ("RETRY-" + "0" * 5000, 0)],
)  # fmt: skip
def test_retry_counts_to_100(word, tries):
    text = f"version: 0.2\nphases: {{build: {{on-failure: {word}, commands: x}}}}".encode()
    if tries is None:
        with pytest.raises(BuildspecError, match="with a count of 0 to 100"):
            read(text)
    else:
        assert read(text).phases["BUILD"].on_failure.tries == tries


def test_retry_with_a_pattern_beyond_all_bounds_does_not_run_here():
    text = b"version: 0.2\nphases: {build: {on-failure: 'RETRY-x{99999999999}', commands: x}}"
    [found] = read(text).obstacles
    assert "no regular expression" in found.message
