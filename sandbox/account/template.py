"""template.yml as a text: what its build project says, without a running account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from sandbox import Mistake
from sandbox.codebuild.yaml_nodes import LOADER
from sandbox.laptop.paths import TEMPLATE

BROKEN = (
    OSError,
    ValueError,
    yaml.YAMLError,
    LookupError,
    TypeError,
    AttributeError,
    StopIteration,
)


class TemplateLoader(LOADER):  # type: ignore[misc, valid-type]  # libyaml's, if it is there
    """Read CloudFormation's short forms; of an If it takes the branch that has the connection."""

    def short_form(self, name: str, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return {name: node.value}
        if isinstance(node, yaml.SequenceNode):
            values = self.construct_sequence(node, deep=True)
            return values[1] if name == "If" and len(values) == 3 else {name: values}
        return {name: self.construct_mapping(node, deep=True)}


TemplateLoader.add_multi_constructor("!", TemplateLoader.short_form)


def load(text: str) -> dict[str, Any]:
    """Return a template's content."""
    loaded = yaml.load(text, TemplateLoader)  # a SafeLoader
    return dict(loaded)


def project_properties(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a template's build project."""
    return next(
        dict(resource["Properties"])
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::CodeBuild::Project"
    )


def buildspec_of_project() -> str:
    """Return the path, or the text, of the buildspec that template.yml names.

    Raises Mistake if it cannot be read.
    """
    try:
        template = load(TEMPLATE.read_text(encoding="utf-8"))
        return str(project_properties(template)["Source"].get("BuildSpec") or "buildspec.yml")
    except BROKEN as error:
        raise Mistake(
            f"template.yml cannot be read: {error}",
            "type `git diff template.yml` to see what has changed, "
            "or name the buildspec: `python3 -m sandbox check buildspec.yml`",
        ) from None
