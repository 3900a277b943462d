"""What the whole suite shares: what it needs first, and a skip on CI is a failure if not named."""

from __future__ import annotations

import os
from collections.abc import Collection, Generator
from importlib.util import find_spec
from typing import Any

import pytest

NO_NODE = "no node of Kubernetes runs here"
"""Where its programs are not provisioned, or the machine does not allow it."""

NAMED_SKIPS = {
    "test_the_scenarios_pass_on_redpanda": "can be had from its registry only",
    "test_the_messages_are_those_of_the_pinned_dapr": "are not in the Go module cache",
    "test_the_local_components_are_those_of_the_pinned_dapr": "not in the Go module cache",
    "test_both_builds_of_daprd_report_the_same_metadata": "is not built here",
    "test_root_starts_an_unprivileged_launch_as_nobody": "only root can start as somebody else",
    "test_pods_run_on_a_node_and_answer_by_their_service": NO_NODE,
    "test_clients_of_this_machine_need_the_kubeconfig_only": NO_NODE,
    "test_a_cluster_without_dapr_validates_nothing": NO_NODE,
    "test_a_killed_cluster_leaves_nothing_and_another_one_as_it_is": NO_NODE,
    "test_nothing_of_the_machine_is_changed_by_a_cluster": NO_NODE,
    "test_a_killed_kubelet_ends_its_cluster_and_is_named": NO_NODE,
    "test_every_program_of_the_control_plane_has_a_ready_pod": NO_NODE,
    "test_rendered_apps_get_a_sidecar_and_answer_by_it": NO_NODE,
    "test_apps_are_called_from_this_machine_through_a_forwarded_port": NO_NODE,
    "test_sidecars_use_mtls_and_load_the_components_of_their_namespace": NO_NODE,
    "test_a_pod_that_cannot_become_ready_ends_the_wait_with_its_cause": NO_NODE,
    "test_pods_of_a_namespace_that_does_not_exist_are_not_waited_for": NO_NODE,
    "test_the_state_of_a_cluster_with_dapr_is_shown_like_any_other": NO_NODE,
    "test_an_app_is_called_through_the_sidecar_that_the_injector_has_added": NO_NODE,
    "test_the_log_of_a_container_is_in_the_folder_of_the_run": NO_NODE,
    "test_tests_attach_to_it_and_see_what_the_sidecar_delivers": NO_NODE,
    "test_a_restart_replaces_the_pod_and_the_app_answers_again": NO_NODE,
    "test_a_killed_pod_stays_away_until_it_is_restarted": NO_NODE,
    "test_a_pod_cannot_be_paused": NO_NODE,
    "test_scenarios_of_the_reference_system_pass_in_a_cluster": NO_NODE,
    "test_the_stack_is_a_cluster_for_kubectl_and_its_pods_are_ready": NO_NODE,
    "test_what_helm_installs_is_used_by_its_page": NO_NODE,
    "test_applied_manifests_are_used_by_their_page": NO_NODE,
    "test_no_event_is_lost_while_pods_are_replaced": NO_NODE,
    "test_apps_of_the_system_reach_only_what_they_use": NO_NODE,
    "test_a_cluster_with_dapr_validates_the_manifests_and_injects_sidecars": NO_NODE,
    "test_a_cluster_with_another_version_of_dapr_is_told": NO_NODE,
    "test_an_account_without_permission_is_told": NO_NODE,
    "test_a_client_certificate_is_accepted": NO_NODE,
    "test_a_pod_reaches_and_is_reached_by_what_policies_allow": NO_NODE,
    "test_a_policy_applies_to_the_pods_behind_a_service": NO_NODE,
    "test_a_policy_that_is_removed_has_no_effect_any_more": NO_NODE,
}
"""Tests that may be skipped on CI, each for this reason and for no other."""

NEEDED = ("pytest_asyncio", "pytest_timeout", "confluent_kafka", "docker", "locust", "schemathesis")
"""One package of each part of what development needs."""

OF_MAKE = (
    "PYTHON",
    "RUNTIMES",
    "WORKERS",
    "ORDER",
    "TESTS",
    "PROFILE",
    "ESCAPES",
    "SEED",
    "MUTANTS",
)
"""The variables of the Makefile, which make exports if they are given on its command line."""

for name in list(os.environ):
    # pytest has read its own by now. Those that tests start are to run as the tests say, and so is
    # make: under `make test RUNTIMES=...` it would pass that on to each other.
    if name in OF_MAKE or name.startswith(("PYTEST_", "MAKE", "MFLAGS")):
        del os.environ[name]
# Where pytest-randomly is installed, it shuffles the tests of every project.
os.environ["PYTEST_ADDOPTS"] = "-p no:randomly"


def pytest_configure() -> None:
    """Say what to run first, instead of failing at the first import.

    Raises:
        UsageError: a package is missing.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise pytest.UsageError(
            "run `make unit` or `make test` first, which install what the tests need "
            f"(missing: {', '.join(missing)}), or this environment's `.venv/bin/pytest`"
        )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run what does not depend on the runtime on the first of several runtimes only."""
    _, *later = config.getoption("--dapr-runtime", None) or [None]
    left_out = [
        item for item in items
        if item.get_closest_marker("any_runtime") and _parameters(item).get("dapr_runtime") in later
    ]  # fmt: skip
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Install what the chosen tests need while no test's clock runs: it may take minutes."""
    chosen = [item for item in session.items if _is_real(item)]
    if not chosen or session.config.option.collectonly:
        return
    from harness import Settings
    from harness.core.errors import HarnessError
    from harness.pytest_plugin import Lines
    from tests.provision import provide

    try:
        provide(
            Settings.load(),
            Lines(session.config),
            helm=any("helm" in _fixtures(item) for item in chosen),
            kubernetes=any("api_server" in _fixtures(item) for item in chosen),
            images={name for item in chosen for name in _images(item)},
        )
    except HarnessError as error:
        pytest.exit(f"what the tests need cannot be installed: {error}", error.exit_code)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that did not run proved nothing. What a fixture misses is one line for all tests."""
    report = yield
    if report.skipped and call.excinfo is not None and (place := _fixture_of(item, call.excinfo)):
        # pytest places the skip at the test, and sums up those of one place only.
        report.longrepr = (*place, f"Skipped: {call.excinfo.value}")
    # An escape that fails as it must: it ran.
    expected = hasattr(report, "wasxfail") and item.get_closest_marker("escape")
    if (
        report.skipped
        and not expected
        and os.environ.get("CI")
        and not _may_skip(item, str(report.longrepr))
    ):
        # With it, pytest prints a failure and ends with exit code 0.
        vars(report).pop("wasxfail", None)
        report.outcome = "failed"
        report.longrepr = f"skipped on CI without being named in conftest.py: {report.longrepr}"
    return report


def _may_skip(item: pytest.Item, reason: str) -> bool:
    named = NAMED_SKIPS.get(item.name.split("[")[0])
    return named is not None and named in reason


def _fixture_of(
    item: pytest.Item, error: pytest.ExceptionInfo[BaseException]
) -> tuple[str, int] | None:
    """Where a fixture of this suite has skipped a test; None if something else has."""
    own = [
        each for each in error.traceback
        if each.path.is_relative_to(item.config.rootpath) and "site-packages" not in each.path.parts
    ]  # fmt: skip
    if not own or own[-1].name == getattr(item, "originalname", item.name):
        return None
    return str(own[-1].path), own[-1].lineno + 1


def _is_real(item: pytest.Item) -> bool:
    """Whether it starts real processes, on this machine and not in somebody else's stack."""
    if item.get_closest_marker("real") is not None:
        return True
    elsewhere = item.config.getoption("--dapr-attach", None) or item.config.getoption(
        "--dapr-runtime", None
    ) == ["containers"]
    return "dapr_stack" in _fixtures(item) and not elsewhere


def _images(item: pytest.Item) -> Collection[str]:
    """The images that a test cannot do without: by a fixture, or by a parameter."""
    from tests.engine import NEEDED

    if "redpanda" in _fixtures(item):
        return (*NEEDED, "redpanda")
    containers = "containers" in _parameters(item).values()
    return NEEDED if "images" in _fixtures(item) or containers else ()


def _parameters(item: pytest.Item) -> dict[str, Any]:
    return item.callspec.params if hasattr(item, "callspec") else {}


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Workers share the suite so that each starts as few stacks as it can."""
    from tests.workers import Scopes

    return Scopes(config, log)
